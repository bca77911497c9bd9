/** The panel beside the images: remarks first, then the disks, the vertebrae, and words on the whole study. */

import { useEffect, useRef, useState } from "preact/hooks";
import { reportFile } from "./api";
import { usePage } from "./page";
import {
  type Change, diskName, diskReview, findingNow, open, type Saving, shifted, vertebraName, vertebraReview,
} from "./review";
import { moment, percent } from "./texts";
import {
  CORRECTED_LEVELS, type Disk, type DiskLevel, FINDINGS, type Finding, type Report, type Vertebra,
} from "./types";

export interface PanelProps {
  study: string;
  report: Report;
  selected: DiskLevel | null;
  onDisk: (level: DiskLevel) => void;
  onVertebra: (vertebra: Vertebra) => void;
  onChange: (change: Change) => void;
}

export function Flags({ report, codes }: { report: Report; codes: string[] }) {
  return (
    <ul class="flags">
      {codes.map((code) => (
        <li key={code} data-flag={code}>{report.texts[code] ?? code}</li>
      ))}
    </ul>
  );
}

export function Panel(props: PanelProps) {
  const { say } = usePage();
  const { report } = props;
  const { document } = report;
  const fixed = document.review.status === "final";
  return (
    <>
      <section class={`remarks${document.flags.length ? "" : " calm"}`} aria-labelledby="remarks">
        <h2 id="remarks">{say("findings.flags")}</h2>
        {document.flags.length ? <Flags report={report} codes={document.flags} /> : <p>{say("findings.flags.none")}</p>}
      </section>
      <section aria-labelledby="disks">
        <h2 id="disks">{say("findings.disks")}</h2>
        {document.disks.map((disk) => <DiskCard key={disk.level} {...props} disk={disk} fixed={fixed} />)}
      </section>
      <Vertebrae {...props} fixed={fixed} />
      <section aria-labelledby="words">
        <h2 id="words">{say("review.comment")}</h2>
        <Words label={say("review.comment")} value={document.review.comment} fixed={fixed}
          onWords={(comment) => props.onChange({ comment })} />
      </section>
    </>
  );
}

function DiskCard(props: PanelProps & { disk: Disk; fixed: boolean }) {
  const { say } = usePage();
  const { disk, report, selected, fixed, onChange } = props;
  const { review } = report.document;
  const mine = diskReview(review, disk.level);
  const finding = findingNow(disk, review);
  const isOpen = disk.level === selected;
  const changed = mine.finding !== null && mine.finding !== disk.finding;
  const called = diskName(review, disk.level);
  const text = finding ? say(`finding.${finding}`) : say("findings.not_judged");
  // The machine's probability stands beside its own finding only, not beside another one of the reader's.
  const share = finding && finding === disk.finding ? disk.probabilities?.[finding] : null;
  const card = useRef<HTMLElement>(null);
  const begun = useRef(false);
  useEffect(() => {
    // Not at first: remarks stand above the disks and are to be seen first.
    if (isOpen && begun.current) card.current?.scrollIntoView({ block: "nearest" });
    begun.current = true;
  }, [isOpen]);
  return (
    <article ref={card} class={`disk${isOpen ? " open" : ""}`} data-disk={disk.level} data-finding={finding ?? ""}>
      <h3>
        <button type="button" aria-expanded={isOpen} aria-label={`${say("findings.go", { level: disk.level })}: ${text}`}
          onClick={() => props.onDisk(disk.level)}>
          <span class="level">{disk.level}</span>
          <span class="finding">{text}</span>
          {typeof share === "number" && <span class="quiet">{percent(share)}</span>}
          {changed && <span class="changed">{say("findings.changed")}</span>}
          {disk.flags.length > 0 && <span class="flag" aria-hidden="true">⚑</span>}
          <span class="tick" aria-hidden="true">{mine.confirmed ? "✓" : ""}</span>
        </button>
      </h3>
      {!isOpen && <Bars disk={disk} small />}
      {isOpen && (
        <div class="body">
          {called !== disk.level && <p class="quiet">{say("findings.level_now", { level: called })}</p>}
          {disk.flags.length > 0 && <Flags report={report} codes={disk.flags} />}
          <p class="quiet">
            {say("findings.machine")}: <b>{disk.finding ? say(`finding.${disk.finding}`) : say("findings.not_judged")}</b>
            {disk.views.length > 0 && (
              <>. {say("findings.judged_from", { views: disk.views.map((view) => say(`view.${view}`)).join(", ") })}</>
            )}
            {disk.height_mm !== null && <>. {say("findings.height", { value: disk.height_mm.toFixed(1) })}</>}
          </p>
          <Bars disk={disk} />
          <fieldset disabled={fixed}>
            <legend>{say("findings.yours", { level: disk.level })}</legend>
            {FINDINGS.map((one) => (
              <label key={one}>
                <input type="radio" name={`finding-${disk.level}`} checked={finding === one}
                  onChange={() => onChange({ disks: [chosen(report, disk, one)] })} />
                {say(`finding.${one}`)}
              </label>
            ))}
            <label class="confirm">
              <input type="checkbox" checked={mine.confirmed} aria-label={say("findings.confirm.label", { level: disk.level })}
                onChange={(event) => onChange({ disks: [{ ...mine, confirmed: event.currentTarget.checked }] })} />
              {say("findings.confirm")}
            </label>
          </fieldset>
          <Words label={say("findings.comment", { level: disk.level })} value={mine.comment} fixed={fixed}
            onWords={(comment) => onChange({ disks: [{ ...mine, comment }] })} />
          <Picture {...props} />
        </div>
      )}
    </article>
  );
}

