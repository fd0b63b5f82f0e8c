/** Each alarm's state with its reason, its rule, and how it got there. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { alarmHistoryQuery, alarmsQuery, instancesQuery } from "../../api/queries";
import type { Alarm } from "../../api/types";
import { Card } from "../../components/card";
import { EmptyState, QueryView, Skeleton } from "../../components/feedback";
import { ReasonText } from "../../components/reason";
import { StateMark } from "../../components/state";
import { Ago } from "../../components/time";
import { en } from "../../i18n/en";
import { useFormat } from "../../i18n/use-format";
import { useIsLive } from "../../live/use-live";
import { alarmLook, byUrgency, isPercent, metricOf, terminalCommand } from "./model";
import styles from "./overview.module.css";

const FIRST_SERVER = '"$(openstack server list -f value -c ID | head -n 1)"';

/** 80 % of one vCPU for a minute, in the nanoseconds that the cpu meter counts. */
const createCommand = (serverId: string): string =>
  [
    "openstack alarm create --name cpu-high",
    "  --type gnocchi_resources_threshold",
    "  --metric cpu --resource-type instance",
    `  --resource-id ${serverId}`,
    "  --aggregation-method rate:mean --granularity 60",
    "  --comparison-operator gt --threshold 48000000000",
  ].join(" \\\n");
const SEVERITIES = en.alarms.severities;
const OPERATORS: Record<string, string> = { gt: ">", ge: "≥", lt: "<", le: "≤", eq: "=", ne: "≠" };

function AlarmState({ state }: { state: string }) {
  const { t } = useTranslation();
  return (
    <StateMark {...alarmLook(state)} pill>
      {t(`alarms.states.${state as "ok"}`, { defaultValue: state })}
    </StateMark>
  );
}

function Rule({ alarm }: { alarm: Alarm }) {
  const { t } = useTranslation();
  const format = useFormat();
  const isOfPercent = isPercent(alarm);
  const rule = t("alarms.rule", {
    operator: OPERATORS[alarm.comparison_operator] ?? alarm.comparison_operator,
    threshold: isOfPercent ? format.percentExactly(alarm.threshold) : format.reading(alarm.threshold),
    periods: alarm.evaluation_periods,
    granularity: format.duration(alarm.granularity_s),
  });
  const metric = isOfPercent ? "" : metricOf(alarm);
  const parts = [metric === "" ? rule : t("alarms.ruleOf", { metric, rule })];
  if (alarm.last_value !== null) {
    const last = isOfPercent ? format.percent(alarm.last_value, 1) : format.reading(alarm.last_value);
    parts.push(t("alarms.last", { value: last }));
  }
  if (alarm.severity in SEVERITIES) parts.push(t(`alarms.severities.${alarm.severity as "low"}`));
  if (!alarm.enabled) parts.push(t("alarms.disabled"));
  return <p className={styles.sub}>{parts.join(" · ")}</p>;
}

function History({ alarmId }: { alarmId: string }) {
  const { t } = useTranslation();
  const query = useQuery(alarmHistoryQuery(alarmId));
  return (
    <QueryView query={query} skeleton={<Skeleton widths={["80%", "60%"]} />}>
      {(page) =>
        page.items.length === 0 ? (
          <p className={styles.sub}>{t("alarms.historyEmpty")}</p>
        ) : (
          <ol className={styles.history}>
            {page.items.map((transition) => (
              <li key={transition.id}>
                <AlarmState state={transition.current} />
                <span className={styles.sub}>
                  <Ago at={transition.at} />
                </span>
                <ReasonText className={styles.reason} reason={transition.reason} />
              </li>
            ))}
          </ol>
        )
      }
    </QueryView>
  );
}

function AlarmItem({ alarm }: { alarm: Alarm }) {
  const { t } = useTranslation();
  const [isOpen, setOpen] = useState(false);
  return (
    <li className={styles.item}>
      <div className={styles.itemHead}>
        <AlarmState state={alarm.state} />
        <strong>{alarm.name}</strong>
        <span className={styles.itemTime}>
          <Ago at={alarm.state_at} />
        </span>
      </div>
      <Rule alarm={alarm} />
      {alarm.gone_actions !== undefined && alarm.gone_actions.length > 0 && (
        <p className={styles.gone}>{t("alarms.gone", { count: alarm.gone_actions.length })}</p>
      )}
      {alarm.state_reason !== "" && <ReasonText className={styles.reason} reason={alarm.state_reason} />}
      <details className={styles.details} onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary aria-label={`${t("alarms.history")}: ${alarm.name}`}>{t("alarms.history")}</summary>
        {isOpen && <History alarmId={alarm.id} />}
      </details>
    </li>
  );
}

export function AlarmsCard({ projectName }: { projectName: string }) {
  const { t } = useTranslation();
  const isLive = useIsLive();
  const query = useQuery(alarmsQuery(isLive));
  const instance = useQuery(instancesQuery(isLive)).data?.items[0];
  return (
    <Card title={t("alarms.title")}>
      <QueryView query={query} skeleton={<Skeleton widths={["50%", "85%", "70%"]} />}>
        {(page) =>
          page.items.length === 0 ? (
            <EmptyState
              title={t("alarms.emptyTitle")}
              text={t("alarms.emptyText")}
              command={terminalCommand(projectName, createCommand(instance?.id ?? FIRST_SERVER))}
            />
          ) : (
            <>
              <ul className={styles.items}>
                {byUrgency(page.items).map((alarm) => (
                  <AlarmItem key={alarm.id} alarm={alarm} />
                ))}
              </ul>
              {page.next !== null && <p className={styles.sub}>{t("app.firstOnly", { count: page.items.length })}</p>}
            </>
          )
        }
      </QueryView>
    </Card>
  );
}
