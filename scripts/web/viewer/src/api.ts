/** Requests to the server; see ../API.md. A refusal is an `ApiError` with the server's one line for the user. */

import type {
  Info, LogEntry, RemoteStudy, Report, ReviewChange, StudyEntry, StudyList, StudyState, Upload, ViewSeries,
} from "./types";

export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** The server does not answer at all. */
export const NO_ANSWER = 0;

const LOGGED_OUT = 401;
/** How long a download may take to begin. */
const KEEP_MS = 60_000;

/** The page's language, which the server's own sentences (flags, messages) follow. */
let language = "en";
export const speakTo = (code: string): void => void (language = code);

async function request(method: string, path: string, body?: unknown): Promise<Response> {
  const headers: Record<string, string> = { "Accept-Language": language };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(path, { method, headers, body: body === undefined ? null : JSON.stringify(body) });
  } catch {
    throw new ApiError(NO_ANSWER, "");
  }
  if (response.status === LOGGED_OUT) location.assign("/login");
  if (!response.ok) throw new ApiError(response.status, detail(await response.text()));
  return response;
}

async function json<T>(method: string, path: string, body?: unknown): Promise<T> {
  return (await (await request(method, path, body)).json()) as T;
}

/** The server's sentence, or nothing where it sent none. */
function detail(text: string): string {
  try {
    const said = (JSON.parse(text) as { detail?: unknown }).detail;
    return typeof said === "string" ? said : "";
  } catch {
    return "";
  }
}

const study = (id: string) => `/api/studies/${encodeURIComponent(id)}`;

export const api = {
  info: () => json<Info>("GET", "/api/info"),
  search: (query: string, states: StudyState[], limit: number) =>
    json<StudyList>("POST", "/api/studies/search", { query, states, limit }),
  study: (id: string) => json<StudyEntry>("GET", study(id)),
  retry: (id: string) => json<StudyEntry>("POST", `${study(id)}/retry`),
  remove: (id: string, signed: boolean) => request("DELETE", `${study(id)}${signed ? "?signed=true" : ""}`),
  series: async (id: string) => (await json<{ series: ViewSeries[] }>("GET", `${study(id)}/series`)).series,
  report: (id: string) => json<Report>("GET", `${study(id)}/report`),
  review: (id: string, change: ReviewChange) => json<Report>("PUT", `${study(id)}/review`, change),
  sign: (id: string, reader: string, revision: number) => json<Report>("POST", `${study(id)}/sign`, { reader, revision }),
  amend: (id: string, reader: string, reason: string) => json<Report>("POST", `${study(id)}/amend`, { reader, reason }),
  send: (id: string, target: string, version: number) =>
    json<{ target: string; objects: number; message: string }>("POST", `${study(id)}/send`, { target, version }),
  log: async (id: string) => (await json<{ entries: LogEntry[] }>("GET", `${study(id)}/log`)).entries,
  searchServer: (server: string, words: Record<string, string>) =>
    json<RemoteStudy[]>("POST", `/api/servers/${encodeURIComponent(server)}/search`, words),
  fetchFrom: (server: string, study_instance_uid: string) =>
    json<Upload>("POST", "/api/studies/from-dicomweb", { server, study_instance_uid }),
  pixels: async (url: string) => (await request("GET", url)).arrayBuffer(),
};

export const reportFile = (id: string, name: string) => `${study(id)}/report/files/${encodeURIComponent(name)}`;

export const exportUrl = (id: string, format: string, version: number | null) =>
  `${study(id)}/export/${format}${version === null ? "" : `?version=${version}`}`;

export const ALL_LABELS = "/api/export/labels";

/** Fetches a file and hands it to the browser to save, under the name that the server gives it. */
export async function download(url: string): Promise<void> {
  const response = await request("GET", url);
  const name = /filename="([^"]+)"/.exec(response.headers.get("Content-Disposition") ?? "")?.[1] ?? "";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), KEEP_MS);
}

/** Sends files as one upload. `fetch` cannot tell how much is sent, so this is an XMLHttpRequest. */
export function upload(files: { file: File; path: string }[], onProgress: (share: number) => void): Promise<Upload> {
  const form = new FormData();
  for (const { file, path } of files) form.append("files", file, path);
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest();
    call.open("POST", "/api/studies");
    call.setRequestHeader("Accept-Language", language);
    call.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    call.onerror = () => reject(new ApiError(NO_ANSWER, ""));
    call.onload = () =>
      call.status < 400
        ? resolve(JSON.parse(call.responseText) as Upload)
        : reject(new ApiError(call.status, detail(call.responseText)));
    call.send(form);
  });
}

/** Listens to changes of the work list; `onOpen` also after each reconnection, when changes may have been missed. */
export function listen(on: {
  study: (entry: StudyEntry) => void;
  deleted: (id: string) => void;
  open: () => void;
  lost: () => void;
}): () => void {
  const source = new EventSource("/api/events");
  source.addEventListener("study", (event) => on.study(JSON.parse((event as MessageEvent<string>).data) as StudyEntry));
  source.addEventListener("deleted", (event) => on.deleted((JSON.parse((event as MessageEvent<string>).data) as { id: string }).id));
  source.onopen = on.open;
  source.onerror = on.lost;
  return () => source.close();
}
