/** The first page: what runs, how busy it is, what that sets off, and what it costs. */
import { useQueries, useQuery } from "@tanstack/react-query";
import { type ReactNode, useMemo } from "react";
import { useTranslation } from "react-i18next";
import { useSearchParams } from "wouter";
import { activitiesQuery, alarmsQuery, cpuQuery, groupsQuery, instancesQuery } from "../../api/queries";
import type { Project } from "../../api/types";
import { hasFailed } from "../../components/feedback";
import { useIsLive } from "../../live/use-live";
import { useMedia } from "../../theme/use-media";
import { useTitle } from "../use-title";
import { AlarmsCard } from "./alarms-card";
import { Announcer } from "./announcer";
import { CostCard } from "./cost-card";
import { CpuCard } from "./cpu-card";
import { InstancesCard } from "./instances-card";
import { cpuByInstance, thresholdsOf } from "./model";
import styles from "./overview.module.css";
import { isRange, RANGE_DEFAULT, rangeSeconds } from "./ranges";
import { ScalingCard } from "./scaling-card";
import { ASKED_MAX, askedAtOnce, type NamedSubject, subjectKey, subjectsOf } from "./subjects";
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
    subject: search.get("cpu"),
    setRange: (value: string) => set("range", value === RANGE_DEFAULT ? "" : value),
    setSubject: (value: string) => set("cpu", value),
  };
}

const ONE_COLUMN = "(width < 68rem)";

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

/** Newest CPU of the instances that are asked for, whichever subject the chart shows. */
function useCpuNow(subjects: readonly NamedSubject[]): ReadonlyMap<string, number> {
  const answers = useQueries({
    queries: askedAtOnce(subjects).map((subject) => cpuQuery(subject, rangeSeconds(RANGE_DEFAULT))),
    combine: (results) => results.map(({ data }) => data),
  });
  return useMemo(() => new Map(answers.flatMap((answer) => [...cpuByInstance(answer)])), [answers]);
}

const NOTHING: never[] = [];

export function OverviewPage({ project }: { project: Project }) {
  const { t } = useTranslation();
  const isLive = useIsLive();
  const view = useView();
  const groups = useQuery(groupsQuery(isLive));
  const instancesAnswer = useQuery(instancesQuery(isLive));
  const instances = instancesAnswer.data?.items ?? NOTHING;
  const alarms = useQuery(alarmsQuery(isLive)).data?.items;
  const groupItems = groups.data?.items ?? NOTHING;
  const subjects = useMemo(() => subjectsOf(groupItems, instances), [groupItems, instances]);
  const subject = subjects.find((one) => subjectKey(one) === view.subject) ?? subjects[0];
  const group = groupItems.find(({ id }) => id === subject?.id) ?? groupItems[0];
  const activities = useQuery(activitiesQuery(group?.id ?? "", isLive)).data?.items;
  const cpu = useQuery(cpuQuery(subject, rangeSeconds(view.range)));
  const cpuNow = useCpuNow(subjects);
  const thresholds = useMemo(() => thresholdsOf(alarms ?? NOTHING, subject), [alarms, subject]);
  const firing = alarms?.filter(({ state }) => state === "alarm").length ?? 0;
  useTitle(firing > 0 ? t("overview.documentTitleAlarm", { count: firing }) : t("overview.documentTitle"));
  return (
    <div className={styles.page}>
      <h1 className="visually-hidden">{t("overview.title")}</h1>
      <Announcer alarms={alarms} groupId={group?.id} activities={activities} />
      <Tiles cpu={cpu} subject={subject} group={group} groups={groups} />
      <Columns
        first={
          <CpuCard
            query={cpu}
            isKnown={[groups, instancesAnswer].every((query) => query.data !== undefined || hasFailed(query))}
            subjects={subjects}
            subject={subject}
            onSubject={view.setSubject}
            range={view.range}
            onRange={view.setRange}
            thresholds={thresholds}
            activities={subject?.kind === "group" && activities ? activities : NOTHING}
          />
        }
        second={
          <>
            <InstancesCard
              cpu={cpuNow}
              isCpuPartial={subjects.length > ASKED_MAX}
              groups={groupItems}
              projectName={project.name}
            />
            <CostCard projectName={project.name} />
          </>
        }
        aside={
          <>
            <AlarmsCard projectName={project.name} />
            <ScalingCard
              query={groups}
              group={group}
              onGroup={(id) => view.setSubject(subjectKey({ kind: "group", id }))}
              projectName={project.name}
            />
          </>
        }
      />
    </div>
  );
}
