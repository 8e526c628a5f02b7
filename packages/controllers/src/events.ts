import type { Client, Stored } from "@cortado/client";
import type { KubeObject } from "@cortado/kinds";
import { events } from "@cortado/kinds/resources";
import { toTime, type Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Random } from "@cortado/std/random";
import { nameSuffix } from "@cortado/std/random";
import { EVENTS_TOLD_MAX } from "./limits.ts";

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
  const told = new Map<string, Told>();
  return ({ object, apiVersion, kind, type, reason, message }) => {
    const { name, namespace = "default", uid, resourceVersion } = object.metadata;
    const at = toTime(clock.nowMs());
    const key = [uid, type, reason, message].join("\0");
    const before = told.get(key);
    if (before !== undefined) {
      before.count += 1;
      const body = { count: before.count, lastTimestamp: at };
      // After its creation, which may still be on its way; one that has expired is made anew the next time.
      before.written = before.written
        .then(() => client.patch(events, { name: before.name, namespace, type: "merge", body, signal }))
        .then(ignored, () => void told.delete(key));
      return;
    }
    const eventName = `${name}.${nameSuffix(random, 16)}`;
    const event = {
      metadata: { name: eventName, namespace },
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
    const written = client.create(events, event, { signal }).then(ignored, (error: unknown) => {
      told.delete(key);
      log.debug("event was not recorded", { reason, error });
    });
    told.set(key, { name: eventName, count: 1, written });
    const [oldest] = told.keys();
    if (told.size > EVENTS_TOLD_MAX && oldest !== undefined) told.delete(oldest);
  };
}

/** An event that was written: the same thing again counts it up. */
type Told = { readonly name: string; count: number; written: Promise<void> };

function ignored(): void {}
