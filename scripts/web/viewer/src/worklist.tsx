/** The work list: every study with its state, newest first. */

import { useEffect, useRef, useState } from "preact/hooks";
import { ALL_LABELS, api, download, listen } from "./api";
import { usePage } from "./page";
import { Dialog, Notice, Switches, usePatientName } from "./parts";
import { isTextKey, moment, type TextKey } from "./texts";
import { DISK_LEVELS, type StudyEntry, type StudyState } from "./types";
import { UploadPanel } from "./upload";

const STATES: readonly StudyState[] = ["queued", "reading", "read", "signed", "failed"];
const PAGE_SIZE = 50;
/** Milliseconds to wait for more to be typed, or for more changes from the server. */
const PAUSE = 250;

export function WorkList() {
  const page = usePage();
  const { say, announce, problem } = page;
  const nameOf = usePatientName();
  const [query, setQuery] = useState("");
  const [state, setState] = useState<StudyState | "">("");
  const [limit, setLimit] = useState(PAGE_SIZE);
  const [list, setList] = useState<{ total: number; studies: StudyEntry[] } | null>(null);
  const [trouble, setTrouble] = useState("");
  const [deleting, setDeleting] = useState<StudyEntry | null>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const newest = useRef(0);

  /** Asks for the list; an answer that was overtaken by a later question is dropped. */
  async function refresh() {
    const number = ++newest.current;
    try {
      const answer = await api.search(query, state ? [state] : [], limit);
      if (number !== newest.current) return;
      setList(answer);
      setTrouble("");
    } catch (error) {
      if (number === newest.current) setTrouble(problem(error));
    }
  }
  const latest = useRef(refresh);
  latest.current = refresh;
  const timer = useRef<number | undefined>(undefined);
  const refreshSoon = () => {
    clearTimeout(timer.current);
    timer.current = window.setTimeout(() => void latest.current(), PAUSE);
  };
  useEffect(refreshSoon, [query, state, limit, page.language]);

  const tell = useRef((_: StudyEntry) => {});
  tell.current = (entry) => {
    const patient = nameOf(entry.patient);
    if (entry.state === "reading" && entry.step) announce(`${say("progress.of", { patient })}: ${stepName(say, entry.step)}`);
    if (entry.state === "read") announce(say("progress.done", { patient }));
    if (entry.state === "failed") announce(say("progress.failed", { patient, message: entry.message }));
  };
  useEffect(
    () =>
      listen({
        study: (entry) => {
          tell.current(entry);
          setList((old) => old && { ...old, studies: old.studies.map((one) => (one.id === entry.id ? entry : one)) });
          refreshSoon();
        },
        deleted: refreshSoon,
        open: () => void latest.current(),
        lost: () => setTrouble(say("connection.lost")),
      }),
    [],
  );

  return (
    <>
      <a class="skip" href="#studies" onClick={(event) => (event.preventDefault(), heading.current?.focus())}>
        {say("skip")}
      </a>
      <header class="masthead">
        <h1>{say("title")}</h1>
        <Notice />
        <Switches />
      </header>
      <main class="list">
        <UploadPanel onAdded={refreshSoon} />
        {trouble && <p class="problem" role="alert">{trouble}</p>}
        <div class="filter">
          <h2 ref={heading} tabIndex={-1}>{say("list.heading")}</h2>
          <label class="search">
            <span class="unseen">{say("list.search")}</span>
            <input type="search" value={query} placeholder={say("list.search.hint")} onInput={(event) => setQuery(event.currentTarget.value)} />
          </label>
          <label>
            {say("list.filter")}{" "}
            <select value={state} onChange={(event) => setState(event.currentTarget.value as StudyState | "")}>
              <option value="">{say("list.all")}</option>
              {STATES.map((name) => (
                <option key={name} value={name}>
                  {say(`state.${name}`)}
                </option>
              ))}
            </select>
          </label>
          <span class="quiet" data-total={list?.total}>
            {list && (list.total === 1 ? say("list.total.one") : say("list.total", { count: list.total }))}
          </span>
          <button type="button" class="plain right"
            onClick={() => void download(ALL_LABELS).catch((error: unknown) => setTrouble(problem(error)))}>
            {say("export.all_labels")}
          </button>
        </div>
        {list && list.studies.length === 0 && <p class="empty">{say(query || state ? "list.nothing" : "list.empty")}</p>}
        {list && list.studies.length > 0 && <Table studies={list.studies} onDelete={setDeleting} onChanged={refreshSoon} />}
        {list && list.studies.length < list.total && (
          <button type="button" class="more" onClick={() => setLimit(limit + PAGE_SIZE)}>
            {say("list.more")}
          </button>
        )}
      </main>
      {deleting && (
        <DeleteDialog
          study={deleting}
          onClose={() => setDeleting(null)}
          onDeleted={() => {
            setDeleting(null);
            refreshSoon();
            heading.current?.focus();
          }}
        />
      )}
    </>
  );
}

function stepName(say: (key: TextKey) => string, step: string): string {
  const key = `step.${step}`;
  return isTextKey(key) ? say(key) : step;
}

