import {
  encodePacket,
  publishFrame,
  reasonCodes,
  withId,
  Writer,
  writeBareProperties,
  type AckPacket,
  type QoS,
} from "@cortado/wire/mqtt";
import type { Clock } from "@cortado/std/clock";
import type { Committed, MessageLog } from "../journal/message-log.ts";
import type { Message } from "../journal/records.ts";
import { ReplayGate, type Replaying } from "../session/replay-gate.ts";
import type { Segment } from "../journal/segment.ts";
import { BRIDGE_HOPS_MAX, BRIDGE_PACE_MS, BRIDGE_SPANS_MAX, OUTGOING_BYTES_MAX } from "../limits.ts";
import type { Grant } from "../session/grant.ts";
import { lowerQos, storedPacketId, type Outgoing, type Session, type Transient } from "../session/session.ts";
import { Budget } from "./budget.ts";
import { Lane } from "./lane.ts";
import { carriedProperties, marksOf, markedProperties, mayBeMarked } from "./mark.ts";
import { codeText, type RemoteLink } from "./remote-link.ts";
import { limitFault } from "./remote-limits.ts";
import type { BridgeSettings, RemoteLimits } from "./settings.ts";
import type { TopicMap } from "./topic-map.ts";

export type SenderCounts = {
  sent: number;
  acknowledged: number;
  bytes: number;
  /** Never to be sent: too large, too deep, expired, or for good refused by the remote. */
  skipped: number;
  /** QoS 0 for which the line had no room or that came while it was down. */
  dropped: number;
};

export type SenderOptions = {
  readonly settings: BridgeSettings;
  /** Names this bridge and the journal behind it. */
  readonly bridgeId: string;
  readonly topics: TopicMap;
  readonly session: Session;
  readonly log: MessageLog;
  readonly segments: () => readonly Segment[];
  readonly clock: Clock;
  /** Broker time. */
  readonly nowMs: () => number;
  readonly counts: SenderCounts;
  /** A stored message is done with. */
  readonly acknowledged: (committed: Committed) => void;
  /** PUBREC for a stored message: to be made durable before `then` sends PUBREL. */
  readonly received: (sequence: number, then: () => void) => void;
  /** Something that a person should know. */
  readonly fault: (text: string, fields: Readonly<Record<string, unknown>>) => void;
};

type Flight = {
  readonly committed: Committed;
  readonly lane: Lane;
  readonly qos: QoS;
  released: boolean;
};

type Plan = { readonly frame: Uint8Array; readonly qos: QoS } | { readonly skip: string };

/** Codes after which no later try can go better. */
const forGood: ReadonlySet<number> = new Set([
  reasonCodes.topicNameInvalid,
  reasonCodes.payloadFormatInvalid,
  reasonCodes.packetTooLarge,
]);

/**
 * The way from our broker to the remote: the queue of the bridge's session, sent in the order that was chosen, within the remote's
 * window, its limits and the budget. The session's cursor moves when the remote has acknowledged.
 */
export class Sender implements Outgoing {
  readonly #options: SenderOptions;
  readonly #bytes: Budget | undefined;
  readonly #backlog: Budget | undefined;
  readonly #flights: Map<number, Flight> = new Map();
  /** The first that has something goes first. */
  #lanes: readonly Lane[] = [];
  #live: Lane | undefined;
  #link: RemoteLink | undefined;
  #limits: RemoteLimits;
  /** What was stored up to here had waited before the line came up. */
  #backlogThrough = 0;
  /** The last message that has been committed for this session. */
  #lastCommitted: number;
  /** Sent on an earlier connection and not answered there. */
  readonly #unanswered: Set<number> = new Set();
  #alarm: Disposable | undefined;
  #busy = false;

  constructor(options: SenderOptions & { readonly lastCommitted: number }) {
    this.#options = options;
    const { clock, settings } = options;
    const { bytesPerS, burstBytes = bytesPerS, backlogPerS, remote } = settings;
    this.#limits = remote;
    this.#lastCommitted = options.lastCommitted;
    if (bytesPerS !== undefined && burstBytes !== undefined)
      this.#bytes = new Budget({ clock, perS: bytesPerS, burst: burstBytes });
    // A tenth of a second's worth at once: a timer for each message would be the slower way to the same rate.
    if (backlogPerS !== undefined)
      this.#backlog = new Budget({ clock, perS: backlogPerS, burst: Math.max(1, backlogPerS / 10) });
  }

  spent(bytes: number): void {
    this.#options.counts.bytes += bytes;
    this.#bytes?.spend(bytes);
  }

  /** The line is up: sends again what was not acknowledged, and goes on. */
  attach(link: RemoteLink, limits: RemoteLimits): void {
    this.#link = link;
    this.#limits = limits;
    this.#backlogThrough = this.#lastCommitted;
    this.#flights.clear();
    this.#lanes = this.#newLanes();
    this.wake();
  }

