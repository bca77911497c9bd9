/** What was dropped or chosen, as uploads: each folder and each zip by itself, loose files together. */

export interface Item {
  file: File;
  /** The file's name, with its path within a dropped or chosen folder. */
  path: string;
}

export interface Batch {
  name: string;
  items: Item[];
}

const isArchive = (name: string) => /\.zip$/i.test(name);

/** Files that were chosen, by themselves or as a folder (then the browser gives their path). */
export function chosen(files: Iterable<File>): Batch[] {
  const batches = new Map<string, Batch>();
  const loose: Item[] = [];
  for (const file of files) {
    const path = file.webkitRelativePath || file.name;
    const folder = path.includes("/") ? path.slice(0, path.indexOf("/")) : "";
    if (folder) {
      const batch = batches.get(folder) ?? { name: folder, items: [] };
      batch.items.push({ file, path });
      batches.set(folder, batch);
    } else if (isArchive(file.name)) batches.set(`/${batches.size}`, { name: file.name, items: [{ file, path }] });
    else loose.push({ file, path });
  }
  const together = loose.length ? [{ name: loose[0]!.file.name, items: loose }] : [];
  return [...batches.values(), ...together];
}

/** What was dropped. Its entries must be taken before the event ends, so nothing is awaited before that. */
export async function dropped(transfer: DataTransfer): Promise<Batch[]> {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const loose: File[] = [];
  const folders: Batch[] = [];
  for (const entry of entries) {
    if (entry.isDirectory) folders.push({ name: entry.name, items: await walk(entry as FileSystemDirectoryEntry) });
    else loose.push(await fileOf(entry as FileSystemFileEntry));
  }
  return [...folders, ...chosen(loose)];
}

async function walk(folder: FileSystemDirectoryEntry): Promise<Item[]> {
  const reader = folder.createReader();
  const items: Item[] = [];
  for (;;) {
    // A reader gives at most 100 entries at a time, and none when it is through.
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (!entries.length) return items;
    for (const entry of entries) {
      if (entry.isDirectory) items.push(...(await walk(entry as FileSystemDirectoryEntry)));
      else items.push({ file: await fileOf(entry as FileSystemFileEntry), path: entry.fullPath.replace(/^\//, "") });
    }
  }
}

const fileOf = (entry: FileSystemFileEntry) => new Promise<File>((resolve, reject) => entry.file(resolve, reject));

/** A number of bytes as people write it. */
export function size(bytes: number): string {
  const units = ["B", "kB", "MB", "GB"];
  const step = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(bytes, 1)) / 3));
  return `${(bytes / 1000 ** step).toFixed(step ? 1 : 0)} ${units[step]}`;
}
