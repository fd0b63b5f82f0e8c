/** A live line chart of percent over time on a canvas. It is never alone: a table twin and a sentence say the same. */
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { useFormat } from "../i18n/use-format";
import { useShownTheme } from "../theme/theme";
import type { ChartFrame } from "./align";
import { drawMarkers, drawThresholds, drawZones, type Marker, type Threshold } from "./overlay";
import { lineStyle, resolveColour } from "./palette";
import styles from "./time-chart.module.css";

interface TimeChartProps {
  frame: ChartFrame;
  /** The time axis in seconds since 1970, whether or not there is data. */
  from: number;
  to: number;
  hidden: ReadonlySet<string>;
  thresholds: readonly Threshold[];
  markers: readonly Marker[];
  label: string;
  onCursor: (index: number | null) => void;
}

/** Values that change from frame to frame without a new plot. */
type Live = Pick<TimeChartProps, "frame" | "from" | "to" | "thresholds" | "markers" | "onCursor">;

export const AGGREGATE = "aggregate";
const AXIS_MAX_PERCENT = 100;
/** A whole number: uPlot scales no other with the screen's density. */
const AXIS_FONT_PX = 12;

const toData = (frame: ChartFrame): uPlot.AlignedData =>
  [frame.times, ...frame.lines.map((line) => line.values), frame.aggregate] as unknown as uPlot.AlignedData;

/** Only a value with unknown neighbours needs a dot: a line through it would not be seen. */
function lonePoints(u: uPlot, seriesIndex: number): number[] | null {
  const values = u.data[seriesIndex] ?? [];
  const lone: number[] = [];
  for (let index = 0; index < values.length; index += 1) {
    if (values[index] != null && values[index - 1] == null && values[index + 1] == null) lone.push(index);
  }
  return lone;
}

function seriesOptions(element: HTMLElement, frame: ChartFrame, hidden: ReadonlySet<string>): uPlot.Series[] {
  const ids = frame.lines.map((line) => line.id);
  const colours = new Map<string, string>();
  const lines = frame.lines.map((line): uPlot.Series => {
    const style = lineStyle(line.id, ids);
    const colour = colours.get(style.colour) ?? resolveColour(element, style.colour);
    colours.set(style.colour, colour);
    return {
      show: !hidden.has(line.id),
      stroke: colour,
      width: style.isPlain ? 1 : 1.5,
      alpha: style.isPlain ? 0.55 : 1,
      dash: [...style.dash],
      points: { show: true, size: 5, fill: colour, filter: lonePoints },
    };
  });
  const colour = resolveColour(element, "--series-aggregate");
  const aggregate: uPlot.Series = {
    show: !hidden.has(AGGREGATE),
    stroke: colour,
    width: 2.5,
    points: { show: true, size: 6, fill: colour, filter: lonePoints },
  };
  return [{}, ...lines, aggregate];
}

interface PlotLook {
  time: (at: Date, withSeconds?: boolean) => string;
  percent: (value: number) => string;
}

function plotOptions(
  element: HTMLElement,
  live: { current: Live },
  hidden: ReadonlySet<string>,
  look: PlotLook,
): uPlot.Options {
  const family = getComputedStyle(element).fontFamily;
  const colours = {
    urgent: resolveColour(element, "--bad"),
    calm: resolveColour(element, "--calm"),
    marker: resolveColour(element, "--text-muted"),
    surface: resolveColour(element, "--surface"),
  };
  const axis = {
    stroke: resolveColour(element, "--text-muted"),
    font: `${AXIS_FONT_PX}px ${family}`,
    ticks: { show: false },
    grid: { stroke: resolveColour(element, "--grid"), width: 1 },
  };
  return {
    width: Math.max(1, element.clientWidth),
    height: Math.max(1, element.clientHeight),
    padding: [10, 12, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
    scales: {
      x: { range: () => [live.current.from, live.current.to] },
      y: { range: (_u, _low, high) => [0, Math.max(AXIS_MAX_PERCENT, high ?? 0)] },
    },
    axes: [
      {
        ...axis,
        size: 28,
        space: 72,
        values: (_u, splits) => splits.map((s) => look.time(new Date(s * 1000), s % 60 !== 0)),
      },
      { ...axis, size: 46, space: 44, values: (_u, splits) => splits.map((value) => look.percent(value)) },
    ],
    series: seriesOptions(element, live.current.frame, hidden),
    hooks: {
      drawAxes: [(u) => drawZones(u, live.current.thresholds, colours)],
      draw: [
        (u) => drawMarkers(u, live.current.markers, colours, family),
        (u) => drawThresholds(u, live.current.thresholds, colours, family),
      ],
      setCursor: [(u) => live.current.onCursor(u.cursor.idx ?? null)],
    },
  };
}

export function TimeChart({ frame, from, to, hidden, thresholds, markers, label, onCursor }: TimeChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const live = useRef<Live>({ frame, from, to, thresholds, markers, onCursor });
  live.current = { frame, from, to, thresholds, markers, onCursor };
  const theme = useShownTheme();
  const { time, percent, locale } = useFormat();
  const structure = [theme, locale, ...frame.lines.map((line) => line.id), "|", ...hidden].join();

  // biome-ignore lint/correctness/useExhaustiveDependencies: `structure` names all that asks for a new plot; the rest goes through `live`
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const made = new uPlot(plotOptions(element, live, hidden, { time, percent }), toData(live.current.frame), element);
    plot.current = made;
    const observer = new ResizeObserver(() =>
      made.setSize({ width: Math.max(1, element.clientWidth), height: Math.max(1, element.clientHeight) }),
    );
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = undefined;
    };
  }, [structure]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: thresholds, markers and the axis are drawn from `live` when the data is set
  useEffect(() => {
    plot.current?.setData(toData(frame));
  }, [frame, from, to, thresholds, markers]);

  return <div ref={box} className={styles.chart} role="img" aria-label={label} />;
}
