/**
 * Cornerstone3D as this page uses it: stacks of 16-bit images that the server sends as raw numbers.
 *
 * Images are drawn by Cornerstone's CPU renderer. An MR slice is small, so this is fast enough everywhere, looks the same on
 * every computer, and needs neither a GPU nor WebAssembly.
 */

import { Enums, imageLoader, init, metaData, RenderingEngine, setUseCPURendering, type Types, utilities } from "@cornerstonejs/core";
import {
  addTool, Enums as ToolEnums, init as initTools, PanTool, StackScrollTool, ToolGroupManager, WindowLevelTool, ZoomTool,
} from "@cornerstonejs/tools";
import { api } from "./api";
import type { ImagePlane, ViewImage, ViewSeries } from "./types";

const SCHEME = "lumbar";
const ENGINE = "reading";
const TOOL_GROUP = "reading";

/** What the left mouse button may do. */
export const TOOLS = ["WindowLevel", "Pan", "Zoom", "StackScroll"] as const;
export type ToolName = (typeof TOOLS)[number];

/** Where an image without a place in the patient (PNG, JPG) is taken to lie, so that it can be shown. */
export const NO_PLACE: ImagePlane = {
  origin_lps_mm: [0, 0, 0],
  row_direction: [1, 0, 0],
  column_direction: [0, 1, 0],
  spacing_mm: [1, 1],
  thickness_mm: null,
};

const known = new Map<string, { image: ViewImage; series: ViewSeries }>();

/** Makes the images of a series known to Cornerstone. */
export function imageIds(series: ViewSeries): string[] {
  return series.images.map((image) => {
    const id = `${SCHEME}:${image.pixels}`;
    known.set(id, { image, series });
    return id;
  });
}

/** Window of a series, that of its middle image, as lower and upper bound of the signal. */
export function windowOfSeries(series: ViewSeries): { lower: number; upper: number } {
  const image = series.images[Math.floor(series.images.length / 2)]!;
  return { lower: image.window_center - image.window_width / 2, upper: image.window_center + image.window_width / 2 };
}

async function load(imageId: string): Promise<Types.IImage> {
  const { image } = known.get(imageId)!;
  const pixels = new Uint16Array(await api.pixels(image.pixels));
  if (pixels.length !== image.rows * image.columns) throw new Error("an image came incomplete");
  let [least, most] = [Infinity, -Infinity];
  for (const value of pixels) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  const [rowSpacing, columnSpacing] = (image.plane ?? NO_PLACE).spacing_mm;
  const { rows, columns } = image;
  return {
    imageId,
    minPixelValue: least,
    maxPixelValue: most,
    slope: image.slope,
    intercept: image.intercept,
    windowCenter: image.window_center,
    windowWidth: image.window_width,
    voiLUTFunction: Enums.VOILUTFunctionType.LINEAR,
    getPixelData: () => pixels,
    getCanvas: undefined as never,
    rows,
    columns,
    height: rows,
    width: columns,
    color: false,
    rgba: false,
    numberOfComponents: 1,
    rowPixelSpacing: rowSpacing,
    columnPixelSpacing: columnSpacing,
    invert: false,
    photometricInterpretation: "MONOCHROME2",
    sizeInBytes: pixels.byteLength,
    dataType: "Uint16Array",
    voxelManager: utilities.VoxelManager.createImageVoxelManager({
      width: columns, height: rows, scalarData: pixels, numberOfComponents: 1,
    }),
  } as Types.IImage;
}

function metadataOf(type: string, imageId: string): unknown {
  const entry = known.get(imageId);
  if (!entry) return undefined;
  const { image, series } = entry;
  const plane = image.plane ?? NO_PLACE;
  switch (type) {
    case Enums.MetadataModules.IMAGE_PIXEL:
      return {
        pixelRepresentation: 0, bitsAllocated: 16, bitsStored: 16, highBit: 15, samplesPerPixel: 1,
        photometricInterpretation: "MONOCHROME2",
      };
    case Enums.MetadataModules.IMAGE_PLANE:
      return {
        // Sagittal and axial images share the patient, whatever frame of reference the headers name.
        frameOfReferenceUID: "patient",
        rows: image.rows,
        columns: image.columns,
        imageOrientationPatient: [...plane.row_direction, ...plane.column_direction],
        rowCosines: plane.row_direction,
        columnCosines: plane.column_direction,
        imagePositionPatient: plane.origin_lps_mm,
        pixelSpacing: plane.spacing_mm,
        rowPixelSpacing: plane.spacing_mm[0],
        columnPixelSpacing: plane.spacing_mm[1],
        sliceThickness: plane.thickness_mm ?? 1,
      };
    case Enums.MetadataModules.GENERAL_SERIES:
      return { modality: "MR", seriesInstanceUID: series.series_instance_uid };
    case Enums.MetadataModules.VOI_LUT:
      return { windowCenter: [image.window_center], windowWidth: [image.window_width] };
    case Enums.MetadataModules.MODALITY_LUT:
      return { rescaleSlope: image.slope, rescaleIntercept: image.intercept };
    default:
      return undefined;
  }
}

let engine: RenderingEngine | null = null;

/** Starts Cornerstone at the first call. */
export function renderingEngine(): RenderingEngine {
  if (engine) return engine;
  init();
  setUseCPURendering(true);
  initTools();
  imageLoader.registerImageLoader(SCHEME, (imageId) => ({ promise: load(imageId) as Promise<Types.IImage & Record<string, unknown>> }));
  metaData.addProvider(metadataOf, 10000);
  [WindowLevelTool, PanTool, ZoomTool, StackScrollTool].forEach(addTool);
  const group = ToolGroupManager.createToolGroup(TOOL_GROUP)!;
  TOOLS.forEach((name) => group.addTool(name));
  engine = new RenderingEngine(ENGINE);
  return engine;
}

export function addToToolGroup(viewport: string): () => void {
  const group = ToolGroupManager.getToolGroup(TOOL_GROUP)!;
  group.addViewport(viewport, ENGINE);
  return () => group.removeViewports(ENGINE, viewport);
}

/** The left button does what was chosen; middle, right and wheel always pan, zoom and scroll. */
export function chooseTool(chosen: ToolName): void {
  const { MouseBindings } = ToolEnums;
  const group = ToolGroupManager.getToolGroup(TOOL_GROUP)!;
  const always: Partial<Record<ToolName, number>> = {
    Pan: MouseBindings.Auxiliary,
    Zoom: MouseBindings.Secondary,
    StackScroll: MouseBindings.Wheel,
  };
  for (const name of TOOLS) {
    const buttons = [always[name], name === chosen ? MouseBindings.Primary : undefined].filter((button) => button !== undefined);
    if (buttons.length) group.setToolActive(name, { bindings: buttons.map((mouseButton) => ({ mouseButton })) });
    else group.setToolPassive(name, { removeAllBindings: true });
  }
}

/** Fetches all images, nearest to `first` first, so that scrolling does not wait. */
export async function prefetch(ids: string[], first: number, stop: { now: boolean }): Promise<void> {
  const order = ids.map((id, index) => ({ id, far: Math.abs(index - first) })).sort((a, b) => a.far - b.far);
  for (const { id } of order) {
    if (stop.now) return;
    // One that cannot be had is asked for again, and its error shown, when it is to be displayed.
    await imageLoader.loadAndCacheImage(id).catch(() => undefined);
  }
}
