/** CPU of a group's instances and their mean, against the alarm's threshold: as a chart, as a table and as a sentence. */
import type { UseQueryResult } from "@tanstack/react-query";
import { useCallback, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import type { CpuPercent, ScalingActivity } from "../../api/types";
import { alignSeries, type ChartFrame } from "../../charts/align";
import type { Marker, Threshold } from "../../charts/overlay";
import { shareAbove, summarise } from "../../charts/summary";
import { TimeChart } from "../../charts/time-chart";
import { Card } from "../../components/card";
import { Segments, Select } from "../../components/controls";
import { EmptyState, QueryView, Skeleton } from "../../components/feedback";
import { useFormat } from "../../i18n/use-format";
import { CpuLegend } from "./cpu-legend";
import { CpuTable } from "./cpu-table";
import { type AlarmThreshold, directionOf } from "./model";
import styles from "./overview.module.css";
import { RANGES, type Range, rangeSeconds } from "./ranges";
import { type NamedSubject, subjectKey } from "./subjects";

interface CpuCardProps {
  query: UseQueryResult<CpuPercent>;
  /** Whether it is known whose CPU there is to show. */
  isKnown: boolean;
  subjects: readonly NamedSubject[];
  subject: NamedSubject | undefined;
  onSubject: (key: string) => void;
  range: Range;
  onRange: (range: Range) => void;
  thresholds: readonly AlarmThreshold[];
  activities: readonly ScalingActivity[];
}

function useSummaryText(): (frame: ChartFrame, range: Range, threshold: number | undefined) => string {
  const { t } = useTranslation();
  const format = useFormat();
  return (frame, range, threshold) => {
    const summary = summarise(frame);
    if (!summary) return "";
    const { now, mean, peak, peakTime, gaps } = summary;
    const percents = { now: format.percent(now), mean: format.percent(mean), peak: format.percent(peak) };
    const peakAt = format.time(new Date(peakTime * 1000));
    const sentences = [t("cpu.summary", { ...percents, peakTime: peakAt, range: t(`cpu.ranges.${range}`) })];
    if (threshold !== undefined) {
      const share = shareAbove(frame.aggregate, threshold);
      const words = { threshold: format.percentExactly(threshold), share: format.percent(share * 100) };
      sentences.push(t(share > 0 ? "cpu.summaryAbove" : "cpu.summaryBelow", words));
    }
    if (gaps > 0) sentences.push(t("cpu.summaryGaps", { count: gaps }));
    return sentences.join(" ");
  };
}

/** Labels of the thresholds, by the alarm's name where there are several. */
function useThresholds(thresholds: CpuCardProps["thresholds"]): readonly Threshold[] {
  const { t } = useTranslation();
  const format = useFormat();
  return useMemo(
    () =>
      thresholds.map(({ name, value, side, isUrgent }) => ({
        value,
        side,
        isUrgent,
        label:
          thresholds.length === 1
            ? t("cpu.threshold", { value: format.percentExactly(value) })
            : t("cpu.thresholdOf", { alarm: name, value: format.percentExactly(value) }),
      })),
    [thresholds, t, format],
  );
}

function useMarkers(activities: readonly ScalingActivity[]): readonly Marker[] {
  const { t } = useTranslation();
  return useMemo(
    () =>
      activities
        .filter((activity) => ["out", "in"].includes(directionOf(activity)))
        .map(({ at, size_before, size_after }) => ({
          time: Date.parse(at) / 1000,
          label: t("cpu.marker", { before: size_before, after: size_after }),
        })),
    [activities, t],
  );
}

function toggled(set: ReadonlySet<string>, id: string): ReadonlySet<string> {
  const next = new Set(set);
  if (!next.delete(id)) next.add(id);
  return next;
}

interface CpuViewProps {
  answer: CpuPercent;
  at: number;
  range: Range;
  isTable: boolean;
  thresholds: CpuCardProps["thresholds"];
  activities: readonly ScalingActivity[];
}

function CpuView({ answer, at, range, isTable, thresholds, activities }: CpuViewProps) {
  const { t } = useTranslation();
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const [cursor, setCursor] = useState<number | null>(null);
  const onToggle = useCallback((id: string) => setHidden((before) => toggled(before, id)), []);
  const summaryText = useSummaryText();
  const lines = useThresholds(thresholds);
  const markers = useMarkers(activities);
  const frame = useMemo(() => {
    const series = answer.series.map(({ resource_id, name, points }) => ({ id: resource_id, name, points }));
    return alignSeries(series, answer.aggregate, answer.granularity_s);
  }, [answer]);
  if (frame.aggregate.every((value) => value === null))
    return <EmptyState title={t("cpu.emptyTitle")} text={t("cpu.emptyText")} />;
  const summary = summaryText(frame, range, thresholds.find(({ side }) => side === "above")?.value);
  const to = at / 1000;
  return (
    <figure className={styles.figure}>
      <figcaption className={styles.summary}>{summary}</figcaption>
      {isTable ? (
        <CpuTable frame={frame} />
      ) : (
        <>
          <TimeChart
            frame={frame}
            from={to - rangeSeconds(range)}
            to={to}
            hidden={hidden}
            thresholds={lines}
            markers={markers}
            label={`${t("cpu.title")}: ${summary}`}
            onCursor={setCursor}
          />
          <CpuLegend frame={frame} cursor={cursor} hidden={hidden} onToggle={onToggle} />
        </>
      )}
    </figure>
  );
}

function Waiting() {
  return (
    <div className={styles.figureWaiting}>
      <Skeleton widths={["60%"]} />
      <Skeleton widths={["100%"]} height="16rem" />
    </div>
  );
}

export function CpuCard(props: CpuCardProps) {
  const { t } = useTranslation();
  const [view, setView] = useState<"chart" | "table">("chart");
  const { subjects, subject, range, query, isKnown } = props;
  const scopes = subjects.map((one) => ({
    value: subjectKey(one),
    label: t(`cpu.${one.kind}`, { name: one.name }),
  }));
  const actions = subject && (
    <>
      <Select label={t("cpu.scope")} value={subjectKey(subject)} choices={scopes} onChoose={props.onSubject} />
      <Segments
        label={t("cpu.range")}
        value={range}
        choices={RANGES.map((value) => ({ value, label: t(`cpu.rangesShort.${value}`) }))}
        onChoose={props.onRange}
      />
      <Segments
        label={t("cpu.view")}
        value={view}
        choices={[
          { value: "chart", label: t("cpu.showChart") },
          { value: "table", label: t("cpu.showTable") },
        ]}
        onChoose={setView}
      />
    </>
  );
  return (
    <Card title={t("cpu.title")} actions={actions || undefined}>
      {subject === undefined && !isKnown && <Waiting />}
      {subject === undefined && isKnown && <EmptyState title={t("cpu.noneTitle")} text={t("cpu.noneText")} />}
      {subject && (
        <QueryView query={query} skeleton={<Waiting />}>
          {(answer) => (
            <CpuView
              answer={answer}
              at={query.dataUpdatedAt}
              range={range}
              isTable={view === "table"}
              thresholds={props.thresholds}
              activities={props.activities}
            />
          )}
        </QueryView>
      )}
    </Card>
  );
}
