/** A state, told by text, shape and colour together. */
import type { ReactNode } from "react";
import { Icon, type IconName } from "./icon";
import styles from "./state.module.css";

export type Tone = "good" | "bad" | "warn" | "calm" | "busy";

interface StateMarkProps {
  tone: Tone;
  icon: IconName;
  pill?: boolean;
  children: ReactNode;
}

export function StateMark({ tone, icon, pill = false, children }: StateMarkProps) {
  return (
    <span className={[styles.mark, styles[tone], pill && styles.pill].filter(Boolean).join(" ")}>
      <Icon name={icon} size={14} />
      <span>{children}</span>
    </span>
  );
}
