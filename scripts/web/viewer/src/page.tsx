/** What every part of the page shares: language, appearance, the server's limits, and what is told to a screen reader. */

import { createContext, type ComponentChildren } from "preact";
import { useContext, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ApiError, NO_ANSWER, speakTo } from "./api";
import { isLanguage, type Language, type Say, speaker } from "./texts";
import type { Info } from "./types";

export type Theme = "system" | "light" | "dark";

export interface Page {
  say: Say;
  language: Language;
  setLanguage: (language: Language) => void;
  theme: Theme;
  setTheme: (theme: Theme) => void;
  info: Info;
  /** Has a screen reader say it. */
  announce: (text: string) => void;
  /** An error as a sentence for the user. */
  problem: (error: unknown) => string;
}

const Context = createContext<Page | null>(null);

export function usePage(): Page {
  const page = useContext(Context);
  if (!page) throw new Error("outside of the page");
  return page;
}

/** A choice that this browser keeps. */
export function useKept<T extends string>(key: string, first: T, valid: (value: string) => boolean) {
  const [value, setValue] = useState<T>(() => {
    const kept = localStorage.getItem(key);
    return kept !== null && valid(kept) ? (kept as T) : first;
  });
  const keep = (next: T) => {
    localStorage.setItem(key, next);
    setValue(next);
  };
  return [value, keep] as const;
}

const THEMES: readonly string[] = ["system", "light", "dark"];

export function PageProvider({ info, children }: { info: Info; children: ComponentChildren }) {
  const [language, setLanguage] = useKept<Language>("language", isLanguage(info.language) ? info.language : "en", isLanguage);
  const [theme, setTheme] = useKept<Theme>("theme", "system", (value) => THEMES.includes(value));
  const region = useRef<HTMLDivElement>(null);
  const say = useMemo(() => speaker(language), [language]);
  speakTo(language);
  useEffect(() => {
    document.documentElement.lang = language;
    document.title = say("title");
  }, [language, say]);
  useEffect(() => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  }, [theme]);
  const page: Page = {
    say,
    language,
    setLanguage,
    theme,
    setTheme,
    info,
    announce: (text) => {
      if (region.current) region.current.textContent = text;
    },
    problem: (error) => sentence(say, error),
  };
  return (
    <Context.Provider value={page}>
      {children}
      <div ref={region} class="unseen" role="status" aria-live="polite" />
    </Context.Provider>
  );
}

export function sentence(say: Say, error: unknown): string {
  if (!(error instanceof ApiError)) return String(error);
  if (error.status === NO_ANSWER) return say("error.network");
  return error.message || say("error.unknown", { status: error.status });
}