function Table(props: { studies: StudyEntry[]; onDelete: (study: StudyEntry) => void; onChanged: () => void }) {
  const { say, language } = usePage();
  const nameOf = usePatientName();
  return (
    <table class="studies">
      <caption class="unseen">{say("list.caption")}</caption>
      <thead>
        <tr>
          {(["state", "patient", "date", "description", "findings", "flags", "received", "actions"] as const).map((column) => (
            <th key={column} scope="col">
              {say(`list.${column}`)}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {props.studies.map((study) => (
          <tr key={study.id} data-study={study.id} data-state={study.state}>
            <td><State study={study} /></td>
            <th scope="row">
              {opens(study) ? <a href={`#/study/${study.id}`}>{nameOf(study.patient)}</a> : nameOf(study.patient)}
              <div class="quiet">
                {[study.patient.id, study.patient.birth_date, study.patient.sex].filter(Boolean).join(" · ")}
              </div>
            </th>
            <td class="number" data-label={say("list.date")}>{study.study_date}</td>
            <td>
              {study.description}
              <div class="quiet">
                {[
                  study.accession_number,
                  study.files === 1 ? say("list.files.one") : say("list.files", { count: study.files }),
                  study.related.length > 0 && say("list.related", { count: study.related.length }),
                ].filter(Boolean).join(" · ")}
              </div>
            </td>
            <td><Findings study={study} /></td>
            <td>
              {study.flags.length > 0 && (
                <span class="flag">
                  ⚑ {study.flags.length === 1 ? say("list.flags.one") : say("list.flags.count", { count: study.flags.length })}
                </span>
              )}
            </td>
            <td class="number" data-label={say("list.received")}>{moment(language, study.created_at)}</td>
            <td class="actions">
              <Actions study={study} onDelete={props.onDelete} onChanged={props.onChanged} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

const opens = (study: StudyEntry) => study.state === "read" || study.state === "signed";

function State({ study }: { study: StudyEntry }) {
  const { say } = usePage();
  const patient = usePatientName()(study.patient);
  const amending = study.state === "read" && study.signed_versions > 0;
  return (
    <>
      <span class={`badge ${study.state}`}>{say(amending ? "state.amending" : `state.${study.state}`)}</span>
      {study.state === "reading" && (
        <>
          <progress value={study.progress} max={1} aria-label={say("progress.of", { patient })} />
          <div class="quiet">{study.step && stepName(say, study.step)}</div>
        </>
      )}
      {study.state === "queued" && study.ahead > 0 && <div class="quiet">{say("list.ahead", { count: study.ahead })}</div>}
      {study.message && <div class={study.state === "failed" ? "bad" : "quiet"}>{study.message}</div>}
    </>
  );
}

const MARKS = { normal: "○", bulge: "◐", herniation: "●" } as const;

function Findings({ study }: { study: StudyEntry }) {
  const { say } = usePage();
  if (!opens(study)) return null;
  return (
    <ul class="findings-row">
      {DISK_LEVELS.map((level) => {
        const finding = study.findings[level] ?? null;
        const text = finding ? say(`finding.${finding}`) : say("findings.not_judged");
        return (
          <li key={level} title={`${level}: ${text}`}>
            <span class="level">{level}</span>
            <span class={`mark ${finding ?? "none"}`} aria-hidden="true">{finding ? MARKS[finding] : "–"}</span>
            <span class="unseen">{text}</span>
          </li>
        );
      })}
    </ul>
  );
}

function Actions(props: { study: StudyEntry; onDelete: (study: StudyEntry) => void; onChanged: () => void }) {
  const { say, problem } = usePage();
  const { study } = props;
  const patient = usePatientName()(study.patient);
  const [trouble, setTrouble] = useState("");
  const retry = () => api.retry(study.id).then(props.onChanged, (error: unknown) => setTrouble(problem(error)));
  return (
    <>
      {opens(study) && (
        <a class="button" href={`#/study/${study.id}`} aria-label={say("list.open.label", { patient })}>
          {say("list.open")}
        </a>
      )}
      {study.state === "failed" && (
        <button type="button" aria-label={say("list.retry.label", { patient })} onClick={() => void retry()}>
          {say("retry")}
        </button>
      )}
      <button type="button" class="plain" aria-label={say("list.delete.label", { patient })} onClick={() => props.onDelete(study)}>
        {say("list.delete")}
      </button>
      {trouble && <div class="bad" role="alert">{trouble}</div>}
    </>
  );
}

function DeleteDialog(props: { study: StudyEntry; onClose: () => void; onDeleted: () => void }) {
  const { say, problem } = usePage();
  const patient = usePatientName()(props.study.patient);
  const signed = props.study.signed_versions > 0;
  const [trouble, setTrouble] = useState("");
  const remove = () => api.remove(props.study.id, signed).then(props.onDeleted, (error: unknown) => setTrouble(problem(error)));
  return (
    <Dialog heading={say("delete.heading")} onClose={props.onClose}>
      <p>{say("delete.words", { patient })}</p>
      {signed && <p class="problem">{say("delete.signed")}</p>}
      {trouble && <p class="problem" role="alert">{trouble}</p>}
      <footer>
        <button type="button" onClick={props.onClose}>{say("cancel")}</button>
        <button type="button" class="danger" onClick={() => void remove()}>{say("delete.confirm")}</button>
      </footer>
    </Dialog>
  );
}
