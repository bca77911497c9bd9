/** One image stack on the screen, with what lies over it. */

import { Enums, type StackViewport, type Types } from "@cornerstonejs/core";
import type { ComponentChildren } from "preact";
import { type Ref } from "preact";
import { useEffect, useImperativeHandle, useMemo, useRef, useState } from "preact/hooks";
import { addToToolGroup, imageIds, NO_PLACE, prefetch, renderingEngine, windowOfSeries } from "./cornerstone";
import { side, toPatient, toPixel } from "./geometry";
import { usePage } from "./page";
import type { ImagePlane, Point, Vector, View, ViewImage, ViewSeries } from "./types";

/** What the keyboard does to a viewport. */
export interface Handle {
  focus: () => void;
  zoom: (factor: number) => void;
  pan: (across_px: number, down_px: number) => void;
  window: (widthFactor: number, levelShare: number) => void;
  reset: () => void;
}

/** Pixel [column, row] -> CSS pixels in the viewport. */
export type Place = (pixel: Point) => Point;

interface Frame {
  index: number;
  width: number;
  center: number;
  /** Screen pixels for each pixel of the image, in percent. */
  zoom: number;
}

/** A click that moved farther than this was a drag. */
const CLICK_PX = 4;
/** Cornerstone's CPU renderer counts pixels from their corners, everything else here from their centres. */
const HALF = 0.5;

