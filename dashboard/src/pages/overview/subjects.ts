/** Whose CPU can be looked at: each scaling group, and each instance that is in none. Pure. */
import type { Subject } from "../../api/queries";
import type { Instance, ScalingGroup } from "../../api/types";

/** So many subjects are asked for at once, for the table's sake; each is a question of its own, every few seconds. */
export const ASKED_MAX = 16;

export interface NamedSubject extends Subject {
  name: string;
}

export const subjectKey = ({ kind, id }: Subject): string => `${kind}:${id}`;

/** Groups first, then instances on their own, those that run before the rest. */
export function subjectsOf(groups: readonly ScalingGroup[], instances: readonly Instance[]): NamedSubject[] {
  const known = new Set(groups.map(({ id }) => id));
  const isAlone = ({ scaling_group_id }: Instance) => scaling_group_id === null || !known.has(scaling_group_id);
  const rank = ({ status }: Instance) => (status === "ACTIVE" ? 0 : 1);
  const singles = instances.filter(isAlone).sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
  return [
    ...groups.map(({ id, name }): NamedSubject => ({ kind: "group", id, name })),
    ...singles.map(({ id, name }): NamedSubject => ({ kind: "instance", id, name })),
  ];
}

/** Those whose CPU the table of instances shows: as many as one may ask for at once. */
export const askedAtOnce = (subjects: readonly NamedSubject[]): readonly NamedSubject[] => subjects.slice(0, ASKED_MAX);
