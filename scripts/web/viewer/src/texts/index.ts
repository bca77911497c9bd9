import { en, type TextKey } from "./en";
import { zh } from "./zh";

export type { TextKey };
export type Language = "en" | "zh";
export type Say = (key: TextKey, words?: Record<string, string | number>) => string;

export const CATALOGUES: Record<Language, Record<TextKey, string>> = { en, zh };
export const LANGUAGES = Object.keys(CATALOGUES) as Language[];

export const isLanguage = (code: string | null): code is Language => LANGUAGES.includes(code as Language);

export const isTextKey = (key: string): key is TextKey => key in en;

/** The sentences of a language, their {words} filled in. */
export function speaker(language: Language): Say {
  const catalogue = CATALOGUES[language];
  return (key, words = {}) =>
    catalogue[key].replace(/\{(\w+)\}/g, (brace, name: string) => (name in words ? String(words[name]) : brace));
}

/** The language's own way to write a time that the server gave in UTC. */
export function moment(language: Language, iso: string): string {
  const at = new Date(iso);
  return Number.isNaN(at.getTime())
    ? iso
    : new Intl.DateTimeFormat(language === "zh" ? "zh-CN" : "en-GB", { dateStyle: "medium", timeStyle: "short" }).format(at);
}

/**
 * A probability in whole percent, as the reports write it (bundle/report/wording.py): halves go to the even number, and what
 * is not certain is never shown as 0 or 100.
 */
export function percent(share: number): string {
  const exact = 100 * share;
  const below = Math.floor(exact);
  const isHalf = Math.abs(exact - below - 0.5) < 1e-9;
  const value = isHalf ? below + (below % 2) : Math.round(exact);
  return value === 0 ? "<1%" : value === 100 ? ">99%" : `${value}%`;
}
