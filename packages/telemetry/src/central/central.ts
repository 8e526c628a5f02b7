import { every, type Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Counter, Metrics } from "@cortado/std/metrics";
import { StatusError } from "@cortado/std/status";
import {
  CENTRAL_BYTES_MAX,
  CENTRAL_COMMIT_EVENTS,
  CENTRAL_PRUNE_EVENTS,
  CENTRAL_PRUNE_EVERY_MS,
  CENTRAL_ROOM_SHARE,
  CENTRAL_WAITING_BYTES_MAX,
} from "../limits.ts";
import {
  readBatch,
  type Batch,
  type CentralEvent,
  type ClusterName,
  type Command,
  type CommandResult,
  type EventWriter,
} from "./event-store.ts";
import { EventReader, type EventFilter } from "./node/event-reader.ts";
import { openEventWriter, type OpenWriter } from "./node/writer-thread.ts";
import { knownKinds, OTHER_KINDS_DAYS, retention } from "./retention.ts";

export type { CentralEvent, ClusterName } from "./event-store.ts";
export type { EventFilter } from "./node/event-reader.ts";

export type CentralOptions = {
  /** A file that nobody else writes. */
  readonly path: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Starts the thread that writes when the disk is slow; absent: the event loop waits for it. */
  readonly openWriter?: OpenWriter;
  readonly bytesMax?: number;
};

type Waiting = {
  readonly batch: Batch;
  readonly bytes: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
};

const DAY_MS = 86_400_000;

/**
 * Opens the hub's store of what stores told it: each event once by store and id, durable before it is acknowledged, in the order
 * of arrival, for as long as `retention` says and the disk's share allows.
 * @throws StatusError "ServiceUnavailable" when the file cannot be used
 */
export function openCentral(options: CentralOptions): Promise<Central> {
  return Promise.resolve().then(() => {
    // The writer makes the file, the reader finds it.
    const writer = openEventWriter(options);
    return new Central(options, writer, new EventReader(options.path));
  });
}

export class Central implements AsyncDisposable {
  readonly #options: CentralOptions;
  readonly #writer: EventWriter;
  readonly #reader: EventReader;
  readonly #listeners: Set<() => void> = new Set();
  readonly #stack: DisposableStack = new DisposableStack();
  readonly #received: Counter;
  readonly #gone: Counter;
  /** Commands one after the other; the writer does one at a time. */
  #line: Promise<unknown> = Promise.resolve();
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #pumping: Promise<void> | undefined;
  #pruning: Promise<void> | undefined;
  #bytes = 0;
  #isOver = false;

