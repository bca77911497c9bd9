import { expect, test } from "vitest";
import { chosen, size } from "./dropped";

function file(path: string): File {
  const made = new File(["x"], path.split("/").at(-1)!);
  Object.defineProperty(made, "webkitRelativePath", { value: path.includes("/") ? path : "" });
  return made;
}

test("each folder and each zip is an upload of its own, loose files are one", () => {
  const batches = chosen(["a/1.dcm", "a/b/2.dcm", "one.zip", "two.ZIP", "3.dcm", "4.dcm"].map(file));
  expect(batches.map(({ name, items }) => [name, items.map(({ path }) => path)])).toEqual([
    ["a", ["a/1.dcm", "a/b/2.dcm"]],
    ["one.zip", ["one.zip"]],
    ["two.ZIP", ["two.ZIP"]],
    ["3.dcm", ["3.dcm", "4.dcm"]],
  ]);
});

test.each([[0, "0 B"], [999, "999 B"], [1500, "1.5 kB"], [2_000_000_000, "2.0 GB"], [5e12, "5000.0 GB"]])(
  "%d bytes are %s",
  (bytes, text) => expect(size(bytes)).toBe(text),
);
