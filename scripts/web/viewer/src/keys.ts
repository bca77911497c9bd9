/** The keys of the reading view: what the help shows, and what a pressed key means. */

import { DISK_LEVELS, type DiskLevel, type Finding } from "./types";
import type { TextKey } from "./texts";

export const KEYS: readonly { shown: readonly string[]; text: TextKey }[] = [
  { shown: ["1", "…", "5"], text: "key.disks" },
  { shown: ["↑", "↓"], text: "key.scroll" },
  { shown: ["PgUp", "PgDn"], text: "key.page" },
  { shown: ["Home", "End"], text: "key.ends" },
  { shown: ["X"], text: "key.switch" },
  { shown: ["[", "]"], text: "key.window" },
  { shown: [",", "."], text: "key.level" },
  { shown: ["+", "−"], text: "key.zoom" },
  { shown: ["Shift + ← ↑ → ↓"], text: "key.pan" },
  { shown: ["R"], text: "key.reset" },
  { shown: ["O"], text: "key.overlays" },
  { shown: ["L"], text: "key.lines" },
  { shown: ["M"], text: "key.heat" },
  { shown: ["N", "B", "H"], text: "key.finding" },
  { shown: ["C"], text: "key.confirm" },
  { shown: ["?"], text: "key.help" },
  { shown: ["Esc"], text: "key.close" },
];

export type Command =
  | { do: "disk"; level: DiskLevel }
  | { do: "scroll"; by: number }
  | { do: "switch" | "reset" | "boxes" | "lines" | "heat" | "confirm" | "help" | "leave" }
  | { do: "window"; width: number; level: number }
  | { do: "zoom"; factor: number }
  | { do: "pan"; across_px: number; down_px: number }
  | { do: "finding"; finding: Finding };

const FAR = Number.POSITIVE_INFINITY;
const PAN_PX = 30;

/** Keys that have a name: they always work. */
const NAMED: Record<string, Command> = {
  ArrowUp: { do: "scroll", by: -1 },
  ArrowLeft: { do: "scroll", by: -1 },
  ArrowDown: { do: "scroll", by: 1 },
  ArrowRight: { do: "scroll", by: 1 },
  PageUp: { do: "scroll", by: -5 },
  PageDown: { do: "scroll", by: 5 },
  Home: { do: "scroll", by: -FAR },
  End: { do: "scroll", by: FAR },
  Escape: { do: "leave" },
};

const WITH_SHIFT: Record<string, Command> = {
  ArrowUp: { do: "pan", across_px: 0, down_px: -PAN_PX },
  ArrowDown: { do: "pan", across_px: 0, down_px: PAN_PX },
  ArrowLeft: { do: "pan", across_px: -PAN_PX, down_px: 0 },
  ArrowRight: { do: "pan", across_px: PAN_PX, down_px: 0 },
};

/** Keys of one character: they can be switched off, for those who speak to the computer or hit keys by chance. */
const SINGLE: Record<string, Command> = {
  ...Object.fromEntries(DISK_LEVELS.map((level, index) => [String(index + 1), { do: "disk", level }])),
  x: { do: "switch" },
  r: { do: "reset" },
  o: { do: "boxes" },
  l: { do: "lines" },
  m: { do: "heat" },
  c: { do: "confirm" },
  "?": { do: "help" },
  "[": { do: "window", width: 0.9, level: 0 },
  "]": { do: "window", width: 1 / 0.9, level: 0 },
  ",": { do: "window", width: 1, level: 0.05 },
  ".": { do: "window", width: 1, level: -0.05 },
  "+": { do: "zoom", factor: 1.15 },
  "=": { do: "zoom", factor: 1.15 },
  "-": { do: "zoom", factor: 1 / 1.15 },
  n: { do: "finding", finding: "normal" },
  b: { do: "finding", finding: "bulge" },
  h: { do: "finding", finding: "herniation" },
};

type Pressed = Pick<KeyboardEvent, "key" | "shiftKey" | "ctrlKey" | "altKey" | "metaKey">;

/**
 * What a key means.
 *
 * @param onControl the focus is on something that has keys of its own (a field, a list, a button): named keys are left to it.
 */
export function command(pressed: Pressed, single: boolean, onControl: boolean): Command | null {
  if (pressed.ctrlKey || pressed.altKey || pressed.metaKey) return null;
  const named = pressed.shiftKey ? WITH_SHIFT[pressed.key] : NAMED[pressed.key];
  if (named) return onControl && named.do !== "leave" ? null : named;
  return single ? (SINGLE[pressed.key.toLowerCase()] ?? null) : null;
}
