import { writeBareProperties, Writer, type Properties, type Will } from "@cortado/wire/mqtt";
import { DELAYED_WILLS_MAX, HELD_WILLS_MAX } from "../limits.ts";
import type { Publication } from "./publishing.ts";

export type WillsOptions = {
  readonly publish: (publication: Publication) => boolean;
  /** For stamps; may jump. */
  readonly wallMs: () => number;
  /** Broker time. */
  readonly nowMs: () => number;
  readonly dropped: () => void;
};

type Delayed = { readonly will: Will; readonly dueMs: number };

/** Wills on their way: those that wait for their delay, and those for which there was no room yet. In memory only. */
export class Wills {
  readonly #options: WillsOptions;
  /** By client id, in the order of their making. */
  readonly #delayed: Map<string, Delayed> = new Map();
  #held: Will[] = [];

  constructor(options: WillsOptions) {
    this.#options = options;
  }

  get isWaiting(): boolean {
    return this.#held.length > 0;
  }

  publish(will: Will): void {
    const { publish, wallMs, nowMs, dropped } = this.#options;
    const { topic, payload, qos, retain, properties = {} } = will;
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
    if (done) return;
    if (this.#held.length >= HELD_WILLS_MAX) {
      this.#held.shift();
      dropped();
    }
    this.#held.push(will);
  }

  /** Publishes a will unless its client comes back in time (MQTT 5, section 3.1.3.2.2). */
  delay(clientId: string, { will, delayMs }: { readonly will: Will; readonly delayMs: number }): void {
    if (delayMs === 0) {
      this.publish(will);
      return;
    }
    const [first] = this.#delayed.keys();
    if (this.#delayed.size >= DELAYED_WILLS_MAX && first !== undefined) this.ended(first);
    this.#delayed.set(clientId, { will, dueMs: this.#options.nowMs() + delayMs });
  }

  /** The client goes on with its session: nothing is to be said. */
  cameBack(clientId: string): void {
    this.#delayed.delete(clientId);
  }

  /** The session is over, so its will is due at once. */
  ended(clientId: string): void {
    const delayed = this.#delayed.get(clientId);
    if (delayed === undefined) return;
    this.#delayed.delete(clientId);
    this.publish(delayed.will);
  }

  look(): void {
    const nowMs = this.#options.nowMs();
    for (const [clientId, { dueMs }] of this.#delayed) if (dueMs <= nowMs) this.ended(clientId);
  }

  retry(): void {
    const held = this.#held;
    this.#held = [];
    for (const will of held) this.publish(will);
  }
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
