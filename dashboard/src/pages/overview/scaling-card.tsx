/** A scaling group: its size within its bounds, and every decision with its reason, refusals too. */
import { type UseQueryResult, useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { activitiesQuery } from "../../api/queries";
import type { ScalingGroup } from "../../api/types";
import { Card } from "../../components/card";
import { Select } from "../../components/controls";
import { EmptyState, QueryView, Skeleton } from "../../components/feedback";
import { Icon } from "../../components/icon";
import { ReasonText } from "../../components/reason";
import { Ago } from "../../components/time";
import { useFormat } from "../../i18n/use-format";
import { useIsLive } from "../../live/use-live";
import { useNow } from "../../live/use-now";
import { curlCommand, DIRECTION_LOOK, directionOf, foldRefusals, type Told, terminalCommand } from "./model";
import styles from "./overview.module.css";

/** One square an instance, up to this many; a bigger group is told in numbers alone. */
const SQUARES_MAX = 24;

function Size({ group }: { group: ScalingGroup }) {
  const { t } = useTranslation();
  const format = useFormat();
  const now = useNow();
  const { size_current, size_desired, size_min, size_max, cooldown_until } = group;
  const isCooling = cooldown_until !== null && new Date(cooldown_until) > now;
  const squares = size_max <= SQUARES_MAX ? Array.from({ length: size_max }, (_, index) => index) : [];
  const kind = (index: number) => (index < size_current ? "running" : index < size_desired ? "wanted" : "free");
  return (
    <div className={styles.size}>
      <span className={styles.sizeText}>{t("scaling.size", { current: size_current, desired: size_desired })}</span>
      <span className={styles.sub}>{t("scaling.bounds", { min: size_min, max: size_max })}</span>
      {squares.length > 0 && (
        <span
          className={styles.squares}
          role="img"
          aria-label={t("scaling.meter", { current: size_current, max: size_max })}
        >
          {squares.map((index) => (
            <i key={index} data-kind={kind(index)} data-min={index + 1 === size_min || undefined} />
          ))}
        </span>
      )}
      <span className={styles.cooldown}>
        <Icon name={isCooling ? "clock" : "check"} size={14} />
        {isCooling ? t("scaling.cooldown", { time: format.time(new Date(cooldown_until), true) }) : t("scaling.ready")}
      </span>
    </div>
  );
}

function ActivityItem({ activity, count }: Told) {
  const { t } = useTranslation();
  const direction = directionOf(activity);
  const look = DIRECTION_LOOK[direction];
  return (
    <li className={styles.activity}>
      <span className={styles.activityMark} data-tone={look.tone}>
        <Icon name={look.icon} size={14} />
      </span>
      <div>
        <div className={styles.itemHead}>
          <strong>{t(`scaling.${direction}`)}</strong>
          {count > 1 && <span className={styles.change}>{t("scaling.times", { count })}</span>}
          {activity.size_after !== activity.size_before && (
            <span className={styles.change}>
              {t("scaling.change", { before: activity.size_before, after: activity.size_after })}
            </span>
          )}
          <span className={styles.itemTime}>
            <Ago at={activity.at} />
          </span>
        </div>
        <ReasonText className={styles.reason} reason={activity.reason} />
      </div>
    </li>
  );
}

function Activities({ groupId }: { groupId: string }) {
  const { t } = useTranslation();
  const query = useQuery(activitiesQuery(groupId, useIsLive()));
  return (
    <QueryView query={query} skeleton={<Skeleton widths={["90%", "75%", "85%"]} height="1.5rem" />}>
      {(page) =>
        page.items.length === 0 ? (
          <EmptyState title={t("scaling.noActivityTitle")} text={t("scaling.noActivityText")} />
        ) : (
          // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reached by keyboard
          <section className={styles.activities} aria-label={t("scaling.activity")} tabIndex={0}>
            <ol>
              {foldRefusals(page.items).map((told) => (
                <ActivityItem key={told.activity.id} {...told} />
              ))}
            </ol>
          </section>
        )
      }
    </QueryView>
  );
}

interface ScalingCardProps {
  query: UseQueryResult<{ items: ScalingGroup[]; next: string | null }>;
  group: ScalingGroup | undefined;
  onGroup: (groupId: string) => void;
  projectName: string;
}

const NEW_GROUP = {
  name: "web",
  size_min: 1,
  size_max: 3,
  launch: { image_id: "$(openstack image list -f value -c ID | head -n 1)", flavor_id: "0" },
};

export function ScalingCard({ query, group, onGroup, projectName }: ScalingCardProps) {
  const { t } = useTranslation();
  const groups = query.data?.items ?? [];
  const chooser = groups.length > 1 && group && (
    <Select
      label={t("scaling.groups")}
      value={group.id}
      choices={groups.map(({ id, name }) => ({ value: id, label: name }))}
      onChoose={onGroup}
    />
  );
  return (
    <Card
      title={t("scaling.title")}
      note={groups.length === 1 ? group?.name : undefined}
      actions={chooser || undefined}
    >
      <QueryView query={query} skeleton={<Skeleton widths={["60%", "90%", "80%"]} />}>
        {() =>
          group === undefined ? (
            <EmptyState
              title={t("scaling.emptyTitle")}
              text={t("scaling.emptyText")}
              command={terminalCommand(projectName, curlCommand("/scaling/groups", NEW_GROUP))}
            />
          ) : (
            <>
              <Size group={group} />
              <Activities groupId={group.id} />
            </>
          )
        }
      </QueryView>
    </Card>
  );
}
