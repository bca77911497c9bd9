/** Bodies of the server's answers: the part of scripts/web/models.py and of report.schema.json that the page uses. */

export type Vector = [number, number, number];
export type Point = [number, number];
export type StudyState = "queued" | "reading" | "read" | "failed" | "signed";
export type Finding = "normal" | "bulge" | "herniation";
export type View = "axial" | "sagittal";

export const FINDINGS: readonly Finding[] = ["normal", "bulge", "herniation"];
export const DISK_LEVELS = ["L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"] as const;
export type DiskLevel = (typeof DISK_LEVELS)[number];
/** From the head down; those that a person may give a vertebra. */
export const CORRECTED_LEVELS = [
  "T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5", "L6", "S1", "S2", "S3",
] as const;

export interface Patient {
  name: string;
  id: string;
  birth_date: string;
  sex: string;
}

export interface StudyEntry {
  id: string;
  state: StudyState;
  step: string;
  progress: number;
  message: string;
  created_at: string;
  updated_at: string;
  patient: Patient;
  study_date: string;
  description: string;
  accession_number: string;
  study_instance_uid: string;
  files: number;
  bytes: number;
  ahead: number;
  findings: Partial<Record<DiskLevel, Finding | null>>;
  flags: string[];
  signed_versions: number;
  related: string[];
}

export interface StudyList {
  total: number;
  studies: StudyEntry[];
}

export interface Upload {
  received: { study: StudyEntry; duplicate: boolean }[];
  left_out: number;
  message: string;
}

export interface RemoteStudy {
  study_instance_uid: string;
  patient: Patient;
  study_date: string;
  description: string;
  accession_number: string;
  images: number | null;
  here: string[];
}

export interface Info {
  version: string;
  language: string;
  languages: string[];
  steps: string[];
  servers: string[];
  targets: { name: string; kind: "dicomweb" | "dicom" }[];
  exports: string[];
  max_upload_bytes: number;
  token_needed: boolean;
}

/** Pixel (column c, row r) is at origin + c * spacing[1] * row_direction + r * spacing[0] * column_direction. */
export interface ImagePlane {
  origin_lps_mm: Vector;
  row_direction: Vector;
  column_direction: Vector;
  spacing_mm: [number, number];
  thickness_mm: number | null;
}

export interface ViewImage {
  sop_instance_uid: string;
  rows: number;
  columns: number;
  plane: ImagePlane | null;
  slope: number;
  intercept: number;
  window_center: number;
  window_width: number;
  pixels: string;
}

export interface ViewSeries {
  index: number;
  series_instance_uid: string;
  description: string;
  orientation: string;
  weighting: string;
  role: View | null;
  stacks: number[][];
  images: ViewImage[];
}

export interface VertebraReview {
  level: string;
  corrected_level: string | null;
  confirmed: boolean;
}

export interface DiskReview {
  level: DiskLevel;
  finding: Finding | null;
  confirmed: boolean;
  comment: string;
}

export interface Review {
  status: "draft" | "final";
  reader: string;
  signed_at: string | null;
  comment: string;
  vertebrae: VertebraReview[];
  disks: DiskReview[];
}

export interface Roi {
  sop_instance_uid: string;
  corners_px: Point[];
  side_mm: number | null;
}

export interface Disk {
  level: DiskLevel;
  center_lps_mm: Vector | null;
  height_mm: number | null;
  axial_sop_instance_uids: string[];
  rois: Record<View, Roi | null>;
  probabilities: Record<Finding, number> | null;
  finding: Finding | null;
  views: View[];
  flags: string[];
}

export interface Vertebra {
  level: string;
  center_lps_mm: Vector | null;
  score: number;
  boxes: { sop_instance_uid: string; xyxy: [number, number, number, number] }[];
}

export interface ReportDocument {
  vertebrae: Vertebra[];
  axial_slices: { sop_instance_uid: string; level: DiskLevel | null; distance_mm: number | null }[];
  disks: Disk[];
  flags: string[];
  model: { version: string; weights_sha256: Record<string, string> };
  review: Review;
}

export interface Report {
  version: number;
  versions: number[];
  revision: number;
  document: ReportDocument;
  texts: Record<string, string>;
  files: string[];
}

export interface ReviewChange {
  reader: string;
  revision: number;
  comment?: string;
  vertebrae?: VertebraReview[];
  disks?: DiskReview[];
}

export interface LogEntry {
  number: number;
  at: string;
  who: string;
  what: string;
  before: string | null;
  after: string | null;
}
