/** The reading view: sagittal and axial images side by side, and the review beside them. */

import { useEffect, useRef, useState } from "preact/hooks";
import { api } from "./api";
import { chooseTool, renderingEngine, TOOLS, type ToolName } from "./cornerstone";
import { AmendDialog, ExportDialog, HelpDialog, LogDialog, SignDialog } from "./dialogs";
import { chosen, Panel, ReviewBar } from "./findings";
import { nearest } from "./geometry";
import { command, type Command } from "./keys";
import { diskAt, heatMapsIn, Overlay, type Shown } from "./overlay";
import { useKept, usePage } from "./page";
import { Notice, Switches, usePatientName } from "./parts";
import { diskName, diskReview, useReport, vertebraName } from "./review";
import type { DiskLevel, Report, StudyEntry, Vector, Vertebra, View, ViewSeries } from "./types";
import { type Handle, Viewport } from "./viewport";

const VIEWS: readonly View[] = ["sagittal", "axial"];
const OTHER: Record<View, View> = { sagittal: "axial", axial: "sagittal" };

/** Which series and which of its images a viewport shows. */
type Place = Record<View, { series: number; index: number } | null>;

export function ReadingView({ id }: { id: string }) {
  const { say, problem, language } = usePage();
  const [reader, setReader] = useKept<string>("reader", "", () => true);
  const [entry, setEntry] = useState<StudyEntry | null>(null);
  const [series, setSeries] = useState<ViewSeries[] | null>(null);
  const [trouble, setTrouble] = useState("");
  const review = useReport(id, reader, language);
  useEffect(() => {
    const failed = (error: unknown) => setTrouble(problem(error));
    api.study(id).then(setEntry, failed);
    api.series(id).then(setSeries, failed);
  }, [id]);
  const failure = trouble || (review.trouble && !review.report ? problem(review.trouble) : "");
  if (!entry || !series || !review.report) {
    return (
      <>
        <header class="masthead">
          <a href="#/">← {say("reading.back")}</a>
          <Notice />
          <Switches />
        </header>
        <main>{failure ? <p class="problem" role="alert">{failure}</p> : <p role="status">{say("reading.loading")}</p>}</main>
      </>
    );
  }
  return <Reading id={id} entry={entry} series={series} report={review.report} review={review} reader={reader} onReader={setReader} />;
}

type DialogName = "sign" | "amend" | "export" | "log" | "help";

