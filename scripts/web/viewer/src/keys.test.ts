import { expect, test } from "vitest";
import { command } from "./keys";

const press = (key: string, more: Partial<Record<"shiftKey" | "ctrlKey" | "altKey" | "metaKey", boolean>> = {}) => ({
  key, shiftKey: false, ctrlKey: false, altKey: false, metaKey: false, ...more,
});

test("a number goes to the disk, counted from the head", () => {
  expect(command(press("4"), true, false)).toEqual({ do: "disk", level: "L4-L5" });
});

test("single letters can be switched off, arrows cannot", () => {
  expect(command(press("n"), false, false)).toBeNull();
  expect(command(press("ArrowDown"), false, false)).toEqual({ do: "scroll", by: 1 });
});

test("arrows are left to a control that has the focus; Escape leaves all the same", () => {
  expect(command(press("ArrowDown"), true, true)).toBeNull();
  expect(command(press("Escape"), true, true)).toEqual({ do: "leave" });
});

test("with Shift, arrows move the image", () => {
  expect(command(press("ArrowLeft", { shiftKey: true }), true, false)).toMatchObject({ do: "pan" });
});

test("the browser's own keys are left alone", () => {
  expect(command(press("r", { ctrlKey: true }), true, false)).toBeNull();
});

test("capital letters mean the same", () => {
  expect(command(press("B", { shiftKey: true }), true, false)).toEqual({ do: "finding", finding: "bulge" });
});
