import type { FunctionResource, FunctionStatus, ObjectCondition } from "@cortado/kinds";
import { toTime } from "@cortado/std/clock";

export type StatusFacts = {
  readonly object: FunctionResource;
  readonly nowMs: number;
  /** What a person must mend; undefined when all is well. */
  readonly fault: string | undefined;
  readonly wanted: number;
  readonly available: number;
  readonly isolation: string;
};

/** A Function's status, with OpenFaaS' condition types. A function at zero is Ready and not Healthy, as theirs is. */
export function statusOf({
  object,
  nowMs,
  fault,
  wanted,
  available,
  isolation,
}: StatusFacts): FunctionStatus {
  const generation = object.metadata.generation ?? 0;
  const condition = (type: string, isTrue: boolean, reason: string, message: string): ObjectCondition => {
    const status = isTrue ? "True" : "False";
    const old = object.status?.conditions?.find((one) => one.type === type);
    const lastTransitionTime = old?.status === status ? old.lastTransitionTime : toTime(nowMs);
    return { type, status, reason, message, lastTransitionTime, observedGeneration: generation };
  };
  return {
    conditions: [
      condition(
        "Ready",
        fault === undefined,
        fault === undefined ? "Deployed" : "Faulty",
        fault ?? "the function can be called",
      ),
      condition(
        "Healthy",
        available > 0,
        available > 0 ? "Available" : "NoneAvailable",
        `${available} of ${wanted} replicas answer`,
      ),
      condition("Stalled", fault !== undefined, fault === undefined ? "Deployed" : "Faulty", fault ?? ""),
    ],
    replicas: wanted,
    availableReplicas: available,
    unavailableReplicas: Math.max(0, wanted - available),
    observedGeneration: generation,
    isolation,
  };
}

export function sameStatus(one: FunctionStatus, other: FunctionStatus | undefined): boolean {
  if (other === undefined) return false;
  const essence = (status: FunctionStatus): unknown[] => [
    status.conditions?.map(({ type, status: value, reason, message, observedGeneration }) => [
      type,
      value,
      reason,
      message,
      observedGeneration,
    ]),
    status.replicas,
    status.availableReplicas,
    status.unavailableReplicas,
    status.observedGeneration,
    status.isolation,
  ];
  return JSON.stringify(essence(one)) === JSON.stringify(essence(other));
}