function Reading(props: {
  id: string;
  entry: StudyEntry;
  series: ViewSeries[];
  report: Report;
  review: ReturnType<typeof useReport>;
  reader: string;
  onReader: (name: string) => void;
}) {
  const { id, series, report, review } = props;
  const { document } = report;
  const { say, announce } = usePage();
  const [place, setPlace] = useState<Place>(() => firstPlace(series));
  const [active, setActive] = useState<View>(place.axial ? "axial" : "sagittal");
  // The first disk that is not read as normal, else the lowest.
  const [selected, setSelected] = useState<DiskLevel | null>(
    () => (document.disks.find((disk) => disk.finding !== "normal") ?? document.disks.at(-1))?.level ?? null,
  );
  const [tool, setTool] = useState<ToolName>("WindowLevel");
  const [shown, setShown] = useState<Shown>({ boxes: true, lines: true, heat: false });
  const [dialog, setDialog] = useState<DialogName | null>(null);
  const [single, setSingle] = useKept<"on" | "off">("keys", "on", (value) => value === "on" || value === "off");
  const handles = { sagittal: useRef<Handle>(null), axial: useRef<Handle>(null) };
  const hasHeat = heatMapsIn(report.files).length > 0;

  useEffect(() => {
    renderingEngine();
    chooseTool(tool);
  }, [tool]);

  const shows = (view: View) => {
    const at = place[view];
    return at && { series: series[at.series]!, index: at.index };
  };
  const moveTo = (view: View, index: number) =>
    setPlace((old) => {
      const at = old[view];
      if (!at) return old;
      const last = series[at.series]!.images.length - 1;
      return { ...old, [view]: { ...at, index: Math.max(0, Math.min(last, index)) } };
    });

  /** Brings an image to a viewport: by its UID, or the one nearest to a point in the patient. */
  const bring = (view: View, sop: string | undefined, point: Vector | null) => {
    const now = shows(view);
    if (!now) return;
    const { images } = now.series;
    const exact = images.findIndex((image) => image.sop_instance_uid === sop);
    const index = exact >= 0 ? exact : point ? nearest(images.map((image) => image.plane), point) : -1;
    if (index >= 0) moveTo(view, index);
  };

  const goToDisk = (level: DiskLevel) => {
    const disk = document.disks.find((one) => one.level === level)!;
    setSelected(level);
    bring("axial", disk.axial_sop_instance_uids[0], disk.center_lps_mm);
    bring("sagittal", disk.rois.sagittal?.sop_instance_uid, disk.center_lps_mm);
  };
  const goToVertebra = (vertebra: Vertebra) => {
    const middle = vertebra.boxes[Math.floor(vertebra.boxes.length / 2)]?.sop_instance_uid;
    bring("sagittal", vertebra.center_lps_mm ? undefined : middle, vertebra.center_lps_mm);
  };
  useEffect(() => {
    if (selected) goToDisk(selected);
  }, []);

  const toggle = (what: keyof Shown) => (what !== "heat" || hasHeat) && setShown({ ...shown, [what]: !shown[what] });

  const obey = (order: Command) => {
    const handle = handles[active].current;
    const disk = document.disks.find((one) => one.level === selected);
    const draft = document.review.status === "draft";
    switch (order.do) {
      case "disk": return goToDisk(order.level);
      case "scroll": {
        const now = shows(active);
        if (!now) return;
        const count = now.series.images.length;
        const next = Math.max(0, Math.min(count - 1, now.index + order.by));
        moveTo(active, next);
        return announce(say("view.said", { view: say(`view.${active}`), number: next + 1, count }));
      }
      case "switch":
        if (!place[OTHER[active]]) return;
        handles[OTHER[active]].current?.focus();
        return setActive(OTHER[active]);
      case "window": return handle?.window(order.width, order.level);
      case "zoom": return handle?.zoom(order.factor);
      case "pan": return handle?.pan(order.across_px, order.down_px);
      case "reset": return handle?.reset();
      case "boxes": case "lines": case "heat": return void toggle(order.do);
      case "finding": return void (draft && disk && review.change({ disks: [chosen(report, disk, order.finding)] }));
      case "confirm":
        return void (draft && disk && review.change({ disks: [{ ...diskReview(document.review, disk.level), confirmed: true }] }));
      case "help": return setDialog("help");
      case "leave": location.hash = "#/";
    }
  };
  const obeyNow = useRef(obey);
  obeyNow.current = obey;
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const at = event.target as HTMLElement;
      if (event.defaultPrevented || at.closest("dialog")) return;
      const types = at.matches("textarea, select, input:not([type=radio]):not([type=checkbox]):not([type=range])");
      if (types && event.key !== "Escape") return;
      if (types) return at.blur();
      const order = command(event, single === "on", at.closest("[role=application]") === null && at !== window.document.body);
      if (!order) return;
      event.preventDefault();
      obeyNow.current(order);
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, [single]);

  const close = () => setDialog(null);
  const common = { study: id, report, onClose: close };
  const signer = { reader: props.reader, onReader: props.onReader };
  return (
    <div class="reading">
      <a class="skip" href="#findings" onClick={(event) => {
        event.preventDefault();
        window.document.getElementById("findings")?.focus();
      }}>
        {say("skip")}
      </a>
      <Header entry={props.entry} onHelp={() => setDialog("help")} />
      <Toolbar tool={tool} onTool={setTool} shown={shown} hasHeat={hasHeat} onToggle={toggle}
        onReset={() => VIEWS.forEach((view) => handles[view].current?.reset())} />
      <main>
        <div class="images" role="group" aria-label={say("reading.images")}>
          {VIEWS.map((view) => {
            const now = shows(view);
            if (!now) return <p key={view} class="viewport empty">{say("view.none", { view: say(`view.${view}`) })}</p>;
            return (
              <Viewport
                key={`${view} ${now.series.index}`}
                view={view}
                series={now.series}
                index={now.index}
                active={active === view}
                handle={handles[view]}
                note={note(say, report, view, now.series, now.index)}
                choice={
                  <SeriesChoice view={view} series={series} chosen={now.series} onChoose={(index) =>
                    setPlace((old) => ({ ...old, [view]: moved(series, old[view]!, index) }))} />
                }
                onIndex={(index) => moveTo(view, index)}
                onActive={() => setActive(view)}
                onPick={(image, pixel) => {
                  const level = diskAt(document, view, image, pixel);
                  if (level) goToDisk(level);
                }}
                overlay={(image, at) => (
                  <Overlay study={id} view={view} image={image} place={at} document={document} files={report.files} shown={shown}
                    selected={selected} other={shows(OTHER[view])}
                    vertebraName={(level) => vertebraName(document.review, level)}
                    diskName={(level) => diskName(document.review, level)} />
                )}
              />
            );
          })}
        </div>
        <aside id="findings" tabIndex={-1} aria-label={say("reading.findings")}>
          <div class="scroll" tabIndex={0} role="region" aria-label={say("findings.disks")}>
            <Panel study={id} report={report} selected={selected} onDisk={goToDisk} onVertebra={goToVertebra} onChange={review.change} />
          </div>
          <ReviewBar report={report} {...signer} saving={review.saving} onChange={review.change} onDialog={setDialog} />
        </aside>
      </main>
      {dialog === "sign" && (
        <SignDialog {...common} {...signer} settle={review.settle} onSigned={(next) => (review.take(next), close())} />
      )}
      {dialog === "amend" && <AmendDialog {...common} {...signer} onAmended={(next) => (review.take(next), close())} />}
      {dialog === "export" && <ExportDialog {...common} />}
      {dialog === "log" && <LogDialog study={id} onClose={close} />}
      {dialog === "help" && <HelpDialog single={single === "on"} onSingle={(on) => setSingle(on ? "on" : "off")} onClose={close} />}
    </div>
  );
}