/** A finding that a person chooses is confirmed by that; the machine's own is kept as "the machine's stands". */
export function chosen(report: Report, disk: Disk, finding: Finding) {
  const mine = diskReview(report.document.review, disk.level);
  return { ...mine, finding: finding === disk.finding ? null : finding, confirmed: true };
}

function Bars({ disk, small }: { disk: Disk; small?: boolean }) {
  const { say } = usePage();
  if (!disk.probabilities) return null;
  const probabilities = disk.probabilities;
  return (
    <dl class={`bars${small ? " small" : ""}`} aria-hidden={small}>
      {FINDINGS.map((finding) => (
        <div key={finding} class={finding === disk.finding ? "best" : ""}>
          <dt>{say(`finding.${finding}`)}</dt>
          <dd>
            <svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
              <rect class="fill" width={probabilities[finding] * 100} height={4} />
            </svg>
            <span>{percent(probabilities[finding])}</span>
          </dd>
        </div>
      ))}
    </dl>
  );
}

/** The report's picture of a disk, fetched when it is asked for. */
function Picture({ study, report, disk }: PanelProps & { disk: Disk }) {
  const { say } = usePage();
  const [shown, setShown] = useState(false);
  const name = `disk_${disk.level}.png`;
  if (!report.files.includes(name)) return null;
  return (
    <details onToggle={(event) => setShown(event.currentTarget.open)}>
      <summary>{say("findings.pictures.show")}</summary>
      {shown && <img src={reportFile(study, name)} alt={say("findings.pictures", { level: disk.level })} />}
    </details>
  );
}

function Vertebrae(props: PanelProps & { fixed: boolean }) {
  const { say } = usePage();
  const { report, fixed, onChange } = props;
  const { document } = report;
  const all = document.vertebrae;
  const confirmAll = () =>
    onChange({ vertebrae: all.map(({ level }) => ({ ...vertebraReview(document.review, level), confirmed: true })) });
  return (
    <section aria-labelledby="vertebrae">
      <h2 id="vertebrae">{say("vertebrae.heading")}</h2>
      {all.length === 0 && <p>{say("vertebrae.none")}</p>}
      {all.length > 0 && (
        <>
          <div class="row" title={say("vertebrae.shift.hint")}>
            <button type="button" disabled={fixed} onClick={() => onChange({ vertebrae: shifted(document, -1) })}>
              ↑ {say("vertebrae.shift_up")}
            </button>
            <button type="button" disabled={fixed} onClick={() => onChange({ vertebrae: shifted(document, 1) })}>
              ↓ {say("vertebrae.shift_down")}
            </button>
            <button type="button" disabled={fixed} onClick={confirmAll}>{say("vertebrae.confirm_all")}</button>
          </div>
          <ul class="vertebrae">
            {all.map((vertebra) => <VertebraRow key={vertebra.level} {...props} vertebra={vertebra} />)}
          </ul>
        </>
      )}
    </section>
  );
}

