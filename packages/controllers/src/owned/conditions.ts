import { toTime } from "@cortado/std/clock";

type AnyCondition = {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
  readonly lastTransitionTime?: string;
};

/** Conditions with one set; its transition time moves only when its status does. */
export function withCondition<Condition extends AnyCondition>(
  conditions: readonly Condition[] | undefined,
  next: Omit<Condition, "lastTransitionTime">,
  nowMs: number,
): Condition[] {
  const before = conditions?.find((condition) => condition.type === next.type);
  const at = before?.status === next.status ? (before.lastTransitionTime ?? toTime(nowMs)) : toTime(nowMs);
  const condition = { ...next, lastTransitionTime: at } as unknown as Condition;
  return [...(conditions ?? []).filter((other) => other.type !== next.type), condition];
}

export function conditionIs(conditions: readonly AnyCondition[] | undefined, type: string): boolean {
  return conditions?.some((condition) => condition.type === type && condition.status === "True") ?? false;
}
