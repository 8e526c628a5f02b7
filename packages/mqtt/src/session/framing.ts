import {
  noProperties,
  publishFrame,
  Writer,
  writeBareProperties,
  type Properties,
  type QoS,
} from "@cortado/wire/mqtt";
import { putStamp } from "../client/stamp.ts";
import type { Message } from "../journal/records.ts";

/** What a client said at its CONNECT of the packets that it takes. */
export type ClientTerms = {
  readonly level: 3 | 4 | 5;
  /** Topic aliases that it takes (MQTT 5, section 3.1.2.11.5). */
  readonly topicAliasMax: number;
  /** Undefined for no limit. */
  readonly packetBytesMax: number | undefined;
  /** Publishes of QoS 1 and 2 that it takes at once. */
  readonly receiveMax: number;
};

export type Framing = {
  readonly qos: QoS;
  readonly retain: boolean;
  readonly identifiers: readonly number[] | undefined;
};

const nothing = new Uint8Array(0);

/** Makes the PUBLISH frames of one connection; those that all receivers share are made once. */
export class Framer {
  readonly #terms: ClientTerms;
  readonly #stamp: string | undefined;
  readonly #nowMs: () => number;
  #aliases: Map<string, number> | undefined;

  constructor(options: {
    readonly terms: ClientTerms;
    readonly stamp: string | undefined;
    /** Broker time. */
    readonly nowMs: () => number;
  }) {
    this.#terms = options.terms;
    this.#stamp = options.stamp;
    this.#nowMs = options.nowMs;
  }

  /** True when it is too late to send the message (MQTT-3.3.2-5). */
  isExpired({ expiresAtMs }: Message): boolean {
    return expiresAtMs !== undefined && expiresAtMs <= this.#nowMs();
  }

  /** Undefined when it would be larger than the client takes (MQTT-3.1.2-25). With packet id 1 and no DUP where it has an id. */
  frame(message: Message, framing: Framing): Uint8Array | undefined {
    if (this.#stamp !== undefined) return stampedFrame(message, framing, this.#stamp);
    const { level, packetBytesMax } = this.#terms;
    if (level < 5) return sharedFrame(message, framing, level);
    const frame = this.#isOwn(message, framing)
      ? this.#ownFrame(message, framing)
      : sharedFrame(message, framing, level);
    return packetBytesMax !== undefined && frame.byteLength > packetBytesMax ? undefined : frame;
  }

  #isOwn({ expiresAtMs }: Message, { identifiers }: Framing): boolean {
    return expiresAtMs !== undefined || identifiers !== undefined || this.#terms.topicAliasMax > 0;
  }

  #ownFrame(message: Message, { qos, retain, identifiers }: Framing): Uint8Array {
    const { expiresAtMs, carried, payload } = message;
    // Not with QoS 2: clients keep such a packet until PUBREL, and MQTT.js 5 then hands it out without its topic.
    const alias = this.#terms.topicAliasMax > 0 && qos < 2 ? this.#aliasFor(message.topic) : undefined;
    const properties: Properties = {
      ...(expiresAtMs === undefined
        ? noProperties
        : { messageExpiryIntervalS: Math.max(1, Math.ceil((expiresAtMs - this.#nowMs()) / 1_000)) }),
      ...(identifiers === undefined ? noProperties : { subscriptionIdentifiers: identifiers }),
      ...(alias === undefined ? noProperties : { topicAlias: alias.number }),
    };
    const writer = new Writer();
    writeBareProperties(writer, properties);
    if (carried !== undefined) writer.raw(carried);
    const frame = publishFrame({
      topic: alias?.isKnown === true ? "" : message.topic,
      payload,
      qos,
      retain,
      dup: false,
      id: 1,
      properties: writer.taken(),
    });
    // A frame that is not sent must not have told of an alias.
    const { packetBytesMax } = this.#terms;
    if (alias?.isKnown === false && packetBytesMax !== undefined && frame.byteLength > packetBytesMax)
      this.#aliases?.delete(message.topic);
    return frame;
  }

  /** Aliases go to the first topics that come, and stay: a screen's few topics have one, a flood of many costs nothing. */
  #aliasFor(topic: string): { readonly number: number; readonly isKnown: boolean } | undefined {
    const aliases = (this.#aliases ??= new Map());
    const known = aliases.get(topic);
    if (known !== undefined) return { number: known, isKnown: true };
    if (aliases.size >= this.#terms.topicAliasMax) return undefined;
    const number = aliases.size + 1;
    aliases.set(topic, number);
    return { number, isKnown: false };
  }
}

let last:
  | {
      readonly message: Message;
      readonly qos: QoS;
      readonly retain: boolean;
      readonly isFive: boolean;
      readonly frame: Uint8Array;
    }
  | undefined;

// A fan-out sends one message to one receiver after another: the frame is made for the first and kept for the rest.
function sharedFrame(message: Message, { qos, retain }: Framing, level: 3 | 4 | 5): Uint8Array {
  const isFive = level === 5;
  if (last?.message === message && last.qos === qos && last.retain === retain && last.isFive === isFive)
    return last.frame;
  const { topic, payload, carried = nothing } = message;
  const parts = { topic, payload, qos, retain, dup: false, id: 1 };
  const frame = isFive ? publishFrame({ ...parts, properties: carried }) : publishFrame(parts);
  last = { message, qos, retain, isFive, frame };
  return frame;
}

function stampedFrame(message: Message, { qos, retain }: Framing, stamp: string): Uint8Array {
  const { topic, sequence, atMs } = message;
  const payload = putStamp(message.payload, { broker: stamp, sequence, atMs });
  return publishFrame({ topic, payload, qos, retain, dup: false, id: 1 });
}