function VertebraRow(props: PanelProps & { fixed: boolean; vertebra: Vertebra }) {
  const { say } = usePage();
  const { vertebra, report, fixed, onChange } = props;
  const { level } = vertebra;
  const mine = vertebraReview(report.document.review, level);
  const rename = (name: string) =>
    onChange({ vertebrae: [{ level, corrected_level: name === level ? null : name, confirmed: true }] });
  return (
    <li data-vertebra={level}>
      <button type="button" class="plain level" aria-label={say("vertebrae.go", { level })} onClick={() => props.onVertebra(vertebra)}>
        {level}
      </button>
      <span class="quiet">{say("vertebrae.score", { value: vertebra.score.toFixed(2) })}</span>
      <select disabled={fixed} value={vertebraName(report.document.review, level)} aria-label={say("vertebrae.name", { level })}
        onChange={(event) => rename(event.currentTarget.value)}>
        {CORRECTED_LEVELS.map((name) => <option key={name}>{name}</option>)}
      </select>
      <label class="confirm">
        <input type="checkbox" disabled={fixed} checked={mine.confirmed} aria-label={say("vertebrae.confirm.label", { level })}
          onChange={(event) => onChange({ vertebrae: [{ ...mine, confirmed: event.currentTarget.checked }] })} />
        {say("findings.confirm")}
      </label>
    </li>
  );
}

/** Free words; kept when typing pauses. */
function Words(props: { label: string; value: string; fixed: boolean; onWords: (words: string) => void }) {
  const PAUSE = 600;
  const [text, setText] = useState(props.value);
  const timer = useRef<number | undefined>(undefined);
  const kept = useRef(props.value);
  useEffect(() => {
    // Changed elsewhere: the newer words are shown. Those that are being typed stay.
    if (props.value !== kept.current && timer.current === undefined) setText(props.value);
    kept.current = props.value;
  }, [props.value]);
  const keep = (words: string) => {
    clearTimeout(timer.current);
    timer.current = undefined;
    if (words !== kept.current) props.onWords(words);
  };
  return (
    <textarea
      rows={2}
      maxLength={4000}
      aria-label={props.label}
      placeholder={props.label}
      disabled={props.fixed}
      value={text}
      onInput={(event) => {
        const words = event.currentTarget.value;
        setText(words);
        clearTimeout(timer.current);
        timer.current = window.setTimeout(() => keep(words), PAUSE);
      }}
      onBlur={(event) => keep(event.currentTarget.value)}
    />
  );
}

/** Where the review stands: who reads, what is kept, what is open, and what can be done with it. */
export function ReviewBar(props: {
  report: Report;
  reader: string;
  onReader: (name: string) => void;
  saving: Saving;
  onChange: (change: Change) => void;
  onDialog: (dialog: "sign" | "amend" | "export" | "log") => void;
}) {
  const { say, language, problem } = usePage();
  const { report, saving } = props;
  const { review } = report.document;
  const left = open(report.document);
  const count = left.disks.length + left.vertebrae.length;
  const confirmAll = () => {
    const yes = <T extends { confirmed: boolean }>(one: T): T => ({ ...one, confirmed: true });
    props.onChange({ disks: left.disks.map(yes), vertebrae: left.vertebrae.map(yes) });
  };
  const isFinal = review.status === "final";
  const savingText = {
    saved: () => say("review.saved"),
    saving: () => say("review.saving"),
    conflict: () => say("review.conflict"),
    failed: () => say("review.not_saved", { message: saving.state === "failed" ? problem(saving.error) : "" }),
  }[saving.state]();
  return (
    <section class="review" aria-label={say("review.heading")} data-status={review.status} data-saving={saving.state}>
      {isFinal ? (
        <p class="signed">
          {say("review.signed", {
            reader: review.reader, date: moment(language, review.signed_at ?? ""), version: report.version,
          })}
        </p>
      ) : (
        <>
          <label class="reader">
            {say("review.reader")}
            <input value={props.reader} maxLength={64} autocomplete="name" onChange={(event) => props.onReader(event.currentTarget.value.trim())} />
          </label>
          <p class="open">
            {count ? say("review.open", { count, total: left.total }) : say("review.done")}{" "}
            {count > 0 && <button type="button" class="plain" onClick={confirmAll}>{say("review.confirm_all")}</button>}
          </p>
          <p class={saving.state === "failed" || saving.state === "conflict" ? "bad" : "quiet"} role="status">
            {report.versions.length > 0 && <>{say("review.draft", { version: report.version })}. </>}
            {savingText}
          </p>
        </>
      )}
      <div class="row">
        {isFinal ? (
          <button type="button" onClick={() => props.onDialog("amend")}>{say("review.amend")}</button>
        ) : (
          <button type="button" class="main" onClick={() => props.onDialog("sign")}>{say("review.sign")}</button>
        )}
        <button type="button" onClick={() => props.onDialog("export")}>{say("review.export")}</button>
        <button type="button" onClick={() => props.onDialog("log")}>{say("review.log")}</button>
      </div>
    </section>
  );
}