export function Viewport(props: {
  view: View;
  series: ViewSeries;
  index: number;
  active: boolean;
  handle: Ref<Handle>;
  choice: ComponentChildren;
  note: string;
  onIndex: (index: number) => void;
  onActive: () => void;
  onPick: (image: ViewImage, pixel: Point) => void;
  overlay: (image: ViewImage, place: Place) => ComponentChildren;
}) {
  const { view, series, index } = props;
  const { say, problem } = usePage();
  const element = useRef<HTMLDivElement>(null);
  const frameOf = useRef<HTMLDivElement>(null);
  const viewport = useRef<StackViewport | null>(null);
  const [frame, setFrame] = useState<Frame | null>(null);
  const [trouble, setTrouble] = useState("");
  const ids = useMemo(() => imageIds(series), [series]);
  const current = useRef(props);
  current.current = props;

  /** Takes over from Cornerstone what is on the screen now. */
  const look = () => {
    const port = viewport.current;
    if (!port?.getImageData()) return;
    const { lower, upper } = port.getProperties().voiRange ?? { lower: 0, upper: 0 };
    setFrame({
      index: Math.max(0, ids.indexOf(port.getCurrentImageId())),
      width: Math.round(upper - lower),
      center: Math.round((upper + lower) / 2),
      zoom: Math.round(port.getZoom() * 100),
    });
  };
  /** The window is the series' until somebody changes it. */
  const voi = useRef(windowOfSeries(series));
  const windowed = (event: Event) => {
    voi.current = (event as CustomEvent<{ range: Types.VOIRange }>).detail.range;
    look();
  };
  /** With each new image, Cornerstone's CPU renderer keeps the window that it draws with but tells the image's own. */
  const rendered = () => {
    viewport.current?.setProperties({ voiRange: voi.current }, true);
    look();
  };
  /** The wheel or a drag scrolled. */
  const scrolled = (event: Event) =>
    current.current.onIndex((event as CustomEvent<{ newImageIdIndex: number }>).detail.newImageIdIndex);
  /** Displays the slice that the page asks for. */
  const follow = () => {
    const port = viewport.current;
    const wanted = current.current.index;
    if (!port || port.getTargetImageIdIndex() === wanted) return;
    port.setImageIdIndex(wanted).then(() => setTrouble(""), (error: unknown) => setTrouble(problem(error)));
  };

  useEffect(() => {
    const div = element.current!;
    const engine = renderingEngine();
    engine.enableElement({ viewportId: view, type: Enums.ViewportType.STACK, element: div, defaultOptions: { background: [0, 0, 0] } });
    const port = engine.getViewport(view) as StackViewport;
    const leave = addToToolGroup(view);
    const stop = { now: false };
    const { IMAGE_RENDERED, CAMERA_MODIFIED, VOI_MODIFIED, STACK_VIEWPORT_SCROLL } = Enums.Events;
    const events: [string, (event: Event) => void][] = [
      [IMAGE_RENDERED, rendered], [CAMERA_MODIFIED, look], [VOI_MODIFIED, windowed], [STACK_VIEWPORT_SCROLL, scrolled],
    ];
    const first = current.current.index;
    port
      .setStack(ids, first)
      .then(() => {
        if (stop.now) return;
        viewport.current = port;
        port.setProperties({ voiRange: voi.current });
        engine.resize(true, false);
        port.resetCamera();
        port.render();
        events.forEach(([name, react]) => div.addEventListener(name, react));
        look();
        follow();
        return prefetch(ids, first, stop);
      })
      .catch((error: unknown) => setTrouble(problem(error)));
    const watch = new ResizeObserver(() => {
      if (!viewport.current || !div.clientWidth) return;
      engine.resize(true, true);
      look();
    });
    watch.observe(div);
    return () => {
      stop.now = true;
      watch.disconnect();
      events.forEach(([name, react]) => div.removeEventListener(name, react));
      viewport.current = null;
      leave();
      engine.disableElement(view);
    };
  }, [ids]);

  useEffect(follow, [index]);

  useImperativeHandle(props.handle, () => {
    const act = (change: (port: StackViewport) => void) => () => {
      const port = viewport.current;
      if (!port) return;
      change(port);
      port.render();
      look();
    };
    return {
      focus: () => frameOf.current?.focus(),
      zoom: (factor) => act((port) => port.setZoom(port.getZoom() * factor))(),
      pan: (across, down) => act((port) => {
        const [x, y] = port.getPan();
        port.setPan([x + across, y + down]);
      })(),
      window: (widthFactor, levelShare) => act((port) => {
        const { lower, upper } = port.getProperties().voiRange!;
        const width = (upper - lower) * widthFactor;
        const center = (upper + lower) / 2 + (upper - lower) * levelShare;
        port.setProperties({ voiRange: { lower: center - width / 2, upper: center + width / 2 } });
      })(),
      reset: act((port) => {
        port.resetCamera();
        port.setProperties({ voiRange: windowOfSeries(series) });
      }),
    };
  }, [ids]);

  const image = frame && series.images[frame.index];
  const plane: ImagePlane = image?.plane ?? NO_PLACE;
  const place: Place = ([column, row]) => {
    const at = toPatient(plane, [column + HALF, row + HALF]);
    const [x, y] = viewport.current!.worldToCanvas(at as Types.Point3);
    return [x, y];
  };

  const pressed = useRef<Point | null>(null);
  const release = (event: PointerEvent) => {
    const from = pressed.current;
    pressed.current = null;
    if (!from || !image || event.button !== 0) return;
    if (Math.hypot(event.clientX - from[0], event.clientY - from[1]) > CLICK_PX) return;
    const box = element.current!.getBoundingClientRect();
    const at = viewport.current!.canvasToWorld([event.clientX - box.left, event.clientY - box.top]);
    const [column, row] = toPixel(plane, at as Vector);
    props.onPick(image, [column - HALF, row - HALF]);
  };

  const stack = frame ? series.stacks.findIndex((members) => members.includes(frame.index)) : -1;
  const name = say(`view.${view}`);
  return (
    <section
      class={`viewport${props.active ? " active" : ""}`}
      data-view={view}
      data-sop={image?.sop_instance_uid}
      data-index={frame?.index}
      data-window={frame && `${frame.width}/${frame.center}`}
      data-zoom={frame?.zoom}
      onPointerDown={props.onActive}
      onFocusIn={props.onActive}
    >
      <div class="title">
        <h2>{name}</h2>
        {props.choice}
      </div>
      <div ref={frameOf} class="screen" tabIndex={0} role="application" aria-label={say("view.label", { view: name })}>
        <div
          ref={element}
          class="image"
          // Cornerstone keeps every key that reaches its element, Tab too; so the frame around it has the focus.
          onFocus={() => frameOf.current?.focus({ preventScroll: true })}
          onContextMenu={(event) => event.preventDefault()}
          onPointerDownCapture={(event) => (pressed.current = [event.clientX, event.clientY])}
          onPointerUpCapture={release}
        />
        {frame && image && viewport.current && (
          <>
            <svg class="overlay" aria-hidden="true">{props.overlay(image, place)}</svg>
            {image.plane && <Sides plane={image.plane} />}
            <div class="corner top-left">{series.description}</div>
            <div class="corner bottom-left">
              {say("view.slice", { number: frame.index + 1, count: series.images.length })}
              {series.stacks.length > 1 && stack >= 0 && (
                <>, {say("view.stack", { number: stack + 1, count: series.stacks.length })}</>
              )}
              <br />
              {props.note}
            </div>
            <div class="corner bottom-right">
              {say("view.window", { width: frame.width, center: frame.center })}
              <br />
              {say("view.zoom", { percent: frame.zoom })}
            </div>
          </>
        )}
        {trouble && <p class="problem" role="alert">{trouble}</p>}
      </div>
      <input
        type="range"
        class="slider"
        min={1}
        max={series.images.length}
        value={index + 1}
        aria-label={say("view.label", { view: name })}
        aria-valuetext={say("view.slice", { number: index + 1, count: series.images.length })}
        onInput={(event) => props.onIndex(Number(event.currentTarget.value) - 1)}
      />
    </section>
  );
}

/** Letters of the patient's sides at the edges of the image. */
function Sides({ plane }: { plane: ImagePlane }) {
  const back = (direction: Vector): Vector => [-direction[0], -direction[1], -direction[2]];
  return (
    <>
      <span class="side left">{side(back(plane.row_direction))}</span>
      <span class="side right">{side(plane.row_direction)}</span>
      <span class="side top">{side(back(plane.column_direction))}</span>
      <span class="side bottom">{side(plane.column_direction)}</span>
    </>
  );
}
