/** A search on a configured DICOMweb server, and what to fetch of it. */

import { useState } from "preact/hooks";
import { api } from "./api";
import { usePage } from "./page";
import { Dialog, usePatientName } from "./parts";
import type { RemoteStudy } from "./types";

export function FetchDialog({ onClose, onFetched }: { onClose: () => void; onFetched: (text: string) => void }) {
  const { say, info, problem, announce } = usePage();
  const nameOf = usePatientName();
  const [server, setServer] = useState(info.servers[0] ?? "");
  const [words, setWords] = useState({ patient_name: "", patient_id: "", accession_number: "", study_date: "" });
  const [found, setFound] = useState<RemoteStudy[] | null>(null);
  const [trouble, setTrouble] = useState("");
  const [busy, setBusy] = useState(false);

  async function attempt(act: () => Promise<void>) {
    setBusy(true);
    setTrouble("");
    await act().catch((error: unknown) => setTrouble(problem(error)));
    setBusy(false);
  }

  const search = () =>
    attempt(async () => {
      const studies = await api.searchServer(server, words);
      setFound(studies);
      announce(studies.length ? say("fetch.found", { count: studies.length }) : say("fetch.nothing"));
    });

  const get = (study: RemoteStudy) =>
    attempt(async () => {
      const result = await api.fetchFrom(server, study.study_instance_uid);
      onFetched([say("fetch.started", { patient: nameOf(study.patient) }), result.message].join(" "));
      setFound((all) => all && all.map((one) => (one === study ? { ...one, here: ["yes"] } : one)));
    });

  const field = (key: keyof typeof words, label: string, hint?: string) => (
    <label>
      {label}
      <input value={words[key]} placeholder={hint} onInput={(event) => setWords({ ...words, [key]: event.currentTarget.value })} />
    </label>
  );
  return (
    <Dialog heading={say("fetch.heading")} wide onClose={onClose}>
      <form
        class="fields"
        onSubmit={(event) => {
          event.preventDefault();
          void search();
        }}
      >
        <label>
          {say("fetch.server")}
          <select value={server} onChange={(event) => setServer(event.currentTarget.value)}>
            {info.servers.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        {field("patient_name", say("fetch.name"))}
        {field("patient_id", say("fetch.id"))}
        {field("accession_number", say("fetch.accession"))}
        {field("study_date", say("fetch.date"), say("fetch.date.hint"))}
        <button class="main" disabled={busy}>
          {say("fetch.search")}
        </button>
      </form>
      {trouble && <p class="problem" role="alert">{trouble}</p>}
      {found?.length === 0 && <p>{say("fetch.nothing")}</p>}
      {found && found.length > 0 && (
        <table>
          <thead>
            <tr>
              <th scope="col">{say("list.patient")}</th>
              <th scope="col">{say("list.date")}</th>
              <th scope="col">{say("list.description")}</th>
              <th scope="col">{say("list.actions")}</th>
            </tr>
          </thead>
          <tbody>
            {found.map((study) => (
              <tr key={study.study_instance_uid}>
                <th scope="row">
                  {nameOf(study.patient)} <span class="quiet">{study.patient.id}</span>
                </th>
                <td>{study.study_date}</td>
                <td>
                  {study.description}{" "}
                  {study.images !== null && <span class="quiet">{say("fetch.images", { count: study.images })}</span>}
                </td>
                <td>
                  <button type="button" disabled={busy} onClick={() => void get(study)}
                    aria-label={say("fetch.get.label", { patient: nameOf(study.patient) })}>
                    {say("fetch.get")}
                  </button>{" "}
                  {study.here.length > 0 && <span class="quiet">{say("fetch.again")}</span>}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Dialog>
  );
}
