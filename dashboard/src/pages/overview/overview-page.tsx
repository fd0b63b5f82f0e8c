/** The first page: what runs, how busy it is, what that sets off, and what it costs. */
import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useEffect, useMemo } from "react";
import { useTranslation } from "react-i18next";
import { useSearchParams } from "wouter";
import { activitiesQuery, alarmsQuery, cpuQuery, groupsQuery } from "../../api/queries";
import type { Session } from "../../api/types";
import { useIsLive } from "../../live/use-live";
import { useMedia } from "../../theme/use-media";
import { AlarmsCard } from "./alarms-card";
import { Announcer } from "./announcer";
import { CostCard } from "./cost-card";
import { CpuCard } from "./cpu-card";
import { InstancesCard } from "./instances-card";
import { cpuByInstance, thresholdsOf } from "./model";
import styles from "./overview.module.css";
import { isRange, RANGE_DEFAULT, rangeSeconds } from "./ranges";
import { ScalingCard } from "./scaling-card";
import { Tiles } from "./tiles";

/** What is looked at is part of the address, so that it can be shared and found again. */
function useView() {
  const [search, setSearch] = useSearchParams();
  const range = search.get("range");
  const set = (name: string, value: string) =>
    setSearch(
      (before) => {
        const next = new URLSearchParams(before);
        if (value === "") next.delete(name);
        else next.set(name, value);
        return next;
      },
      { replace: true },
    );
  return {
    range: isRange(range) ? range : RANGE_DEFAULT,
    groupId: search.get("group"),
    setRange: (value: string) => set("range", value === RANGE_DEFAULT ? "" : value),
    setGroup: (value: string) => set("group", value),
  };
}

const ALL = "all";
const ONE_COLUMN = "(width < 68rem)";

function useTitle(firing: number): void {
  const { t } = useTranslation();
  useEffect(() => {
    document.title = firing > 0 ? t("overview.documentTitleAlarm", { count: firing }) : t("overview.documentTitle");
  }, [firing, t]);
}

interface ColumnsProps {
  first: ReactNode;
  second: ReactNode;
  aside: ReactNode;
}

/** Two columns where there is room; else one, in an order of its own: what needs eyes before the long table. */
function Columns({ first, second, aside }: ColumnsProps) {
  const isNarrow = useMedia(ONE_COLUMN);
  return (
    <div className={styles.columns}>
      <div className={styles.wide}>
        {first}
        {isNarrow && aside}
        {second}
      </div>
      {!isNarrow && <div className={styles.narrow}>{aside}</div>}
    </div>
  );
}

export function OverviewPage({ session }: { session: Session }) {
  const { t } = useTranslation();
  const isLive = useIsLive();
  const view = useView();
  const groups = useQuery(groupsQuery(isLive));
  const alarms = useQuery(alarmsQuery(isLive)).data?.items;
  const groupItems = groups.data?.items ?? [];
  const chosen = view.groupId === ALL ? undefined : groupItems.find(({ id }) => id === view.groupId);
  const group = chosen ?? groupItems[0];
  const scope = view.groupId === ALL ? "" : (group?.id ?? "");
  const activities = useQuery(activitiesQuery(group?.id ?? "", isLive)).data?.items;
  const cpu = useQuery({ ...cpuQuery(scope, rangeSeconds(view.range)), enabled: !groups.isPending });
  const all = useQuery(cpuQuery("", rangeSeconds(RANGE_DEFAULT)));
  const cpuNow = useMemo(() => cpuByInstance(all.data), [all.data]);
  const thresholds = useMemo(() => thresholdsOf(alarms ?? [], scope), [alarms, scope]);
  useTitle(alarms?.filter(({ state }) => state === "alarm").length ?? 0);
  return (
    <div className={styles.page}>
      <h1 className="visually-hidden">{t("overview.title")}</h1>
      <Announcer alarms={alarms} activities={activities} />
      <Tiles cpu={cpu.data} group={group} hasGroups={groups.data && groupItems.length > 0} />
      <Columns
        first={
          <CpuCard
            query={cpu}
            groups={groupItems}
            groupId={scope}
            onGroup={(id) => view.setGroup(id === "" ? ALL : id)}
            range={view.range}
            onRange={view.setRange}
            thresholds={thresholds}
            activities={activities ?? []}
          />
        }
        second={
          <>
            <InstancesCard cpu={cpuNow} groups={groupItems} projectName={session.project?.name} />
            <CostCard projectName={session.project?.name} />
          </>
        }
        aside={
          <>
            <AlarmsCard projectName={session.project?.name} />
            <ScalingCard query={groups} group={group} onGroup={view.setGroup} projectName={session.project?.name} />
          </>
        }
      />
    </div>
  );
}