  constructor(options: CentralOptions, writer: EventWriter, reader: EventReader) {
    this.#options = options;
    this.#writer = writer;
    this.#reader = reader;
    const { metrics, clock } = options;
    this.#received = metrics.counter("cortado_central_events_total", {
      help: "Events of stores: taken for the first time, known already, or refused as malformed.",
      labels: ["result"],
    });
    this.#gone = metrics.counter("cortado_central_events_removed_total", {
      help: "Events removed for their age or for the size of all, by kind.",
      labels: ["kind", "why"],
    });
    const bytes = metrics.gauge("cortado_central_bytes", { help: "Disk that events of stores take." });
    metrics.beforeText(() => bytes.set(this.#bytes));
    this.#stack.use(every(clock, CENTRAL_PRUNE_EVERY_MS, () => this.#prune()));
  }

  /**
   * Keeps what a store sent; answers the sequence up to which it is on the disk.
   * @throws StatusError "BadRequest" for what cannot be acknowledged, "TooManyRequests" when the disk does not keep up,
   * "InsufficientStorage" when it is full
   */
  async take(cluster: ClusterName, sent: readonly unknown[]): Promise<number> {
    const { events, refused, through } = readBatch(sent);
    const { clock, log } = this.#options;
    if (refused > 0) {
      this.#received.add(refused, { result: "refused" });
      log.warn("events of a store are malformed and left out", { cluster, refused });
    }
    const bytes = events.reduce((sum, event) => sum + event.payload.length + 200, 0);
    if (this.#waitingBytes + bytes > CENTRAL_WAITING_BYTES_MAX)
      throw new StatusError(
        "TooManyRequests",
        "the hub's disk does not keep up with events; send them again",
      );
    if (events.length > 0)
      await new Promise<void>((resolve, reject) => {
        const batch = { cluster, receivedMs: clock.nowMs(), events };
        this.#waiting.push({ batch, bytes, resolve, reject });
        this.#waitingBytes += bytes;
        this.#pumping ??= this.#pump();
      });
    return through;
  }

  /** Events that fit, in the order of arrival, up to what is there at the beginning; between two slices the event loop gets a turn. */
  async *read(filter: EventFilter, after = 0): AsyncGenerator<readonly CentralEvent[], void, void> {
    const to = this.#reader.newest;
    for (let from = after; from < to && !this.#isOver;) {
      const { events, through } = this.#reader.slice(filter, { from, to });
      if (events.length > 0) yield events;
      from = through;
      await new Promise<void>((resolve) => void setImmediate(resolve));
    }
  }

  /** Where a durable reader stands; undefined: it never did. */
  cursor(name: string): number | undefined {
    return this.#reader.cursor(name);
  }

  async saveCursor(name: string, position: number): Promise<void> {
    await this.#run({ kind: "cursor", name, position });
  }

  /** The position of the newest event; 0: none. */
  get newest(): number {
    return this.#reader.newest;
  }

  /** Calls when something new is on the disk. */
  subscribe(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    this.#stack.dispose();
    await this.#pumping;
    await this.#pruning;
    await this.#line.catch(() => undefined);
    this.#reader[Symbol.dispose]();
    await this.#writer[Symbol.asyncDispose]();
  }

  #run(command: Command): Promise<CommandResult> {
    const done = this.#line.then(() => this.#writer.run(command));
    this.#line = done.catch(() => undefined);
    return done.then((result) => {
      this.#bytes = result.bytes;
      return result;
    });
  }

  /** What comes while a group is on its way to the disk makes the next group. */
  async #pump(): Promise<void> {
    await Promise.resolve(); // what this turn brings shares the group
    while (this.#waiting.length > 0) {
      const group = this.#nextGroup();
      const count = group.reduce((sum, { batch }) => sum + batch.events.length, 0);
      try {
        const { changed } = await this.#run({ kind: "write", batches: group.map(({ batch }) => batch) });
        this.#received.add(changed, { result: "new" });
        this.#received.add(count - changed, { result: "known" });
        for (const { resolve } of group) resolve();
        if (changed > 0) for (const listener of this.#listeners) listener();
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    this.#pumping = undefined;
    if (this.#bytes > this.#bytesMax) this.#prune();
  }

  #nextGroup(): readonly Waiting[] {
    let count = 0;
    const end = this.#waiting.findIndex(
      ({ batch }) => (count += batch.events.length) > CENTRAL_COMMIT_EVENTS,
    );
    const group = this.#waiting.splice(0, end === -1 ? this.#waiting.length : Math.max(1, end));
    for (const { bytes } of group) this.#waitingBytes -= bytes;
    return group;
  }

  get #bytesMax(): number {
    return this.#options.bytesMax ?? CENTRAL_BYTES_MAX;
  }

  #prune(): void {
    this.#pruning ??= this.#pruneAll()
      .catch((error: unknown) => this.#options.log.error("old events are not removed", { error }))
      .finally(() => (this.#pruning = undefined));
  }

  async #pruneAll(): Promise<void> {
    const nowMs = this.#options.clock.nowMs();
    const others = this.#reader.kinds().filter((kind) => !knownKinds.includes(kind));
    const rules = [{ kinds: others, days: OTHER_KINDS_DAYS }, ...retention];
    for (const { kinds, days } of rules)
      for (const kind of kinds) await this.#remove(kind, { beforeMs: nowMs - days * DAY_MS, why: "age" });
    if (this.#bytes <= this.#bytesMax) return;
    const room = this.#bytesMax * CENTRAL_ROOM_SHARE;
    for (const { kinds } of rules)
      for (const kind of kinds) {
        const beforeMs = Number.MAX_SAFE_INTEGER;
        const gone = await this.#remove(kind, { beforeMs, why: "size", until: () => this.#bytes <= room });
        if (gone > 0)
          this.#options.log.warn("the store of events is full: the oldest of a kind were removed", {
            kind,
            gone,
          });
      }
  }

  async #remove(
    eventKind: string,
    options: { readonly beforeMs: number; readonly why: string; readonly until?: () => boolean },
  ): Promise<number> {
    const { beforeMs, why, until = () => false } = options;
    let gone = 0;
    while (!until() && !this.#isOver) {
      const limit = CENTRAL_PRUNE_EVENTS;
      const { changed } = await this.#run({ kind: "prune", eventKind, beforeMs, limit });
      gone += changed;
      const label = knownKinds.includes(eventKind) ? eventKind : "other";
      if (changed > 0) this.#gone.add(changed, { kind: label, why });
      if (changed < limit) break;
    }
    return gone;
  }
}
