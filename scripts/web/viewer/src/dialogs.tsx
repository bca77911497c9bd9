/** Dialogs of the reading view: sign, amend, export and send, log, help. */

import { useEffect, useState } from "preact/hooks";
import { api, download, exportUrl } from "./api";
import { KEYS } from "./keys";
import { usePage } from "./page";
import { Dialog } from "./parts";
import { open } from "./review";
import { moment, type TextKey } from "./texts";
import type { LogEntry, Report } from "./types";

interface Props {
  study: string;
  report: Report;
  onClose: () => void;
}

export function SignDialog(props: Props & {
  reader: string;
  onReader: (name: string) => void;
  settle: () => Promise<number>;
  onSigned: (report: Report) => void;
}) {
  const { say, problem, announce } = usePage();
  const [name, setName] = useState(props.reader);
  const [sure, setSure] = useState(false);
  const [trouble, setTrouble] = useState("");
  const [busy, setBusy] = useState(false);
  const left = open(props.report.document);
  const count = left.disks.length + left.vertebrae.length;
  async function sign() {
    if (!name.trim() || !sure) return setTrouble(say("sign.needs_name"));
    setBusy(true);
    try {
      // What was typed last must be kept before it is signed.
      const revision = await props.settle();
      props.onReader(name.trim());
      props.onSigned(await api.sign(props.study, name.trim(), revision));
      announce(say("sign.done"));
    } catch (error) {
      setTrouble(problem(error));
    }
    setBusy(false);
  }
  return (
    <Dialog heading={say("sign.heading")} onClose={props.onClose}>
      <form
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          void sign();
        }}
      >
        <p>{say("sign.words", { version: props.report.version })}</p>
        {count > 0 && <p class="caution">{say("sign.open", { count, total: left.total })}</p>}
        <label class="stacked">
          {say("sign.name")}
          <input value={name} required maxLength={64} autocomplete="name" onInput={(event) => setName(event.currentTarget.value)} />
        </label>
        <label class="confirm">
          <input type="checkbox" required checked={sure} onChange={(event) => setSure(event.currentTarget.checked)} />
          {say("sign.check")}
        </label>
        {trouble && <p class="problem" role="alert">{trouble}</p>}
        <footer>
          <button type="button" onClick={props.onClose}>{say("cancel")}</button>
          <button class="main" disabled={busy}>{say("sign.confirm")}</button>
        </footer>
      </form>
    </Dialog>
  );
}

export function AmendDialog(props: Props & { reader: string; onReader: (name: string) => void; onAmended: (report: Report) => void }) {
  const { say, problem } = usePage();
  const [name, setName] = useState(props.reader);
  const [reason, setReason] = useState("");
  const [trouble, setTrouble] = useState("");
  async function amend() {
    try {
      props.onAmended(await api.amend(props.study, name.trim(), reason.trim()));
      props.onReader(name.trim());
    } catch (error) {
      setTrouble(problem(error));
    }
  }
  return (
    <Dialog heading={say("amend.heading")} onClose={props.onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void amend();
        }}
      >
        <p>{say("amend.words")}</p>
        <label class="stacked">
          {say("sign.name")}
          <input value={name} required maxLength={64} autocomplete="name" onInput={(event) => setName(event.currentTarget.value)} />
        </label>
        <label class="stacked">
          {say("amend.reason")}
          <input value={reason} required maxLength={400} onInput={(event) => setReason(event.currentTarget.value)} />
        </label>
        {trouble && <p class="problem" role="alert">{trouble}</p>}
        <footer>
          <button type="button" onClick={props.onClose}>{say("cancel")}</button>
          <button class="main">{say("amend.confirm")}</button>
        </footer>
      </form>
    </Dialog>
  );
}