/** The series that were read, at their middle; where there is none of a view, another of its orientation. */
function firstPlace(series: ViewSeries[]): Place {
  const find = (view: View) => {
    const read = series.findIndex((one) => one.role === view);
    const index = read >= 0 ? read : series.findIndex((one) => one.orientation === view);
    return index < 0 ? null : { series: index, index: Math.floor(series[index]!.images.length / 2) };
  };
  return { sagittal: find("sagittal"), axial: find("axial") };
}

/** Another series in the same viewport, at the slice nearest to the one that was shown. */
function moved(series: ViewSeries[], from: { series: number; index: number }, to: number): { series: number; index: number } {
  const { images } = series[to]!;
  const before = series[from.series]!.images[from.index]?.plane;
  const index = before ? nearest(images.map((image) => image.plane), before.origin_lps_mm) : -1;
  return { series: to, index: index >= 0 ? index : Math.floor(images.length / 2) };
}

function note(say: ReturnType<typeof usePage>["say"], report: Report, view: View, series: ViewSeries, index: number): string {
  const image = series.images[index];
  if (image && !image.plane) return say("view.no_place");
  if (view !== "axial" || series.role !== "axial") return "";
  const level = report.document.axial_slices.find((slice) => slice.sop_instance_uid === image?.sop_instance_uid)?.level;
  return level ? say("view.disk", { level: diskName(report.document.review, level) }) : say("view.no_disk");
}

function SeriesChoice(props: { view: View; series: ViewSeries[]; chosen: ViewSeries; onChoose: (index: number) => void }) {
  const { say } = usePage();
  return (
    <select
      value={props.series.indexOf(props.chosen)}
      aria-label={say("view.series.of", { view: say(`view.${props.view}`) })}
      onChange={(event) => props.onChoose(Number(event.currentTarget.value))}
    >
      {props.series.map((one, index) => (
        <option key={index} value={index}>
          {`${one.description || say("view.series")} · ${one.weighting !== "unknown" ? `${one.weighting} · ` : ""}${one.images.length}`}
        </option>
      ))}
    </select>
  );
}

function Header({ entry, onHelp }: { entry: StudyEntry; onHelp: () => void }) {
  const { say } = usePage();
  const { patient } = entry;
  const born = patient.birth_date && say("reading.born", { date: patient.birth_date });
  return (
    <header class="masthead">
      <a href="#/">← {say("reading.back")}</a>
      <h1>
        <span class="unseen">{say("reading.patient")}: </span>
        {usePatientName()(patient)}
        <span class="quiet">{[patient.id, born, patient.sex, entry.study_date, entry.description].filter(Boolean).join(" · ")}</span>
      </h1>
      <Notice />
      <button type="button" onClick={onHelp}>{say("help")}</button>
      <Switches />
    </header>
  );
}

function Toolbar(props: {
  tool: ToolName;
  onTool: (tool: ToolName) => void;
  shown: Shown;
  hasHeat: boolean;
  onToggle: (what: keyof Shown) => void;
  onReset: () => void;
}) {
  const { say } = usePage();
  const { shown, hasHeat } = props;
  return (
    <div class="tools">
      <div role="group" aria-label={say("tool.group")}>
        {TOOLS.map((name) => (
          <button key={name} type="button" aria-pressed={name === props.tool} onClick={() => props.onTool(name)}>
            {say(`tool.${name}`)}
          </button>
        ))}
      </div>
      <div role="group" aria-label={say("tool.show")}>
        {(["boxes", "lines"] as const).map((what) => (
          <button key={what} type="button" aria-pressed={shown[what]} onClick={() => props.onToggle(what)}>
            {say(`tool.${what}`)}
          </button>
        ))}
        <button type="button" data-tool="heat" aria-pressed={shown.heat && hasHeat} aria-disabled={!hasHeat}
          aria-describedby={hasHeat ? undefined : "no-heat"} title={hasHeat ? undefined : say("tool.heat.none")}
          onClick={() => props.onToggle("heat")}>
          {say("tool.heat")}
        </button>
        {!hasHeat && <span id="no-heat" class="unseen">{say("tool.heat.none")}</span>}
      </div>
      <button type="button" onClick={props.onReset}>{say("tool.reset")}</button>
    </div>
  );
}
