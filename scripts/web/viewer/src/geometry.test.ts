import { describe, expect, test } from "vitest";
import { cutLine, distanceMm, nearest, normal, side, type Slice, toPatient, toPixel, within } from "./geometry";
import type { ImagePlane, Vector } from "./types";

const turn = (degrees: number) => [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)] as const;

/** Rows run to the back, columns to the feet, as sagittal images lie. */
const sagittal = (x = 0): Slice => ({
  rows: 300,
  columns: 200,
  plane: {
    origin_lps_mm: [x, -100, 150],
    row_direction: [0, 1, 0],
    column_direction: [0, 0, -1],
    spacing_mm: [1, 1],
    thickness_mm: 4,
  },
});

/** Rows run to the left, columns to the back, tilted about the patient's left-right axis. */
function axial(z: number, tilt_deg = 0, size = 120): Slice {
  const [cos, sin] = turn(tilt_deg);
  const half = size / 2;
  return {
    rows: size * 2,
    columns: size * 2,
    plane: {
      origin_lps_mm: [-half, -half * cos, z + half * sin],
      row_direction: [1, 0, 0],
      column_direction: [0, cos, -sin],
      spacing_mm: [0.5, 0.5],
      thickness_mm: 4,
    },
  };
}

describe("pixels and patient space", () => {
  test("a pixel goes to the patient and back", () => {
    const { plane } = axial(12, 23);
    const [column, row] = toPixel(plane, toPatient(plane, [31.25, 77.5]));
    expect(column).toBeCloseTo(31.25, 9);
    expect(row).toBeCloseTo(77.5, 9);
  });

  test("spacing is between rows first, between columns second", () => {
    const plane: ImagePlane = { ...sagittal().plane, spacing_mm: [2, 3] };
    expect(toPatient(plane, [10, 20])).toEqual([0, -100 + 30, 150 - 40]);
  });

  test("the distance from a plane is signed along its normal", () => {
    const { plane } = axial(12);
    const sign = Math.sign(normal(plane)[2]);
    expect(distanceMm(plane, [5, 7, 15])).toBeCloseTo(3 * sign, 9);
  });

  test("the nearest plane is found, those without a place are passed over", () => {
    expect(nearest([null, axial(0).plane, axial(10).plane, axial(20).plane], [0, 0, 13])).toBe(2);
    expect(nearest([null], [0, 0, 0])).toBe(-1);
  });
});

describe("reference lines", () => {
  test("a level axial slice is a level line at its height on the sagittal image, as long as its field of view", () => {
    const [from, to] = cutLine(sagittal(), axial(30))!;
    expect(from[1]).toBeCloseTo(120, 6);
    expect(to[1]).toBeCloseTo(120, 6);
    const columns = [from[0], to[0]].sort((a, b) => a - b);
    // The axial image covers -60.25 .. 59.75 mm from front to back; column 0 is at -100 mm.
    expect(columns[0]).toBeCloseTo(39.75, 6);
    expect(columns[1]).toBeCloseTo(159.75, 6);
  });

  test("the sagittal slice is an upright line at its side on the axial image", () => {
    const [from, to] = cutLine(axial(30), sagittal(10))!;
    expect(from[0]).toBeCloseTo(140, 6);
    expect(to[0]).toBeCloseTo(140, 6);
  });

  test.each([-35, -12, 0, 25, 60])("both ends of the line of a slice tilted by %d degrees lie in both planes", (tilt) => {
    const shown = sagittal(-7);
    const other = axial(-20, tilt);
    const line = cutLine(shown, other)!;
    for (const end of line) {
      const point = toPatient(shown.plane, end);
      expect(distanceMm(other.plane, point)).toBeCloseTo(0, 6);
      expect(distanceMm(shown.plane, point)).toBeCloseTo(0, 6);
    }
  });

  test("the line tilts as the slice does", () => {
    const [from, to] = cutLine(sagittal(), axial(0, 25))!;
    const slope = (to[1] - from[1]) / (to[0] - from[0]);
    expect((Math.atan(slope) * 180) / Math.PI).toBeCloseTo(25, 6);
  });

  test("seen from either image, the line is the same one in the patient", () => {
    const a = sagittal(4);
    const b = axial(11, 17);
    const there = cutLine(a, b)!.map((pixel) => toPatient(a.plane, pixel));
    const back = cutLine(b, a)!.map((pixel) => toPatient(b.plane, pixel));
    const key = (point: Vector) => point[1];
    there.sort((p, q) => key(p) - key(q));
    back.sort((p, q) => key(p) - key(q));
    there.forEach((point, i) => point.forEach((value, axis) => expect(value).toBeCloseTo(back[i]![axis]!, 6)));
  });

  test("parallel images have no line", () => {
    expect(cutLine(sagittal(0), sagittal(8))).toBeNull();
    expect(cutLine(axial(0), axial(0, 5))).toBeNull();
  });

  test("an image beside the other has no line on it", () => {
    expect(cutLine(sagittal(200), axial(0))).toBeNull();
    expect(cutLine(sagittal(), axial(500))).toBeNull();
  });
});

describe("sides of the patient", () => {
  test.each<[Vector, string]>([
    [[1, 0, 0], "L"],
    [[-1, 0, 0], "R"],
    [[0, 1, 0], "P"],
    [[0, 0, 1], "H"],
    [[0, 0.9, -0.43], "PF"],
    [[0.05, -0.99, 0.1], "A"],
  ])("%j points to %s", (direction, letters) => expect(side(direction)).toBe(letters));
});

test("a point is told to be within a turned square or not", () => {
  const diamond: [number, number][] = [[0, -10], [10, 0], [0, 10], [-10, 0]];
  expect(within(diamond, [4, 4])).toBe(true);
  expect(within(diamond, [6, 6])).toBe(false);
});
