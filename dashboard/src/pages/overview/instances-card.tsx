/** The project's instances: what they are, how they are, and how busy. */
import { useQuery } from "@tanstack/react-query";
import { memo, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { instancesQuery } from "../../api/queries";
import type { Instance, ScalingGroup } from "../../api/types";
import { Card } from "../../components/card";
import { Button, inputClass } from "../../components/controls";
import { EmptyState, QueryView, Skeleton } from "../../components/feedback";
import { Icon } from "../../components/icon";
import { StateMark } from "../../components/state";
import { Ago } from "../../components/time";
import { useFormat } from "../../i18n/use-format";
import { useIsLive } from "../../live/use-live";
import { matches, type Sort, type SortKey, sorted, statusLook, terminalCommand } from "./model";
import styles from "./overview.module.css";

const CREATE =
  'openstack server create --image "$(openstack image list -f value -c ID | head -n 1)" --flavor n1.nano --wait web-1';
/** A filter is offered from this many instances on. */
const FILTER_FROM = 5;
const NONE: never[] = [];

function StatusMark({ status }: { status: string }) {
  const { t } = useTranslation();
  const look = statusLook(status);
  return (
    <StateMark {...look} pill>
      {t(`instances.statuses.${status as "ACTIVE"}`, { defaultValue: status })}
    </StateMark>
  );
}

function CpuMeter({ percent }: { percent: number | undefined }) {
  const format = useFormat();
  if (percent === undefined) return <span className={styles.unknown}>–</span>;
  return (
    <span className={styles.cpuMeter}>
      <svg aria-hidden="true" width="48" height="6" viewBox="0 0 48 6">
        <rect width="48" height="6" rx="3" fill="var(--line)" />
        <rect width={Math.max(2, Math.min(48, (percent / 100) * 48))} height="6" rx="3" fill="var(--accent)" />
      </svg>
      <span>{format.percent(percent)}</span>
    </span>
  );
}

function NameCell({ instance, groupName }: { instance: Instance; groupName: string | undefined }) {
  const { t } = useTranslation();
  return (
    <th scope="row" data-label={t("instances.name")}>
      <span className={styles.instanceName} title={instance.id}>
        {instance.name}
      </span>
      <span className={styles.sub}>
        {[groupName && t("instances.inGroup", { name: groupName }), instance.image_name].filter(Boolean).join(" · ")}
      </span>
      {instance.fault !== null && instance.fault !== "" && (
        <span className={styles.fault} lang="en">
          {instance.fault}
        </span>
      )}
    </th>
  );
}

interface RowProps {
  instance: Instance;
  cpu: number | undefined;
  groupName: string | undefined;
}

/** A row is drawn anew only when its own instance changes: there may be hundreds. */
const Row = memo(function Row({ instance, cpu, groupName }: RowProps) {
  const { t } = useTranslation();
  const format = useFormat();
  const { flavor, addresses } = instance;
  const size = `${t("instances.vcpus", { count: flavor.vcpus })}, ${format.memory(flavor.ram_mib)}`;
  return (
    <tr>
      <NameCell instance={instance} groupName={groupName} />
      <td data-label={t("instances.status")}>
        <StatusMark status={instance.status} />
      </td>
      <td data-label={t("instances.cpu")}>
        <CpuMeter percent={instance.status === "ACTIVE" ? cpu : undefined} />
      </td>
      <td data-label={t("instances.flavor")}>
        <span className={styles.main}>{flavor.name}</span>
        <span className={styles.sub}>{size}</span>
      </td>
      <td data-label={t("instances.addresses")}>
        {addresses.length === 0 ? (
          <span className={styles.unknown}>{t("instances.noAddress")}</span>
        ) : (
          addresses.map((address) => (
            <code key={address} className={styles.address}>
              {address}
            </code>
          ))
        )}
      </td>
      <td data-label={t("instances.age")}>
        <Ago at={instance.created_at} />
      </td>
    </tr>
  );
});

interface HeadProps {
  label: string;
  sortKey: SortKey;
  sort: Sort;
  onSort: (sort: Sort) => void;
}

function SortHead({ label, sortKey, sort, onSort }: HeadProps) {
  const { t } = useTranslation();
  const isSorted = sort.key === sortKey;
  const direction = sort.isDescending ? "descending" : "ascending";
  return (
    <th scope="col" aria-sort={isSorted ? direction : undefined}>
      <button
        type="button"
        className={styles.sort}
        title={t("instances.sortBy", { column: label })}
        onClick={() => onSort({ key: sortKey, isDescending: isSorted ? !sort.isDescending : sortKey === "cpu" })}
      >
        {label}
        <Icon name={isSorted ? (sort.isDescending ? "down" : "up") : "sort"} size={13} />
      </button>
    </th>
  );
}

/** What the reader can tell apart, so that a row stays as it is while its load hardly moves. */
const shownPercent = (percent: number | undefined): number | undefined =>
  percent === undefined ? undefined : Math.round(percent);

interface TableProps {
  instances: readonly Instance[];
  cpu: ReadonlyMap<string, number>;
  groups: readonly ScalingGroup[];
}

function InstanceTable({ instances, cpu, groups }: TableProps) {
  const { t } = useTranslation();
  const [sort, setSort] = useState<Sort>({ key: "name", isDescending: false });
  const groupNames = new Map(groups.map(({ id, name }) => [id, name]));
  const rows = useMemo(() => sorted(instances, sort, cpu), [instances, sort, cpu]);
  const head = (sortKey: SortKey, label: string) => (
    <SortHead label={label} sortKey={sortKey} sort={sort} onSort={setSort} />
  );
  return (
    <table className={styles.instances}>
      <thead>
        <tr>
          {head("name", t("instances.name"))}
          {head("status", t("instances.status"))}
          {head("cpu", t("instances.cpu"))}
          <th scope="col">{t("instances.flavor")}</th>
          <th scope="col">{t("instances.addresses")}</th>
          {head("created_at", t("instances.age"))}
        </tr>
      </thead>
      <tbody>
        {rows.map((instance) => (
          <Row
            key={instance.id}
            instance={instance}
            cpu={shownPercent(cpu.get(instance.id))}
            groupName={groupNames.get(instance.scaling_group_id ?? "")}
          />
        ))}
      </tbody>
    </table>
  );
}

function Filter({ text, onText }: { text: string; onText: (text: string) => void }) {
  const { t } = useTranslation();
  return (
    <div className={styles.filter}>
      <Icon name="search" size={14} />
      <input
        type="search"
        className={inputClass}
        aria-label={t("instances.filter")}
        placeholder={t("instances.filterPlaceholder")}
        value={text}
        onChange={(event) => onText(event.target.value)}
      />
    </div>
  );
}

interface InstancesCardProps {
  cpu: ReadonlyMap<string, number>;
  /** Whether some instances were not asked for their CPU. */
  isCpuPartial: boolean;
  groups: readonly ScalingGroup[];
  projectName: string;
}

export function InstancesCard({ cpu, isCpuPartial, groups, projectName }: InstancesCardProps) {
  const { t } = useTranslation();
  const [text, setText] = useState("");
  const query = useQuery(instancesQuery(useIsLive()));
  const all = query.data?.items ?? NONE;
  const shown = useMemo(() => all.filter((instance) => matches(instance, text)), [all, text]);
  const isAll = query.data?.next === null;
  const whole = t(isAll ? "instances.count" : "instances.countMore", { count: all.length });
  const note = shown.length < all.length ? t("instances.shown", { shown: shown.length, count: all.length }) : whole;
  return (
    <Card
      title={t("instances.title")}
      note={all.length > 0 ? note : undefined}
      actions={all.length >= FILTER_FROM ? <Filter text={text} onText={setText} /> : undefined}
      flush={all.length > 0}
    >
      <QueryView query={query} skeleton={<Skeleton widths={["100%", "100%", "100%", "70%"]} height="1.75rem" />}>
        {(page) => (
          <>
            {page.items.length === 0 && (
              <EmptyState
                title={t("instances.emptyTitle")}
                text={t("instances.emptyText")}
                command={terminalCommand(projectName, CREATE)}
              />
            )}
            {shown.length > 0 && <InstanceTable instances={shown} cpu={cpu} groups={groups} />}
            {shown.length === 0 && all.length > 0 && (
              <p className={styles.aside}>
                {t("instances.noMatch", { text })}{" "}
                <Button small onClick={() => setText("")}>
                  {t("instances.clearFilter")}
                </Button>
              </p>
            )}
            {page.next !== null && <p className={styles.aside}>{t("app.firstOnly", { count: page.items.length })}</p>}
            {isCpuPartial && <p className={styles.aside}>{t("instances.cpuOfSome", { count: cpu.size })}</p>}
          </>
        )}
      </QueryView>
    </Card>
  );
}
