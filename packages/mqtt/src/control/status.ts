import type { ObjectCondition, ObjectMeta } from "@cortado/kinds";
import type { MqttBridge, MqttBridgeStatus } from "@cortado/kinds/mqtt";
import { toTime } from "@cortado/std/clock";
import type { BridgeStatus } from "../bridge/bridge.ts";

export type ConditionFacts = {
  readonly type: string;
  readonly isTrue: boolean;
  readonly reason: string;
  readonly message: string;
};

type Owner = {
  readonly metadata: ObjectMeta;
  readonly status?: { readonly conditions?: readonly ObjectCondition[] };
};

/** A condition that keeps the time since when it is as it is. */
export function conditionOf(
  { metadata, status }: Owner,
  { type, isTrue, reason, message, nowMs }: ConditionFacts & { readonly nowMs: number },
): ObjectCondition {
  const value = isTrue ? "True" : "False";
  const old = status?.conditions?.find((one) => one.type === type);
  return {
    type,
    status: value,
    reason,
    message,
    lastTransitionTime: old?.status === value ? old.lastTransitionTime : toTime(nowMs),
    observedGeneration: metadata.generation ?? 0,
  };
}

export type BridgeFacts = {
  readonly bridge: MqttBridge;
  /** Why the spec cannot be; what ran before runs on. */
  readonly fault: string | undefined;
  /** Undefined while none runs. */
  readonly running: BridgeStatus | undefined;
  readonly nowMs: number;
};

export function bridgeStatusOf({ bridge, fault, running, nowMs }: BridgeFacts): MqttBridgeStatus {
  const isConnected = running?.state === "connected";
  const state = running?.state ?? (fault === undefined ? "suspended" : "refused");
  const accepted = conditionOf(bridge, {
    type: "Accepted",
    isTrue: fault === undefined,
    reason: fault === undefined ? "Configured" : "Refused",
    message:
      fault === undefined
        ? "the broker runs it so"
        : `${fault}${running === undefined ? "" : "; the settings before it go on"}`,
    nowMs,
  });
  const connected = conditionOf(bridge, {
    type: "Connected",
    isTrue: isConnected,
    reason: isConnected ? "Connected" : state === "waiting" ? "TryAgain" : capital(state),
    message: isConnected ? "the remote is connected" : (running?.lastError ?? `the bridge is ${state}`),
    nowMs,
  });
  const base = {
    conditions: [accepted, connected],
    observedGeneration: bridge.metadata.generation ?? 0,
    state,
  };
  if (running === undefined) return base;
  const { counts, sinceMs, backlogMessages, backlogBytes, lastError, connections } = running;
  const { sent, acknowledged, received, skipped, dropped } = counts;
  return {
    ...base,
    since: toTime(sinceMs),
    backlog: backlogMessages,
    backlogBytes,
    ...(lastError === undefined ? {} : { lastError: lastError.slice(0, 1_024) }),
    connections,
    sent,
    acknowledged,
    received,
    skipped,
    dropped,
  };
}

function capital(word: string): string {
  return `${word.slice(0, 1).toUpperCase()}${word.slice(1)}`;
}

/** What a person looks for; counters alone are no reason to write. */
export function essenceOf(status: MqttBridgeStatus | undefined): string {
  return JSON.stringify([
    status?.conditions?.map(({ type, status: value, reason, message, observedGeneration }) => [
      type,
      value,
      reason,
      message,
      observedGeneration,
    ]),
    status?.state,
    status?.lastError,
  ]);
}