  detach(): void {
    this.#link = undefined;
    for (const { committed } of this.#flights.values()) this.#unanswered.add(committed.message.sequence);
    this.#lanes = [];
    this.#live = undefined;
    this.#flights.clear();
    this.#alarm?.[Symbol.dispose]();
    this.#alarm = undefined;
  }

  #newLanes(): readonly Lane[] {
    const { session, log, segments, settings } = this.#options;
    let waiting = 0;
    for (const { items } of session.rows.values()) waiting += items;
    const common = {
      session,
      log,
      segments,
      failed: (error: unknown) => this.#options.fault("queue could not be read", { error }),
      ready: () => this.wake(),
    };
    const first = session.through + 1;
    const isPlain =
      settings.order === "oldest-first" || waiting === 0 || session.spans.size > BRIDGE_SPANS_MAX;
    if (isPlain) {
      this.#live = new Lane({ ...common, down: false, start: first, waiting });
      return [this.#live];
    }
    const last = this.#lastCommitted;
    this.#live = new Lane({ ...common, down: false, start: last + 1, waiting: 0 });
    const isDown = settings.order === "newest-first";
    const [start, end] = isDown ? [last, first] : [first, last];
    return [this.#live, new Lane({ ...common, down: isDown, start, end, waiting })];
  }

  close(): readonly Transient[] {
    return [];
  }

  get inflight(): number {
    return this.#flights.size;
  }

  /** What is retained goes into the queue at once (`own-session.ts`): nothing is read as the remote takes it. */
  readonly hasRoom = true;

  whenRoom(then: () => void): void {
    then();
  }

  replayBegins(): Replaying {
    return new ReplayGate(() => undefined).begin(() => undefined);
  }

  /** QoS 0: now or never. */
  sendOnce(message: Message, grant: Grant): void {
    const { counts, nowMs } = this.#options;
    const link = this.#link;
    const isLate = message.expiresAtMs !== undefined && message.expiresAtMs <= nowMs();
    if (link === undefined || isLate || link.bufferedBytes > OUTGOING_BYTES_MAX) {
      counts.dropped += 1;
      return;
    }
    const plan = this.#plan(message, { ...grant, qos: 0 });
    if ("skip" in plan || (this.#bytes?.waitMs(plan.frame.byteLength) ?? 0) > 0) {
      counts.dropped += 1;
      return;
    }
    link.send(plan.frame);
    counts.sent += 1;
  }

  sendRetained(message: Message, grant: Grant): void {
    this.sendOnce(message, grant);
  }

  /** For sessions without a place in the journal, which a bridge's never is. */
  queue({ message, grant }: Transient): void {
    this.sendOnce(message, grant);
  }

  committed({ message }: Committed): void {
    this.#lastCommitted = Math.max(this.#lastCommitted, message.sequence);
    this.#live?.arrived(message.sequence);
    this.wake();
  }

  answered({ type, id, code = 0, properties }: AckPacket): undefined {
    const flight = this.#flights.get(id);
    const isRefused = code >= 0x80 && type !== "pubcomp";
    if (type === "pubrec" && !isRefused) {
      this.#onReceived(id, flight);
      return undefined;
    }
    if (flight === undefined || flight.qos !== (type === "puback" ? 1 : 2)) return undefined;
    if (type === "pubcomp" && !flight.released) return undefined;
    if (isRefused && !forGood.has(code)) {
      const { topic } = flight.committed.message;
      this.#link?.fail(`the remote does not take ${topic}: ${codeText(code, properties?.reasonString)}`);
      return undefined;
    }
    if (isRefused) this.#skip(flight.committed.message, codeText(code, properties?.reasonString));
    else this.#options.counts.acknowledged += 1;
    this.#flights.delete(id);
    this.#settle(flight);
    this.wake();
    return undefined;
  }

  #settle({ lane, committed }: Pick<Flight, "lane" | "committed">): void {
    lane.done(committed.message.sequence);
    this.#options.acknowledged(committed);
  }

  #skip({ topic, sequence }: Message, reason: string): void {
    this.#options.counts.skipped += 1;
    this.#options.fault(`a message on ${topic} is not sent: ${reason}`, { topic, sequence });
  }

  #onReceived(id: number, flight: Flight | undefined): void {
    const link = this.#link;
    if (link === undefined) return;
    const code = flight?.qos === 2 ? reasonCodes.success : reasonCodes.packetIdNotFound;
    const release = (): void => link.send(encodePacket({ type: "pubrel", id, code }, link.level));
    if (flight?.qos !== 2) {
      release();
      return;
    }
    flight.released = true;
    this.#options.received(flight.committed.message.sequence, release);
  }

  /** Sends as much as window, line and budget take. */
  wake(): void {
    if (this.#busy) return;
    this.#busy = true;
    const link = this.#link;
    while (
      link?.isOpen === true &&
      link === this.#link &&
      this.#flights.size < this.#limits.receiveMax &&
      link.bufferedBytes <= OUTGOING_BYTES_MAX &&
      this.#sendNext(link)
    );
    this.#busy = false;
  }

  /** False when nothing more can be sent now. */
  #sendNext(link: RemoteLink): boolean {
    for (const lane of this.#lanes) {
      const committed = lane.peek();
      if (committed === undefined) continue;
      return this.#sendFrom(lane, { committed, link });
    }
    return false;
  }

