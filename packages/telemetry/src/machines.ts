import { connectMqtt, type MqttClient, type MqttMessage } from "@cortado/mqtt/client";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Connection } from "@cortado/std/net";
import type { Random } from "@cortado/std/random";
import { hasReason } from "@cortado/std/status";
import type { TelemetryJournal } from "./journal/journal.ts";
import { ALERT_RETRY_MS, MACHINE_EVERY_MS, MACHINES_MAX } from "./limits.ts";

/** What machines say of themselves, and the name of the counter in it. */
const counters = [
  { filter: "/+/espresso/cycles", machine: "espresso", counter: "cycles" },
  { filter: "/+/grinder/hours", machine: "grinder", counter: "hours" },
] as const;

export type CountMachinesOptions = {
  readonly dial: () => Connection;
  readonly journal: TelemetryJournal;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly everyMs?: number;
};

/**
 * Journals the counters of the machines: a durable MQTT session whose messages are acknowledged when they are in the journal, at
 * most one a minute for each machine, as a counter's latest value tells all the earlier ones.
 */
export function countMachines(options: CountMachinesOptions): MqttClient {
  const { dial, clock, random, log } = options;
  const lastMs = new Map<string, number>();
  const client = connectMqtt({
    dial,
    stamped: true,
    clientId: "cortado-telemetry-machines",
    cleanSession: false,
    clock,
    random,
    log,
    onMessage: (message) => void take(message, { ...options, lastMs }),
  });
  client.subscribe(counters.map(({ filter }) => ({ filter, qos: 1 }))).catch(() => undefined); // fails only when closed
  return client;
}

type Taking = CountMachinesOptions & { readonly lastMs: Map<string, number> };

async function take(
  message: MqttMessage,
  { journal, clock, log, lastMs, everyMs = MACHINE_EVERY_MS }: Taking,
): Promise<void> {
  const [, place = "", machine = ""] = message.topic.split("/");
  const known = counters.find((one) => one.machine === machine);
  const value = known === undefined ? undefined : readCount(message.payload, known.counter);
  const nowMs = clock.monotonicMs();
  const isSoon = nowMs - (lastMs.get(message.topic) ?? Number.NEGATIVE_INFINITY) < everyMs;
  const isOneTooMany = !lastMs.has(message.topic) && lastMs.size >= MACHINES_MAX;
  if (known === undefined || value === undefined || message.retain || isSoon || isOneTooMany) {
    if (value === undefined) log.warn("machine counter is no number", { topic: message.topic });
    message.ack();
    return;
  }
  lastMs.set(message.topic, nowMs);
  try {
    const payload = { place, machine, counter: known.counter, value, topic: message.topic };
    await journal.append([
      { id: `machine-${message.id}`, kind: "machine", at: new Date(message.atMs).toISOString(), payload },
    ]);
    message.ack();
  } catch (error) {
    lastMs.delete(message.topic);
    if (!hasReason(error, "InsufficientStorage"))
      log.error("machine counter could not be journalled", { topic: message.topic, error });
    clock.after(ALERT_RETRY_MS, () => message.ack()); // the counter's next value says the same and more
  }
}

/** A bare number, or an object that holds it under the counter's name, `value` or `count`. */
export function readCount(payload: Uint8Array, counter: string): number | undefined {
  try {
    const value = JSON.parse(new TextDecoder().decode(payload)) as unknown;
    const fields = typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
    const found = typeof value === "object" ? (fields[counter] ?? fields["value"] ?? fields["count"]) : value;
    const number = typeof found === "string" && found.trim() !== "" ? Number(found) : found;
    return typeof number === "number" && Number.isFinite(number) && number >= 0 ? number : undefined;
  } catch {
    return undefined;
  }
}
