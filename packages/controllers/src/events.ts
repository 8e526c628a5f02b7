import type { Client, Stored } from "@cortado/client";
import type { KubeObject } from "@cortado/kinds";
import { events } from "@cortado/kinds/resources";
import { toTime, type Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Random } from "@cortado/std/random";
import { nameSuffix } from "@cortado/std/random";

export type Happening = {
  readonly object: Stored<KubeObject>;
  readonly apiVersion: string;
  readonly kind: string;
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
};

/** Tells a person what a loop did, as an Event of the API. Never holds up the loop and never fails it. */
export type Recorder = (happening: Happening) => void;

export type RecorderOptions = {
  readonly client: Client;
  readonly component: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly signal: AbortSignal;
};

export function newRecorder(options: RecorderOptions): Recorder {
  const { client, component, clock, random, log, signal } = options;
  return ({ object, apiVersion, kind, type, reason, message }) => {
    const { name, namespace = "default", uid, resourceVersion } = object.metadata;
    const at = toTime(clock.nowMs());
    const event = {
      metadata: { name: `${name}.${nameSuffix(random, 16)}`, namespace },
      involvedObject: { apiVersion, kind, name, namespace, uid, resourceVersion },
      type,
      reason,
      message,
      source: { component },
      reportingComponent: component,
      reportingInstance: component,
      firstTimestamp: at,
      lastTimestamp: at,
      count: 1,
    };
    client.create(events, event, { signal }).catch((error: unknown) => log.debug("event was not recorded", { reason, error }));
  };
}