  #sendFrom(
    lane: Lane,
    { committed, link }: { readonly committed: Committed; readonly link: RemoteLink },
  ): boolean {
    const { session, counts, nowMs } = this.#options;
    const { message } = committed;
    const { sequence, expiresAtMs } = message;
    const id = storedPacketId(sequence);
    if (this.#flights.has(id)) return false; // one that is 65,535 messages older must be answered first
    if (session.released.has(sequence)) {
      lane.take(sequence);
      this.#flights.set(id, { committed, lane, qos: 2, released: true });
      link.send(encodePacket({ type: "pubrel", id }, link.level));
      return true;
    }
    const isLate = expiresAtMs !== undefined && expiresAtMs <= nowMs();
    const plan: Plan = isLate ? { skip: "it has expired" } : this.#plan(message, grantFor(message, session));
    if ("skip" in plan) {
      lane.take(sequence);
      this.#skip(message, plan.skip);
      this.#settle({ lane, committed });
      return true;
    }
    if (this.#mustWait(plan.frame.byteLength, sequence)) return false;
    lane.take(sequence);
    if (sequence <= this.#backlogThrough) this.#backlog?.spend(1);
    const dup = this.#unanswered.delete(sequence);
    counts.sent += 1;
    if (plan.qos === 0) {
      link.send(plan.frame);
      this.#settle({ lane, committed });
      return true;
    }
    this.#flights.set(id, { committed, lane, qos: plan.qos, released: false });
    link.send(withId(plan.frame, { id, dup }));
    return true;
  }

  #mustWait(bytes: number, sequence: number): boolean {
    const isBacklog = sequence <= this.#backlogThrough;
    const waitMs = Math.max(this.#bytes?.waitMs(bytes) ?? 0, isBacklog ? (this.#backlog?.waitMs(1) ?? 0) : 0);
    if (waitMs === 0) return false;
    // Not one timer for each message.
    const pacedMs = Math.max(waitMs, BRIDGE_PACE_MS);
    this.#alarm?.[Symbol.dispose]();
    this.#alarm = this.#options.clock.after(pacedMs, () => {
      this.#alarm = undefined;
      this.wake();
    });
    return true;
  }

  #plan(message: Message, { qos: granted, isRetained, retainAsPublished }: Grant): Plan {
    const { topics, settings } = this.#options;
    const limits = this.#limits;
    const mapped = topics.toRemote(message.topic);
    if (mapped === undefined) return { skip: "no line of the bridge's topics fits it any more" };
    const fault = limitFault(mapped.topic, message.payload.byteLength, limits);
    if (fault !== undefined) return { skip: fault };
    const qos = lowerQos(lowerQos(message.qos, granted), lowerQos(mapped.qos, limits.qosMax));
    const retain = limits.retainAvailable && (isRetained || (message.retain && retainAsPublished));
    const parts = { topic: mapped.topic, payload: message.payload, qos, retain, dup: false, id: 1 };
    const properties = settings.level === 5 ? this.#properties(message) : undefined;
    if (properties !== undefined && "skip" in properties) return properties;
    const frame =
      properties === undefined
        ? publishFrame(parts)
        : publishFrame({ ...parts, properties: properties.bytes });
    if (frame.byteLength > limits.packetBytesMax)
      return {
        skip: `its packet of ${frame.byteLength} bytes is over the ${limits.packetBytesMax} that the remote takes`,
      };
    return { frame, qos };
  }

  #properties(message: Message): { readonly bytes: Uint8Array } | { readonly skip: string } {
    const { bridgeId, session, settings, nowMs } = this.#options;
    const { carried, expiresAtMs, sequence } = message;
    if (mayBeMarked(carried)) {
      const marks = marksOf(carriedProperties(carried).userProperties);
      if (marks.length >= BRIDGE_HOPS_MAX)
        return { skip: `it has come over ${marks.length} bridges already` };
      if (marks.some(({ id }) => id === bridgeId)) return { skip: "it has come over this bridge already" };
    }
    const { through } = session;
    const spans = session.spans.list;
    const marked =
      settings.ids && sequence > 0
        ? markedProperties(carried, { id: bridgeId, sequence, through, spans })
        : (carried ?? new Uint8Array(0));
    if (expiresAtMs === undefined) return { bytes: marked };
    const writer = new Writer();
    const messageExpiryIntervalS = Math.max(1, Math.ceil((expiresAtMs - nowMs()) / 1_000));
    writeBareProperties(writer, { messageExpiryIntervalS });
    writer.raw(marked);
    return { bytes: writer.taken() };
  }
}

function grantFor({ recipients, grants, qos }: Message, session: Session): Grant {
  return grants?.[recipients.indexOf(session.number)] ?? { ...fullGrant, qos };
}

const fullGrant: Grant = {
  qos: 2,
  noLocal: true,
  retainAsPublished: true,
  identifiers: undefined,
  share: undefined,
  isRetained: false,
};
