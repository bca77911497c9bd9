/** Small parts that several views use. */

import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { usePage, type Theme } from "./page";
import { CATALOGUES, LANGUAGES, type Language } from "./texts";
import type { Patient } from "./types";

/** A modal dialog; the browser keeps the focus in it and closes it by Escape. */
export function Dialog(props: { heading: string; wide?: boolean; onClose: () => void; children: ComponentChildren }) {
  const { say } = usePage();
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    return () => before instanceof HTMLElement && before.focus();
  }, []);
  return (
    <dialog ref={dialog} class={props.wide ? "wide" : ""} aria-labelledby={heading} onClose={props.onClose}>
      <header>
        <h2 id={heading}>{props.heading}</h2>
        <button type="button" class="plain" aria-label={say("close")} onClick={() => dialog.current?.close()}>
          ✕
        </button>
      </header>
      {props.children}
    </dialog>
  );
}

/** Language and appearance. */
export function Switches() {
  const { say, language, setLanguage, theme, setTheme } = usePage();
  return (
    <div class="switches">
      <label>
        <span class="unseen">{say("language.label")}</span>
        <select value={language} onChange={(event) => setLanguage(event.currentTarget.value as Language)}>
          {LANGUAGES.map((code) => (
            <option key={code} value={code} lang={code}>
              {CATALOGUES[code].language}
            </option>
          ))}
        </select>
      </label>
      <label>
        <span class="unseen">{say("theme")}</span>
        <select value={theme} onChange={(event) => setTheme(event.currentTarget.value as Theme)}>
          {(["system", "light", "dark"] as const).map((name) => (
            <option key={name} value={name}>
              {say(`theme.${name}`)}
            </option>
          ))}
        </select>
      </label>
    </div>
  );
}

export function Notice() {
  return <strong class="notice">{usePage().say("notice")}</strong>;
}

/** How a patient is called on the page, also where the headers have no name. */
export function usePatientName(): (patient: Patient) => string {
  const { say } = usePage();
  return (patient) => patient.name || patient.id || say("list.unnamed");
}
