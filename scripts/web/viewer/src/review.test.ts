import { describe, expect, test } from "vitest";
import { apply, diskName, findingNow, merge, open, shifted } from "./review";
import type { Disk, DiskReview, Report, ReportDocument, Review } from "./types";

const disk = (level: DiskReview["level"], more: Partial<DiskReview> = {}): DiskReview => ({
  level, finding: null, confirmed: false, comment: "", ...more,
});

const review = (more: Partial<Review> = {}): Review => ({
  status: "draft", reader: "", signed_at: null, comment: "", vertebrae: [], disks: [], ...more,
});

const document = (levels: string[], more: Partial<Review> = {}): ReportDocument => ({
  vertebrae: levels.map((level) => ({ level, center_lps_mm: null, score: 1, boxes: [] })),
  axial_slices: [], disks: [], flags: [], model: { version: "1", weights_sha256: {} }, review: review(more),
});

describe("changes", () => {
  test("the later change of a disk counts, other disks stay", () => {
    const merged = merge(
      { comment: "a", disks: [disk("L4-L5", { finding: "bulge" }), disk("L1-L2")] },
      { disks: [disk("L4-L5", { finding: "normal" })] },
    );
    expect(merged.comment).toBe("a");
    expect(merged.disks).toEqual([disk("L1-L2"), disk("L4-L5", { finding: "normal" })]);
  });

  test("a change is laid over the report and leaves the machine's reading as it is", () => {
    const report: Report = { version: 1, versions: [], revision: 3, texts: {}, files: [], document: document(["L5"]) };
    const after = apply(report, { comment: "seen", disks: [disk("L5-S1", { confirmed: true })] });
    expect(after.document.review.comment).toBe("seen");
    expect(after.document.review.disks).toEqual([disk("L5-S1", { confirmed: true })]);
    expect(after.document.vertebrae).toBe(report.document.vertebrae);
    expect(report.document.review.comment).toBe("");
  });
});

test("the person's finding comes before the machine's", () => {
  const machine = { level: "L4-L5", finding: "normal" } as Disk;
  expect(findingNow(machine, review())).toBe("normal");
  expect(findingNow(machine, review({ disks: [disk("L4-L5", { finding: "herniation" })] }))).toBe("herniation");
});

describe("names", () => {
  test("a count that was off by one is moved as a whole, past the sacrum without an L6", () => {
    const moved = shifted(document(["T12", "L5", "S1"]), 1);
    expect(moved.map(({ level, corrected_level }) => [level, corrected_level])).toEqual([["T12", "L1"], ["L5", "S1"], ["S1", "S2"]]);
  });

  test("moved there and back, the machine's names stand again", () => {
    const there = document(["L4", "L5"], { vertebrae: shifted(document(["L4", "L5"]), -1) });
    expect(shifted(there, 1).every(({ corrected_level }) => corrected_level === null)).toBe(true);
  });

  test("a disk is called by the names of its neighbours", () => {
    const corrected = review({ vertebrae: [{ level: "L5", corrected_level: "L6", confirmed: true }] });
    expect(diskName(corrected, "L4-L5")).toBe("L4-L6");
    expect(diskName(corrected, "L2-L3")).toBe("L2-L3");
  });
});

test("what is not confirmed is counted over disks and vertebrae", () => {
  const left = open(document(["L5", "S1"], { disks: [disk("L1-L2", { confirmed: true })] }));
  expect(left.disks).toHaveLength(4);
  expect(left.vertebrae).toHaveLength(2);
  expect(left.total).toBe(7);
});
