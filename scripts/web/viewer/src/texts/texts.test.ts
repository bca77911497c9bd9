import { describe, expect, test } from "vitest";
import { CATALOGUES, LANGUAGES, percent, speaker, type TextKey } from ".";

const braces = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();

describe.each(LANGUAGES)("the %s catalogue", (language) => {
  test.each(Object.entries(CATALOGUES.en))("has %s with the same words to fill in", (key, english) => {
    const text = CATALOGUES[language][key as TextKey];
    expect(text.trim()).not.toBe("");
    expect(braces(text)).toEqual(braces(english));
  });
});

test("words are filled in, and one that is missing can be seen", () => {
  const say = speaker("en");
  expect(say("view.slice", { number: 3, count: 15 })).toBe("Slice 3 of 15");
  expect(say("view.slice", { number: 3 })).toBe("Slice 3 of {count}");
});

test.each([[0.004, "<1%"], [0.965, "96%"], [0.975, "98%"], [0.9914, "99%"], [0.998, ">99%"], [0.7, "70%"]])(
  "a probability of %d is written as the reports do: %s",
  (share, text) => expect(percent(share)).toBe(text),
);
