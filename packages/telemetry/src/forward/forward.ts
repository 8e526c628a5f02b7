import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Metrics } from "@cortado/std/metrics";
import type { Random } from "@cortado/std/random";
import type { Central, CentralEvent } from "../central/central.ts";
import { followEvents } from "../central/cursor.ts";
import { lokiPushes } from "./loki.ts";
import { otlpPushes } from "./otlp.ts";
import { push, type Push } from "./push.ts";
import { remoteWritePushes } from "./remote-write.ts";
import type { ForwardTarget, TargetKind } from "./target.ts";

export { readTargets, type ForwardTarget } from "./target.ts";

export type ForwardOptions = {
  readonly central: Central;
  readonly targets: readonly ForwardTarget[];
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
};

/** What is pushed; `path` stands in where a target's URL has none of its own. */
const pushesOf: Readonly<
  Record<TargetKind, (events: readonly CentralEvent[], hasPath: boolean) => readonly Push[]>
> = {
  otlp: (events) => otlpPushes(events),
  loki: (events, hasPath) => lokiPushes(events, hasPath ? "" : "/loki/api/v1/push"),
  "remote-write": (events, hasPath) => remoteWritePushes(events, hasPath ? "" : "/api/v1/write"),
};

/**
 * Passes events on to each target, in the order of arrival and at least once, from where it stood when the hub last ran. A target that
 * is away is tried again for ever, and holds up nobody else; what it refuses by 400, 413 or 422 is told and left out.
 */
export function startForwarding(options: ForwardOptions): AsyncDisposable {
  const { central, targets, clock, random, log, metrics } = options;
  const stop = new AbortController();
  const counted = metrics.counter("cortado_forward_events_total", {
    help: "Events that were passed on, or that a target refused.",
    labels: ["target", "result"],
  });
  const following = targets.map((target) => {
    const deliver = async (events: readonly CentralEvent[], signal: AbortSignal): Promise<void> => {
      const refusal = await pushAll(target, events, { signal, log });
      if (refusal === undefined) return counted.add(events.length, { target: target.name, result: "passed" });
      if (events.length > 1) {
        // One bad event must not take the others with it.
        const half = Math.ceil(events.length / 2);
        await deliver(events.slice(0, half), signal);
        return deliver(events.slice(half), signal);
      }
      counted.add(1, { target: target.name, result: "refused" });
      const [event] = events;
      log.warn("an event is refused by a target and left out", {
        target: target.name,
        event: event?.id,
        store: event?.store,
        refusal,
      });
    };
    return followEvents({
      central,
      name: `forward-${target.name}`,
      kinds: target.kinds,
      begin: target.begin,
      handle: (events, { signal }) => deliver(events, signal),
      clock,
      random,
      log,
      signal: stop.signal,
    });
  });
  return {
    async [Symbol.asyncDispose]() {
      stop.abort(new Error("the hub stops"));
      await Promise.all(following);
    },
  };
}

/** Undefined when all was taken; else why not. @throws StatusError when it is to be tried again */
async function pushAll(
  target: ForwardTarget,
  events: readonly CentralEvent[],
  { signal, log }: { readonly signal: AbortSignal; readonly log: Log },
): Promise<string | undefined> {
  for (const one of pushesOf[target.kind](events, target.url.pathname !== "/")) {
    const { isTaken, text } = await push(target, one, signal);
    if (!isTaken) return text;
    // OTLP says in its answer what it did not keep; to send it again is forbidden (otlp specification, "Partial Success").
    if (/"rejected\w+":\s*"?[1-9]/.test(text))
      log.warn("a target kept a part only", { target: target.name, text });
  }
  return undefined;
}
