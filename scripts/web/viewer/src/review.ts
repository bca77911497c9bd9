/** The person's reading: kept on the server as it is made, one change after the other. */

import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, api } from "./api";
import {
  CORRECTED_LEVELS, DISK_LEVELS, type Disk, type DiskLevel, type DiskReview, type Finding, type Report, type ReportDocument,
  type Review, type VertebraReview,
} from "./types";

export interface Change {
  comment?: string;
  vertebrae?: VertebraReview[];
  disks?: DiskReview[];
}

const CONFLICT = 409;

const withLevels = <T extends { level: string }>(old: T[], changed: T[] = []): T[] => [
  ...old.filter(({ level }) => !changed.some((one) => one.level === level)),
  ...changed,
];

/** Two changes in one; the later counts. */
export function merge(first: Change, then: Change): Change {
  const merged: Change = { ...first, ...then };
  if (first.disks && then.disks) merged.disks = withLevels(first.disks, then.disks);
  if (first.vertebrae && then.vertebrae) merged.vertebrae = withLevels(first.vertebrae, then.vertebrae);
  return merged;
}

export function apply(report: Report, change: Change): Report {
  const { review } = report.document;
  const changed: Review = {
    ...review,
    comment: change.comment ?? review.comment,
    disks: withLevels(review.disks, change.disks),
    vertebrae: withLevels(review.vertebrae, change.vertebrae),
  };
  return { ...report, document: { ...report.document, review: changed } };
}

export const diskReview = (review: Review, level: DiskLevel): DiskReview =>
  review.disks.find((disk) => disk.level === level) ?? { level, finding: null, confirmed: false, comment: "" };

export const vertebraReview = (review: Review, level: string): VertebraReview =>
  review.vertebrae.find((vertebra) => vertebra.level === level) ?? { level, corrected_level: null, confirmed: false };

/** The person's finding, else the machine's. */
export const findingNow = (disk: Disk, review: Review): Finding | null => diskReview(review, disk.level).finding ?? disk.finding;

export const vertebraName = (review: Review, level: string): string => vertebraReview(review, level).corrected_level ?? level;

/** A disk's name by the names that its neighbours have now. */
export function diskName(review: Review, level: DiskLevel): string {
  return level.split("-").map((name) => vertebraName(review, name)).join("-");
}

/** Every name one level up (-1) or down (+1), L6 left out: a count that is off by one. */
export function shifted(document: ReportDocument, by: 1 | -1): VertebraReview[] {
  const names = CORRECTED_LEVELS.filter((name) => name !== "L6");
  return document.vertebrae.map(({ level }) => {
    const now = vertebraName(document.review, level);
    const next = names[names.indexOf(now as (typeof names)[number]) + by];
    const name = next ?? now;
    return { level, corrected_level: name === level ? null : name, confirmed: false };
  });
}

/** What nobody has confirmed yet. */
export function open(document: ReportDocument): { disks: DiskReview[]; vertebrae: VertebraReview[]; total: number } {
  const { review } = document;
  const disks = DISK_LEVELS.map((level) => diskReview(review, level)).filter(({ confirmed }) => !confirmed);
  const vertebrae = document.vertebrae.map(({ level }) => vertebraReview(review, level)).filter(({ confirmed }) => !confirmed);
  return { disks, vertebrae, total: DISK_LEVELS.length + document.vertebrae.length };
}

export type Saving = { state: "saved" | "saving" | "conflict" } | { state: "failed"; error: unknown };

/**
 * The report of a study, and how to change its review.
 *
 * A change is shown at once and sent as soon as the one before it is kept, so that each is made to the revision that it was
 * seen at. `settle` waits for all of them.
 */
export function useReport(id: string, reader: string, language: string) {
  const [report, setReport] = useState<Report | null>(null);
  const [saving, setSaving] = useState<Saving>({ state: "saved" });
  const [trouble, setTrouble] = useState<unknown>(null);
  const pending = useRef<Change | null>(null);
  const flight = useRef<Promise<void> | null>(null);
  const revision = useRef(0);
  const signer = useRef(reader);
  signer.current = reader;

  const take = (next: Report) => {
    revision.current = next.revision;
    setReport(pending.current ? apply(next, pending.current) : next);
  };

  useEffect(() => {
    api.report(id).then(take, setTrouble);
  }, [id, language]);

  async function send(): Promise<void> {
    while (pending.current) {
      const change = pending.current;
      pending.current = null;
      setSaving({ state: "saving" });
      try {
        take(await api.review(id, { reader: signer.current, revision: revision.current, ...change }));
        setSaving({ state: "saved" });
      } catch (error) {
        if (error instanceof ApiError && error.status === CONFLICT) {
          pending.current = null;
          take(await api.report(id));
          setSaving({ state: "conflict" });
        } else {
          // Kept, and sent with the next change.
          pending.current = merge(change, pending.current ?? {});
          setSaving({ state: "failed", error });
        }
        return;
      }
    }
  }

  const flush = (): Promise<void> => {
    flight.current ??= send().finally(() => (flight.current = null));
    return flight.current;
  };

  const change = (next: Change) => {
    pending.current = merge(pending.current ?? {}, next);
    setReport((old) => old && apply(old, next));
    void flush();
  };

  const settle = async (): Promise<number> => {
    await flight.current;
    if (pending.current) await flush();
    return revision.current;
  };

  return { report, take, change, settle, saving, trouble };
}
