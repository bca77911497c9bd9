/**
 * Where images lie in the patient, and where one image cuts another.
 *
 * Patient space is LPS in millimetres. Pixels are [column, row] with pixel centres at whole numbers, so an image covers
 * [-0.5, columns - 0.5] x [-0.5, rows - 0.5].
 */

import type { ImagePlane, Point, Vector } from "./types";

export interface Slice {
  plane: ImagePlane;
  rows: number;
  columns: number;
}

/** Two images whose planes meet at less than this are taken as parallel: their line of intersection says nothing. */
export const LEAST_ANGLE_DEG = 10;

export const dot = (a: Vector, b: Vector): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

export const minus = (a: Vector, b: Vector): Vector => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];

export const cross = (a: Vector, b: Vector): Vector => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
];

/** Unit normal of the plane: row direction x column direction. */
export function normal(plane: ImagePlane): Vector {
  const n = cross(plane.row_direction, plane.column_direction);
  const length = Math.hypot(...n);
  return [n[0] / length, n[1] / length, n[2] / length];
}

/** Patient coordinates (LPS, mm) of a pixel. */
export function toPatient(plane: ImagePlane, [column, row]: Point): Vector {
  const along = column * plane.spacing_mm[1];
  const down = row * plane.spacing_mm[0];
  const at = (i: 0 | 1 | 2) => plane.origin_lps_mm[i] + along * plane.row_direction[i] + down * plane.column_direction[i];
  return [at(0), at(1), at(2)];
}

/** Pixel onto which a patient point falls along the plane's normal. */
export function toPixel(plane: ImagePlane, point: Vector): Point {
  const from = minus(point, plane.origin_lps_mm);
  return [dot(from, plane.row_direction) / plane.spacing_mm[1], dot(from, plane.column_direction) / plane.spacing_mm[0]];
}

/** Signed distance (mm) of a patient point from the plane, along its normal. */
export function distanceMm(plane: ImagePlane, point: Vector): number {
  return dot(minus(point, plane.origin_lps_mm), normal(plane));
}

/**
 * The line where `other` cuts `shown`, in pixels of `shown`: as far as it lies in both images.
 *
 * @returns two pixels, or null where the images are (nearly) parallel or do not meet.
 */
export function cutLine(shown: Slice, other: Slice): [Point, Point] | null {
  const a = shown.plane;
  const b = other.plane;
  const across = Math.hypot(...cross(normal(a), normal(b)));
  if (across < Math.sin((LEAST_ANGLE_DEG * Math.PI) / 180)) return null;
  // The plane of `other` in pixels of `shown`: u * column + v * row + w = 0.
  const n = normal(b);
  const u = dot(n, a.row_direction) * a.spacing_mm[1];
  const v = dot(n, a.column_direction) * a.spacing_mm[0];
  const w = distanceMm(b, a.origin_lps_mm);
  const square = u * u + v * v;
  const foot: Point = [(-u * w) / square, (-v * w) / square];
  const along: Point = [-v, u];
  const at = (t: number): Point => [foot[0] + t * along[0], foot[1] + t * along[1]];
  const inOther = (t: number): Point => toPixel(b, toPatient(a, at(t)));
  const range = clip(
    [
      [at, shown],
      [inOther, other],
    ],
  );
  return range && [at(range[0]), at(range[1])];
}

/** The part of a line, t in (-inf, inf), that lies within every image; each `at` is affine in t. */
function clip(limits: [(t: number) => Point, Slice][]): [number, number] | null {
  let from = -Infinity;
  let to = Infinity;
  for (const [at, slice] of limits) {
    const start = at(0);
    const next = at(1);
    for (const [axis, count] of [[0, slice.columns], [1, slice.rows]] as const) {
      const step = next[axis] - start[axis];
      const low = -0.5 - start[axis];
      const high = count - 0.5 - start[axis];
      if (Math.abs(step) < 1e-9) {
        if (low > 0 || high < 0) return null;
        continue;
      }
      const ends = [low / step, high / step];
      from = Math.max(from, Math.min(...ends));
      to = Math.min(to, Math.max(...ends));
    }
  }
  return from < to ? [from, to] : null;
}

/** Index of the plane that lies nearest to a point; -1 where none has a place in the patient. */
export function nearest(planes: (ImagePlane | null)[], point: Vector): number {
  let best = -1;
  let least = Infinity;
  planes.forEach((plane, index) => {
    if (!plane) return;
    const distance = Math.abs(distanceMm(plane, point));
    if (distance < least) {
      least = distance;
      best = index;
    }
  });
  return best;
}

/** Letters of the patient's side toward which a direction points, the main one first: A, P, L, R, H (head), F (feet). */
export function side(direction: Vector): string {
  const letters: [string, string][] = [["L", "R"], ["P", "A"], ["H", "F"]];
  return direction
    .map((value, axis) => ({ size: Math.abs(value), letter: letters[axis]![value > 0 ? 0 : 1]! }))
    .filter(({ size }) => size > 0.4)
    .sort((x, y) => y.size - x.size)
    .map(({ letter }) => letter)
    .slice(0, 2)
    .join("");
}

/** Is the pixel within the polygon? */
export function within(corners: Point[], [x, y]: Point): boolean {
  let inside = false;
  corners.forEach(([x1, y1], i) => {
    const [x2, y2] = corners[(i + 1) % corners.length]!;
    if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) inside = !inside;
  });
  return inside;
}
