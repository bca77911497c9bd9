/** Studies in: by dropping, by choosing files or a folder, or from a DICOMweb server; each with what became of it. */

import { useEffect, useRef, useState } from "preact/hooks";
import { upload } from "./api";
import { type Batch, chosen, dropped, size } from "./dropped";
import { FetchDialog } from "./fetch";
import { usePage } from "./page";
import { usePatientName } from "./parts";

interface Line {
  key: number;
  kind: "busy" | "good" | "bad";
  text: string;
  share?: number;
}

let keys = 0;

export function UploadPanel({ onAdded }: { onAdded: () => void }) {
  const { say, info, announce, problem } = usePage();
  const nameOf = usePatientName();
  const [lines, setLines] = useState<Line[]>([]);
  const [over, setOver] = useState(false);
  const [fetching, setFetching] = useState(false);
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);

  const put = (line: Line) => setLines((all) => [...all.filter(({ key }) => key !== line.key), line]);
  const tell = (line: Line) => {
    put(line);
    announce(line.text);
  };

  async function send(batch: Batch) {
    const key = ++keys;
    const bytes = batch.items.reduce((sum, { file }) => sum + file.size, 0);
    if (!batch.items.length) return tell({ key, kind: "bad", text: say("upload.empty", { name: batch.name }) });
    if (bytes > info.max_upload_bytes) {
      const words = { name: batch.name, size: size(bytes), limit: size(info.max_upload_bytes) };
      return tell({ key, kind: "bad", text: say("upload.too_big", words) });
    }
    try {
      const result = await upload(batch.items, (share) => {
        const sent = say("upload.sending", { name: batch.name, percent: Math.round(share * 100) });
        put({ key, kind: "busy", text: share < 1 ? sent : say("upload.checking", { name: batch.name }), share });
      });
      const each = result.received.map(({ study, duplicate }) =>
        say(duplicate ? "upload.duplicate" : "upload.added", { patient: nameOf(study.patient) }),
      );
      tell({ key, kind: "good", text: [`${batch.name}:`, ...each, result.message].join(" ") });
      onAdded();
    } catch (error) {
      tell({ key, kind: "bad", text: `${batch.name}: ${problem(error)}` });
    }
  }

  /** One after the other: the server reads one at a time, and a slow line is not shared. */
  async function sendAll(batches: Batch[]) {
    for (const batch of batches) await send(batch);
  }

  useEffect(() => {
    const drag = (event: DragEvent) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      setOver(event.type !== "dragleave" || event.relatedTarget !== null);
    };
    const drop = (event: DragEvent) => {
      event.preventDefault();
      setOver(false);
      if (event.dataTransfer) void dropped(event.dataTransfer).then(sendAll);
    };
    addEventListener("dragover", drag);
    addEventListener("dragleave", drag);
    addEventListener("drop", drop);
    return () => {
      removeEventListener("dragover", drag);
      removeEventListener("dragleave", drag);
      removeEventListener("drop", drop);
    };
  });

  const take = (input: HTMLInputElement) => {
    void sendAll(chosen(input.files ?? []));
    input.value = "";
  };
  const canFetch = info.servers.length > 0;
  return (
    <section class={`upload${over ? " over" : ""}`} aria-label={say("upload.heading")}>
      <div class="zone">
        <span>{say("upload.drop")}</span>
        <span class="quiet">{say("upload.or")}</span>
        <button type="button" onClick={() => folder.current?.click()}>
          {say("upload.folder")}
        </button>
        <button type="button" onClick={() => files.current?.click()}>
          {say("upload.files")}
        </button>
        <button
          type="button"
          aria-disabled={!canFetch}
          title={canFetch ? undefined : say("upload.fetch.none")}
          onClick={() => canFetch && setFetching(true)}
        >
          {say("upload.fetch")}
        </button>
        <input ref={files} class="unseen" type="file" multiple tabIndex={-1} aria-hidden="true" data-pick="files"
          onChange={(event) => take(event.currentTarget)} />
        <input ref={folder} class="unseen" type="file" multiple tabIndex={-1} aria-hidden="true" data-pick="folder"
          {...{ webkitdirectory: true }} onChange={(event) => take(event.currentTarget)} />
      </div>
      {lines.length > 0 && (
        <div class="messages">
          <ul>
            {lines.map((line) => (
              <li key={line.key} class={line.kind}>
                {line.text}
                {line.kind === "busy" && <progress value={line.share} max={1} aria-label={line.text} />}
              </li>
            ))}
          </ul>
          <button type="button" class="plain" onClick={() => setLines((all) => all.filter(({ kind }) => kind === "busy"))}>
            {say("upload.clear")}
          </button>
        </div>
      )}
      {fetching && (
        <FetchDialog
          onClose={() => setFetching(false)}
          onFetched={(text) => {
            tell({ key: ++keys, kind: "good", text });
            onAdded();
          }}
        />
      )}
    </section>
  );
}