export function ExportDialog({ study, report, onClose }: Props) {
  const { say, info, problem, announce } = usePage();
  const signed = [...report.versions].sort((a, b) => b - a);
  const isDraft = report.document.review.status === "draft";
  /** null: the draft. */
  const [version, setVersion] = useState<number | null>(isDraft ? null : (signed[0] ?? null));
  const [told, setTold] = useState<{ good: boolean; text: string } | null>(null);
  const [busy, setBusy] = useState(false);
  async function attempt(what: string, act: () => Promise<string>) {
    setBusy(true);
    setTold(null);
    try {
      const text = await act();
      if (text) setTold({ good: true, text });
      announce(text);
    } catch (error) {
      setTold({ good: false, text: `${what}: ${problem(error)}` });
    }
    setBusy(false);
  }
  const save = (format: string) =>
    attempt(say(`export.${format}` as TextKey), () => download(exportUrl(study, format, version)).then(() => ""));
  const send = (target: string) =>
    attempt(target, async () => (version === null ? "" : say("export.sent", { ...(await api.send(study, target, version)) })));
  return (
    <Dialog heading={say("export.heading")} onClose={onClose}>
      <label class="stacked">
        {say("export.version")}
        <select value={version ?? ""} onChange={(event) => setVersion(Number(event.currentTarget.value) || null)}>
          {isDraft && <option value="">{`${report.version} (${say("export.draft")})`}</option>}
          {signed.map((number) => <option key={number} value={number}>{number}</option>)}
        </select>
      </label>
      {version === null && <p class="caution">{say("export.draft.note")}</p>}
      <h3>{say("export.download")}</h3>
      <ul class="exports">
        {info.exports.map((format) => (
          <li key={format}>
            <button type="button" disabled={busy} data-export={format} onClick={() => void save(format)}>
              {say(`export.${format}` as TextKey)}
            </button>
            <span class="quiet">{say(`export.${format}.about` as TextKey)}</span>
          </li>
        ))}
      </ul>
      <h3>{say("export.send")}</h3>
      {info.targets.length === 0 && <p class="quiet">{say("export.send.none")}</p>}
      {info.targets.length > 0 && version === null && <p class="quiet">{say("export.send.unsigned")}</p>}
      <ul class="exports">
        {info.targets.map(({ name, kind }) => (
          <li key={name}>
            <button type="button" disabled={busy || version === null} data-send={name} onClick={() => void send(name)}>
              {say("export.send.button")}: {name}
            </button>
            <span class="quiet">{kind === "dicomweb" ? "DICOMweb" : "DICOM"}</span>
          </li>
        ))}
      </ul>
      {told && <p class={told.good ? "good" : "problem"} role={told.good ? undefined : "alert"}>{told.text}</p>}
    </Dialog>
  );
}

export function LogDialog({ study, onClose }: Pick<Props, "study" | "onClose">) {
  const { say, language, problem } = usePage();
  const [entries, setEntries] = useState<LogEntry[] | null>(null);
  const [trouble, setTrouble] = useState("");
  useEffect(() => {
    api.log(study).then(setEntries, (error: unknown) => setTrouble(problem(error)));
  }, []);
  return (
    <Dialog heading={say("log.heading")} wide onClose={onClose}>
      {trouble && <p class="problem" role="alert">{trouble}</p>}
      {entries?.length === 0 && <p>{say("log.empty")}</p>}
      {entries && entries.length > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label={say("log.heading")}>
          <table>
            <thead>
              <tr>
                {(["at", "who", "what", "before", "after"] as const).map((column) => (
                  <th key={column} scope="col">{say(`log.${column}`)}</th>
                ))}
              </tr>
            </thead>
            <tbody>
              {[...entries].reverse().map((entry) => (
                <tr key={entry.number}>
                  <td class="number">{moment(language, entry.at)}</td>
                  <td>{entry.who || <span class="quiet">{say("log.unnamed")}</span>}</td>
                  <td>{entry.what}</td>
                  <td>{entry.before}</td>
                  <td>{entry.after}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Dialog>
  );
}

export function HelpDialog(props: { single: boolean; onSingle: (on: boolean) => void; onClose: () => void }) {
  const { say, info } = usePage();
  return (
    <Dialog heading={say("help.heading")} wide onClose={props.onClose}>
      <p><strong>{say("notice")}.</strong> {say("help.about")}</p>
      <p>{say("help.mouse")}</p>
      <div class="row">
        <h3>{say("help.keys")}</h3>
        <label class="confirm">
          <input type="checkbox" checked={props.single} onChange={(event) => props.onSingle(event.currentTarget.checked)} />
          {say("help.single")}
        </label>
      </div>
      <table class="keys">
        <thead class="unseen">
          <tr>
            <th scope="col">{say("help.key")}</th>
            <th scope="col">{say("help.does")}</th>
          </tr>
        </thead>
        <tbody>
          {KEYS.map(({ shown, text }) => (
            <tr key={text}>
              <th scope="row">{shown.map((key) => <kbd key={key}>{key}</kbd>)}</th>
              <td>{say(text)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p class="quiet">{info.version}</p>
    </Dialog>
  );
}
