/** Says aloud, to those who listen to the page, when alarms change their state or a group its size. */
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import type { Alarm, ScalingActivity } from "../../api/types";
import { reasonIn } from "../../i18n/reasons";
import { directionOf } from "./model";

interface AnnouncerProps {
  alarms: readonly Alarm[] | undefined;
  /** Whose activities these are. */
  groupId: string | undefined;
  activities: readonly ScalingActivity[] | undefined;
}

/** The newest activity that was known of a group; none yet is known too. */
interface Newest {
  groupId: string | undefined;
  activityId: string | undefined;
}

export function Announcer({ alarms, groupId, activities }: AnnouncerProps) {
  const { t, i18n } = useTranslation();
  const [text, setText] = useState("");
  const states = useRef<ReadonlyMap<string, string>>(undefined);
  const newest = useRef<Newest>(undefined);

  useEffect(() => {
    if (alarms === undefined) return;
    const before = states.current;
    states.current = new Map(alarms.map(({ id, state }) => [id, state]));
    const changed = alarms.filter(({ id, state }) => before?.has(id) && before.get(id) !== state);
    const sentences = changed.map(({ name, state }) =>
      t("alarms.announce", { name, state: t(`alarms.states.${state}`) }),
    );
    if (sentences.length > 0) setText(sentences.join(" "));
  }, [alarms, t]);

  useEffect(() => {
    if (activities === undefined) return;
    const latest = activities[0];
    const before = newest.current;
    newest.current = { groupId, activityId: latest?.id };
    if (latest === undefined || before?.groupId !== groupId || before?.activityId === latest.id) return;
    const decision = t(`scaling.${directionOf(latest)}`);
    setText(t("scaling.announce", { decision, reason: reasonIn(i18n.language, latest.reason).text }));
  }, [groupId, activities, t, i18n.language]);

  return (
    <div className="visually-hidden" role="status" aria-live="polite">
      {text}
    </div>
  );
}
