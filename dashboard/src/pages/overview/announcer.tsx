/** Says aloud, to those who listen to the page, when an alarm changes its state or a group its size. */
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import type { Alarm, ScalingActivity } from "../../api/types";
import { reasonIn } from "../../i18n/reasons";
import { directionOf } from "./model";

interface AnnouncerProps {
  alarms: readonly Alarm[] | undefined;
  activities: readonly ScalingActivity[] | undefined;
}

export function Announcer({ alarms, activities }: AnnouncerProps) {
  const { t, i18n } = useTranslation();
  const [text, setText] = useState("");
  const states = useRef<ReadonlyMap<string, string>>(undefined);
  const newest = useRef<string | undefined>(undefined);

  useEffect(() => {
    if (alarms === undefined) return;
    const before = states.current;
    states.current = new Map(alarms.map(({ id, state }) => [id, state]));
    const changed = alarms.find(({ id, state }) => before?.has(id) && before.get(id) !== state);
    if (changed) setText(t("alarms.announce", { name: changed.name, state: t(`alarms.states.${changed.state}`) }));
  }, [alarms, t]);

  useEffect(() => {
    const latest = activities?.[0];
    if (latest === undefined) return;
    const isNew = newest.current !== undefined && newest.current !== latest.id;
    newest.current = latest.id;
    if (isNew)
      setText(
        t("scaling.announce", {
          decision: t(`scaling.${directionOf(latest)}`),
          reason: reasonIn(i18n.language, latest.reason).text,
        }),
      );
  }, [activities, t, i18n.language]);

  return (
    <div className="visually-hidden" role="status" aria-live="polite">
      {text}
    </div>
  );
}
