/** The five numbers that say whether to read on. */
import { type UseQueryResult, useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { alarmsQuery, costQuery, instancesQuery } from "../../api/queries";
import type { CpuPercent, ScalingGroup } from "../../api/types";
import { lastValue, pointValue } from "../../charts/align";
import { hasFailed, Skeleton } from "../../components/feedback";
import { useFormat } from "../../i18n/use-format";
import { useIsLive } from "../../live/use-live";
import styles from "./overview.module.css";
import type { NamedSubject } from "./subjects";

interface TileProps {
  label: string;
  value: ReactNode;
  note?: ReactNode;
  isBad?: boolean;
}

function Tile({ label, value, note, isBad = false }: TileProps) {
  return (
    <div className={styles.tile} data-bad={isBad || undefined}>
      <dt>{label}</dt>
      {value === undefined ? (
        <>
          <dd className={styles.tileValue}>
            <Skeleton widths={["4.5rem"]} height="1.2rem" />
          </dd>
          <dd className={styles.tileNote}>{"\u00a0"}</dd>
        </>
      ) : (
        <>
          <dd className={styles.tileValue}>{value}</dd>
          {note !== undefined && <dd className={styles.tileNote}>{note}</dd>}
        </>
      )}
    </div>
  );
}

function InstancesTile() {
  const { t } = useTranslation();
  const format = useFormat();
  const query = useQuery(instancesQuery(useIsLive()));
  if (hasFailed(query)) return <Tile label={t("tiles.running")} value="–" />;
  const items = query.data?.items;
  const running = items?.filter((instance) => instance.status === "ACTIVE").length;
  const isAll = query.data?.next === null;
  return (
    <Tile
      label={t("tiles.running")}
      value={running === undefined ? undefined : format.number(running)}
      note={t(isAll ? "tiles.ofAll" : "tiles.ofFirst", { count: items?.length ?? 0 })}
    />
  );
}

function AlarmsTile() {
  const { t } = useTranslation();
  const format = useFormat();
  const query = useQuery(alarmsQuery(useIsLive()));
  if (hasFailed(query)) return <Tile label={t("tiles.alarms")} value="–" />;
  const items = query.data?.items;
  const isAll = query.data?.next === null;
  const firing = items?.filter((alarm) => alarm.state === "alarm").length;
  const unknown = items?.filter((alarm) => alarm.state === "insufficient data").length ?? 0;
  const notes = [t(isAll ? "tiles.alarmsNote" : "tiles.alarmsFirst", { count: items?.length ?? 0 })];
  if (unknown > 0) notes.push(t("tiles.unknownNote", { count: unknown }));
  return (
    <Tile
      label={t("tiles.alarms")}
      value={firing === undefined ? undefined : format.number(firing)}
      note={notes.join(" · ")}
      isBad={(firing ?? 0) > 0}
    />
  );
}

function CostTile() {
  const { t } = useTranslation();
  const format = useFormat();
  const query = useQuery(costQuery(useIsLive()));
  const cost = query.data;
  if (hasFailed(query)) return <Tile label={t("tiles.cost")} value="–" />;
  const total = cost && format.running(cost.total, cost.total_unrounded, cost.currency);
  return <Tile label={t("tiles.cost")} value={total} note={cost && format.period(cost.period)} />;
}

interface TilesProps {
  cpu: UseQueryResult<CpuPercent>;
  subject: NamedSubject | undefined;
  group: ScalingGroup | undefined;
  groups: UseQueryResult<unknown>;
}

export function Tiles({ cpu, subject, group, groups }: TilesProps) {
  const { t } = useTranslation();
  const format = useFormat();
  const isKnown = groups.data !== undefined || hasFailed(groups);
  const now = cpu.data && lastValue(cpu.data.aggregate.map(pointValue));
  const isUnknown = now === null || hasFailed(cpu) || (subject === undefined && isKnown);
  const cpuText = isUnknown ? "–" : now === undefined ? undefined : format.percent(now);
  const cpuNote = subject
    ? t(subject.kind === "group" ? "tiles.cpuNote" : "tiles.cpuOneNote", { name: subject.name })
    : t("tiles.cpuNoNote");
  const size = group ? format.number(group.size_current) : isKnown ? "–" : undefined;
  const sizeNote = group
    ? t("tiles.groupNote", { min: group.size_min, max: group.size_max, desired: group.size_desired })
    : t("tiles.noGroup");
  return (
    <dl className={styles.tiles}>
      <InstancesTile />
      <Tile label={t("tiles.cpu")} value={cpuText} note={cpuNote} />
      <Tile label={t("tiles.group")} value={size} note={sizeNote} />
      <AlarmsTile />
      <CostTile />
    </dl>
  );
}
