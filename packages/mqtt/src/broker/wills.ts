import { writeBareProperties, Writer, type Properties, type Will } from "@cortado/wire/mqtt";
import type { Journal } from "../journal/journal.ts";
import { jsonRecord, recordKinds } from "../journal/records.ts";
import { willRecord, type KeptWill } from "../journal/will-record.ts";
import { DELAYED_WILLS_MAX, HELD_WILLS_MAX } from "../limits.ts";
import type { Registry } from "../session/registry.ts";
import { NEVER_MS, type Session } from "../session/session.ts";
import type { Publication } from "./publishing.ts";

export type WillsOptions = {
  readonly journal: Journal;
  readonly registry: Registry;
  readonly publish: (publication: Publication) => boolean;
  /** For stamps; may jump. */
  readonly wallMs: () => number;
  /** Broker time. */
  readonly nowMs: () => number;
  readonly dropped: () => void;
};

/**
 * Wills: of clients that are connected, of those that wait for their delay, and those for which there is no room yet. All are on
 * disk before their client is let in, so that one whose broker died is published by the next.
 */
export class Wills {
  readonly #options: WillsOptions;
  /** By client id, in the order of their making. */
  readonly #delayed: Map<string, KeptWill & { readonly dueMs: number }> = new Map();
  #held: KeptWill[] = [];

  constructor(options: WillsOptions) {
    this.#options = options;
  }

  get isWaiting(): boolean {
    return this.#held.length > 0;
  }

  /** Takes a will into the journal; what is added behind it is durable after it. */
  keep(clientId: string, will: Will): KeptWill {
    const { registry } = this.#options;
    const kept: KeptWill = { id: registry.nextWill, clientId, will, dueMs: undefined };
    registry.nextWill += 1;
    this.#record(kept);
    return kept;
  }

  /** Goes on with the wills of clients that were connected, or gone, when the last broker ended. */
  recover(delayMsOf: (kept: KeptWill) => number): void {
    for (const kept of [...this.#options.registry.wills.values()]) {
      if (kept.dueMs === undefined) this.delay(kept, delayMsOf(kept));
      else this.#wait({ ...kept, dueMs: kept.dueMs });
    }
    this.look();
  }

  /** Publishes a will unless its client comes back in time (MQTT 5, section 3.1.3.2.2). */
  delay(kept: KeptWill, delayMs: number): void {
    if (delayMs === 0) {
      this.#publish(kept);
      return;
    }
    const delayed = { ...kept, dueMs: this.#options.nowMs() + delayMs };
    this.#record(delayed);
    this.#wait(delayed);
  }

  #wait(delayed: KeptWill & { readonly dueMs: number }): void {
    this.ended(delayed.clientId); // of a connection before
    const [first] = this.#delayed.keys();
    if (this.#delayed.size >= DELAYED_WILLS_MAX && first !== undefined) this.ended(first);
    this.#delayed.set(delayed.clientId, delayed);
  }

  /** The client goes on with its session: nothing is to be said. */
  cameBack(clientId: string): void {
    const delayed = this.#delayed.get(clientId);
    if (delayed === undefined) return;
    this.#delayed.delete(clientId);
    this.forget(delayed);
  }

  /** The session is over, so its will is due at once. */
  ended(clientId: string): void {
    const delayed = this.#delayed.get(clientId);
    if (delayed === undefined) return;
    this.#delayed.delete(clientId);
    this.#publish(delayed);
  }

  look(): void {
    const nowMs = this.#options.nowMs();
    for (const [clientId, { dueMs }] of this.#delayed) if (dueMs <= nowMs) this.ended(clientId);
  }

  retry(): void {
    const held = this.#held;
    this.#held = [];
    for (const kept of held) this.#publish(kept);
  }

  /** Its client said goodbye, or it was published. */
  forget({ id }: KeptWill): void {
    const { journal, registry } = this.#options;
    journal.add({
      record: jsonRecord(recordKinds.willGone, { id }),
      committed: () => void registry.wills.delete(id),
    });
  }

  #record(kept: KeptWill): void {
    const { journal, registry } = this.#options;
    journal.add({
      record: jsonRecord(recordKinds.will, willRecord(kept)),
      committed: () => registry.keepWill(kept),
    });
  }

  #publish(kept: KeptWill): void {
    const { publish, wallMs, nowMs, dropped } = this.#options;
    const { topic, payload, qos, retain, properties = {} } = kept.will;
    const done = publish({
      topic,
      payload,
      qos,
      retain,
      atMs: wallMs(),
      ...carriedOf(properties, nowMs()),
      publisher: undefined,
      committed() {},
    });
    // Behind the message: a power cut in between has it published twice rather than never.
    if (done) this.forget(kept);
    else this.#held.push(kept);
    if (this.#held.length <= HELD_WILLS_MAX) return;
    const oldest = this.#held.shift();
    if (oldest !== undefined) this.forget(oldest);
    dropped();
  }
}

/** How long a will waits for its client: not longer than the session (MQTT-3.1.3-9). */
export function delayMsOf({ will }: KeptWill, session: Session | undefined): number {
  const delayMs = (will.properties?.willDelayIntervalS ?? 0) * 1_000;
  return session === undefined ? 0 : Math.min(delayMs, session.expiryMs ?? NEVER_MS);
}

type Carried = Pick<Publication, "carried" | "expiresAtMs">;
const nothingCarried: Carried = { carried: undefined, expiresAtMs: undefined };

/** What of a publish's or will's properties goes with the message to its readers. */
export function carriedOf(properties: Properties | undefined, nowMs: number): Carried {
  if (properties === undefined) return nothingCarried;
  const { payloadFormatIndicator, contentType, responseTopic, correlationData, userProperties } = properties;
  const { messageExpiryIntervalS } = properties;
  const writer = new Writer();
  writeBareProperties(writer, {
    ...(payloadFormatIndicator === undefined ? {} : { payloadFormatIndicator }),
    ...(contentType === undefined ? {} : { contentType }),
    ...(responseTopic === undefined ? {} : { responseTopic }),
    ...(correlationData === undefined ? {} : { correlationData }),
    ...(userProperties === undefined ? {} : { userProperties }),
  });
  return {
    carried: writer.size === 0 ? undefined : writer.taken(),
    expiresAtMs: messageExpiryIntervalS === undefined ? undefined : nowMs + messageExpiryIntervalS * 1_000,
  };
}
