/** What lies over an image: boxes and names, the squares that were judged, reference lines, heat maps. */

import { reportFile } from "./api";
import { cutLine, distanceMm, type Slice, toPixel, within } from "./geometry";
import type { Disk, DiskLevel, Point, ReportDocument, View, ViewImage, ViewSeries } from "./types";
import type { Place } from "./viewport";

export interface Shown {
  boxes: boolean;
  lines: boolean;
  heat: boolean;
}

/** A disk's name stands on sagittal slices that pass its centre within this distance. */
const NEAR_MM = 25;
/** Before the disk, so that the name does not hide it. */
const NAME_FORWARD_MM = 28;

export const sliceOf = (image: ViewImage): Slice | null =>
  image.plane && { plane: image.plane, rows: image.rows, columns: image.columns };

/** File of the report that shows where the classifier looked, over the square that was judged. */
export const heatFile = (level: DiskLevel, view: View) => `heat_${level}_${view}.png`;

export const heatMapsIn = (files: string[]) => files.filter((name) => /^heat_.+_(axial|sagittal)\.png$/.test(name));

export function Overlay(props: {
  study: string;
  view: View;
  image: ViewImage;
  place: Place;
  document: ReportDocument;
  files: string[];
  shown: Shown;
  selected: DiskLevel | null;
  /** How a body or a disk is called now, by its machine's name. */
  vertebraName: (level: string) => string;
  diskName: (level: DiskLevel) => string;
  other: { series: ViewSeries; index: number } | null;
}) {
  const { image, place, document, shown } = props;
  // On a sagittal image all five squares would overlap: there only the chosen disk has its own.
  const rois = document.disks.flatMap((disk) => {
    const roi = disk.rois[props.view];
    const isHere = roi?.sop_instance_uid === image.sop_instance_uid;
    return isHere && (props.view === "axial" || disk.level === props.selected) ? [{ disk, roi }] : [];
  });
  return (
    <>
      {shown.heat && rois.map(({ disk, roi }) => (
        <HeatMap key={disk.level} {...props} level={disk.level} corners={roi.corners_px.map(place)} />
      ))}
      {shown.lines && <ReferenceLines {...props} />}
      {shown.boxes && (
        <>
          {document.vertebrae.map((vertebra) => (
            <Boxes key={vertebra.level} {...props} level={vertebra.level} boxes={vertebra.boxes} />
          ))}
          {rois.map(({ disk, roi }) => (
            <polygon
              key={disk.level}
              class={`roi${disk.level === props.selected ? " selected" : ""}`}
              data-roi={disk.level}
              points={roi.corners_px.map((corner) => place(corner).join(",")).join(" ")}
            />
          ))}
          {props.view === "sagittal" && document.disks.map((disk) => <DiskName key={disk.level} {...props} disk={disk} />)}
        </>
      )}
    </>
  );
}

type Inner = Parameters<typeof Overlay>[0];

function Boxes({ image, place, level, boxes, vertebraName }: Inner & { level: string; boxes: ReportDocument["vertebrae"][0]["boxes"] }) {
  return (
    <>
      {boxes.filter((box) => box.sop_instance_uid === image.sop_instance_uid).map(({ xyxy: [left, top, right, bottom] }) => {
        const corners: Point[] = [[left, top], [right, top], [right, bottom], [left, bottom]];
        const [x, y] = place([(left + right) / 2, (top + bottom) / 2]);
        return (
          <g key={left} class="vertebra" data-vertebra={level}>
            <polygon points={corners.map((corner) => place(corner).join(",")).join(" ")} />
            <text x={x} y={y}>{vertebraName(level)}</text>
          </g>
        );
      })}
    </>
  );
}

/** Where a disk's centre, or a place before it, falls on a sagittal image near it. */
function diskPixel(disk: Disk, image: ViewImage, forward_mm = 0): Point | null {
  if (!image.plane || !disk.center_lps_mm) return null;
  if (Math.abs(distanceMm(image.plane, disk.center_lps_mm)) > NEAR_MM) return null;
  const [x, y, z] = disk.center_lps_mm;
  return toPixel(image.plane, [x, y - forward_mm, z]);
}

function DiskName({ image, place, disk, selected, diskName }: Inner & { disk: Disk }) {
  const pixel = diskPixel(disk, image, NAME_FORWARD_MM);
  if (!pixel) return null;
  const [x, y] = place(pixel);
  return (
    <text class={`disk${disk.level === selected ? " selected" : ""}`} data-disk={disk.level} x={x} y={y}>
      {diskName(disk.level)}
    </text>
  );
}

/** The other viewport's slice where it cuts this image, and thinner those beside it. */
function ReferenceLines({ image, place, other, view }: Inner) {
  const slice = sliceOf(image);
  if (!other || !slice) return null;
  const line = (index: number) => {
    const there = other.series.images[index];
    const cut = there && sliceOf(there);
    const ends = cut && cutLine(slice, cut);
    return ends ? { ends, sop: there.sop_instance_uid } : null;
  };
  // All axial slices on the sagittal image show where the stacks lie; sagittal ones on the axial image would only hide it.
  const others = view === "sagittal" ? other.series.images.map((_, index) => index).filter((index) => index !== other.index) : [];
  return (
    <>
      {others.map((index) => <Line key={index} class="line faint" line={line(index)} place={place} />)}
      <Line class="line" line={line(other.index)} place={place} />
    </>
  );
}

function Line(props: { class: string; line: { ends: [Point, Point]; sop: string } | null; place: Place }) {
  if (!props.line) return null;
  const [from, to] = props.line.ends;
  const [[x1, y1], [x2, y2]] = [props.place(from), props.place(to)];
  return (
    <line class={props.class} data-sop={props.line.sop} data-px={[...from, ...to].map((value) => value.toFixed(3)).join(" ")}
      x1={x1} y1={y1} x2={x2} y2={y2} />
  );
}

function HeatMap({ study, view, files, level, corners }: Inner & { level: DiskLevel; corners: Point[] }) {
  const name = heatFile(level, view);
  const [origin, right, , down] = corners;
  if (!files.includes(name) || !origin || !right || !down) return null;
  // From the unit square to the corners of the square that was judged.
  const matrix = [right[0] - origin[0], right[1] - origin[1], down[0] - origin[0], down[1] - origin[1], ...origin];
  return (
    <image class="heat" data-heat={level} href={reportFile(study, name)} width={1} height={1} preserveAspectRatio="none"
      transform={`matrix(${matrix.join(" ")})`} />
  );
}

/** The disk at a pixel: on an axial image the one that the slice shows, on a sagittal one the nearest. */
export function diskAt(document: ReportDocument, view: View, image: ViewImage, pixel: Point): DiskLevel | null {
  if (view === "axial") {
    return document.axial_slices.find((slice) => slice.sop_instance_uid === image.sop_instance_uid)?.level ?? null;
  }
  const spacing = image.plane?.spacing_mm ?? [1, 1];
  let best: DiskLevel | null = null;
  let least = NEAR_MM;
  for (const disk of document.disks) {
    const at = diskPixel(disk, image);
    if (!at) continue;
    const far = Math.hypot((at[0] - pixel[0]) * spacing[1], (at[1] - pixel[1]) * spacing[0]);
    if (far < least) [best, least] = [disk.level, far];
  }
  if (best) return best;
  const roi = (disk: Disk) => disk.rois.sagittal;
  return document.disks.find((disk) => roi(disk)?.sop_instance_uid === image.sop_instance_uid && within(roi(disk)!.corners_px, pixel))
    ?.level ?? null;
}
