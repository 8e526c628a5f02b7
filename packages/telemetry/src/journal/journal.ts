import type { Clock } from "@cortado/std/clock";
import type { Files } from "@cortado/std/files";
import type { Log } from "@cortado/std/log";
import { RecordLog, type LogRecord } from "@cortado/std/record-log";
import { StatusError } from "@cortado/std/status";
import { FULL_RETRY_S, JOURNAL_BYTES_MAX, KNOWN_IDS_MAX, SEGMENT_BYTES } from "../limits.ts";

/**
 * Kinds of events in classes, most important first. Work is never dropped: when the journal is full of it, its outbox waits. The
 * rest goes from the last class up, oldest first.
 */
export const classes = [
  { name: "work", kinds: ["order", "payment", "alert"], dropped: false },
  { name: "machine", kinds: ["machine"], dropped: true },
  { name: "event", kinds: ["event"], dropped: true },
  { name: "metric", kinds: ["metric"], dropped: true },
  { name: "log", kinds: ["log"], dropped: true },
] as const;

export type EventKind = (typeof classes)[number]["kinds"][number];

export function isEventKind(text: string): text is EventKind {
  return classes.some(({ kinds }) => (kinds as readonly string[]).includes(text));
}

/** Something that happened in the store. */
export type NewEvent = {
  /** Made by who saw it; an event with a known id is the same event. */
  readonly id: string;
  readonly kind: EventKind;
  /** RFC 3339, when it happened. */
  readonly at: string;
  readonly payload: Readonly<Record<string, unknown>>;
};
/** As it lies in the journal and leaves the store: `sequence` grows, with gaps. */
export type StoreEvent = NewEvent & { readonly store: string; readonly sequence: number };

export type AppendResult = {
  /** Ids that are new and durable. */
  readonly appended: readonly string[];
  /** Ids that were known. */
  readonly known: readonly string[];
  /** Ids of droppable kinds for which there was no room. */
  readonly dropped: readonly string[];
};

export type ReadQuery = {
  readonly after: number;
  readonly kinds?: readonly EventKind[];
  readonly limit: number;
};

export type TelemetryJournalOptions = {
  readonly files: Files;
  readonly folder: string;
  readonly store: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly bytesMax?: number;
  readonly segmentBytes?: number;
};

export type JournalLevels = {
  readonly bytes: number;
  readonly dropped: Readonly<Record<string, number>>;
  readonly nextSequence: number;
};

type State = { readonly version: 1; readonly nextSequence: number; readonly trimmedThrough: number };
const STATE_FILE = "state.json";
const IDS_FILE = "ids.json";

/** A durable, bounded journal of what happened in the store, to be read and forwarded "after sequence N". */
export class TelemetryJournal implements AsyncDisposable {
  readonly #options: TelemetryJournalOptions;
  readonly #logs: RecordLog[] = [];
  /** Ids that are durable, the oldest first, those of trimmed events too. */
  readonly #ids: Set<string> = new Set();
  /** Ids on their way to disk: an event that comes twice at once is written once, and both wait for it. */
  readonly #pending: Map<string, Promise<void>> = new Map();
  #nextSequence = 1;
  #trimmedThrough = 0;
  readonly #dropped: Record<string, number> = {};
  #making: Promise<void> = Promise.resolve();
  /** First sequences of groups on their way to disk: nobody reads past them, or what comes later there would be missed. */
  readonly #open: Set<number> = new Set();
  readonly #listeners: Set<() => void> = new Set();

  private constructor(options: TelemetryJournalOptions) {
    this.#options = options;
  }

  static async open(options: TelemetryJournalOptions): Promise<TelemetryJournal> {
    const journal = new TelemetryJournal(options);
    await journal.#recover();
    return journal;
  }

  get levels(): JournalLevels {
    return { bytes: this.#bytes(), dropped: this.#dropped, nextSequence: this.#nextSequence };
  }

  /**
   * Resolves when every event that was taken would survive a power cut.
   * @throws StatusError "InsufficientStorage" when the journal or the disk is full of what must not be dropped
   */
  async append(events: readonly NewEvent[]): Promise<AppendResult> {
    // Room is made by one caller after the other: two that both measured would both think there is some.
    const room = this.#making.then(() => this.#makeRoom(events.filter(({ id }) => !this.#isKnown(id))));
    this.#making = room.then(
      () => undefined,
      () => undefined,
    );
    const full = await room;
    const fresh = new Map<string, NewEvent>();
    const known: string[] = [];
    for (const event of events)
      if (this.#isKnown(event.id) || fresh.has(event.id)) known.push(event.id);
      else fresh.set(event.id, event);
    const mustKeep = [...fresh.values()].filter(({ kind }) => classes[classOf(kind)]?.dropped === false);
    if (full && mustKeep.length > 0)
      throw new StatusError(
        "InsufficientStorage",
        `the telemetry journal is full of orders, payments and alerts (${this.#bytes()} bytes); keep the event and try again when some were forwarded`,
        {
          details: { retryAfterSeconds: FULL_RETRY_S },
        },
      );
    const dropped = full ? [...fresh.values()] : [];
    for (const { kind } of dropped) this.#countDropped(classOf(kind), 1);
    const waits = known.flatMap((id) => this.#pending.get(id) ?? []);
    const kept = full ? [] : [...fresh.values()];
    await Promise.all([...waits, ...this.#writeAll(kept)]);
    return { appended: kept.map(({ id }) => id), known, dropped: dropped.map(({ id }) => id) };
  }

  /** The oldest events after a sequence, of these kinds or of all. */
  async read({ after, kinds, limit }: ReadQuery): Promise<readonly StoreEvent[]> {
    const wanted = kinds === undefined ? undefined : new Set<string>(kinds);
    const ceiling = Math.min(this.#nextSequence, ...this.#open);
    const found: StoreEvent[] = [];
    for (const [at, log] of this.#logs.entries()) {
      const all: readonly string[] = classes[at]?.kinds ?? [];
      if (wanted !== undefined && !all.some((kind) => wanted.has(kind))) continue;
      const whole = wanted === undefined || all.every((kind) => wanted.has(kind));
      for (let from = after, got = 0; got < limit;) {
        const records = await log.read({ after: from, limit });
        const events = records.map(fromRecord).filter(({ kind }) => whole || wanted?.has(kind) === true);
        found.push(...events.slice(0, limit - got));
        got += events.length;
        if (records.length < limit) break;
        from = records.at(-1)?.sequence ?? from;
      }
    }
    const readable = found.filter(({ sequence }) => sequence < ceiling);
    return readable.toSorted((one, other) => one.sequence - other.sequence).slice(0, limit);
  }

  /** Calls when something new can be read. */
  subscribe(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Everything up to this sequence has been taken over by somebody else: it may be forgotten here, but for its ids. */
  async trim(sequence: number): Promise<void> {
    this.#trimmedThrough = Math.max(this.#trimmedThrough, Math.min(sequence, this.#nextSequence - 1));
    // First what must not go with the files: the number to go on from, and the ids.
    await this.#save(STATE_FILE, {
      version: 1,
      nextSequence: this.#nextSequence,
      trimmedThrough: this.#trimmedThrough,
    } satisfies State);
    if (!this.#logs.some((log) => log.removable(this.#trimmedThrough))) return;
    await this.#save(IDS_FILE, [...this.#ids]);
    for (const log of this.#logs) await log.removeThrough(this.#trimmedThrough);
  }

  /** What was trimmed last: where a reader that has lost its place goes on. */
  get trimmedThrough(): number {
    return this.#trimmedThrough;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const log of this.#logs) await log[Symbol.asyncDispose]();
  }

  async #recover(): Promise<void> {
    const { files, folder, log, clock, segmentBytes = SEGMENT_BYTES } = this.#options;
    const state = await this.#load<State>(STATE_FILE);
    if (state !== undefined && state.version !== 1)
      throw new StatusError(
        "NotImplemented",
        "the telemetry journal was written by a newer release; start that release",
      );
    this.#nextSequence = state?.nextSequence ?? 1;
    this.#trimmedThrough = state?.trimmedThrough ?? 0;
    for (const id of (await this.#load<readonly string[]>(IDS_FILE)) ?? []) this.#remember(id);
    for (const { name } of classes) {
      const onRecord = (record: LogRecord): void => {
        this.#nextSequence = Math.max(this.#nextSequence, record.sequence + 1);
        this.#remember(fromRecord(record).id);
      };
      this.#logs.push(
        await RecordLog.open({
          files,
          folder,
          prefix: name,
          log,
          segmentBytes,
          onRecord,
          nowMs: clock.nowMs(),
        }),
      );
    }
  }

  #isKnown(id: string): boolean {
    return this.#ids.has(id) || this.#pending.has(id);
  }

  #writeAll(events: readonly NewEvent[]): readonly Promise<void>[] {
    const groups = new Map<number, { readonly id: string; readonly record: LogRecord }[]>();
    for (const event of events) {
      const at = classOf(event.kind);
      const group = groups.get(at) ?? [];
      groups.set(at, group);
      group.push({ id: event.id, record: this.#toRecord(event) });
    }
    return [...groups].map(([at, group]) => this.#write(at, group));
  }

  async #write(
    at: number,
    group: readonly { readonly id: string; readonly record: LogRecord }[],
  ): Promise<void> {
    const log = this.#logs[at];
    const first = group[0]?.record.sequence;
    if (log === undefined || first === undefined) return;
    this.#open.add(first);
    const write = log.append(group.map(({ record }) => record));
    for (const { id } of group) this.#pending.set(id, write);
    try {
      await write;
      for (const { id } of group) this.#remember(id);
    } finally {
      this.#open.delete(first);
      for (const { id } of group) this.#pending.delete(id);
    }
    for (const listener of this.#listeners) listener();
  }

  /** Drops what is least until the events fit; true when they do not fit even so. */
  async #makeRoom(events: readonly NewEvent[]): Promise<boolean> {
    const { bytesMax = JOURNAL_BYTES_MAX, log } = this.#options;
    const needed = events.reduce<number>(
      (sum, event) => sum + 200 + JSON.stringify(event.payload).length + event.id.length,
      0,
    );
    const least = events.reduce<number>((best, { kind }) => Math.min(best, classOf(kind)), classes.length);
    for (let at = classes.length - 1; at >= 0 && this.#bytes() + needed > bytesMax;) {
      // An event makes room among its own class and below, never above.
      if (at < least || classes[at]?.dropped !== true) return true;
      const gone = (await this.#logs[at]?.removeOldest()) ?? [];
      if (gone.length === 0) {
        at -= 1;
        continue;
      }
      this.#countDropped(at, gone.length);
      log.warn("telemetry journal is full: the oldest of the least was dropped", {
        class: classes[at]?.name,
        events: gone.length,
      });
    }
    return this.#bytes() + needed > bytesMax;
  }

  #countDropped(at: number, events: number): void {
    const name = classes[at]?.name ?? "";
    this.#dropped[name] = (this.#dropped[name] ?? 0) + events;
  }

  #bytes(): number {
    return this.#logs.reduce((sum, log) => sum + log.bytes, 0);
  }

  #remember(id: string): void {
    this.#ids.delete(id);
    this.#ids.add(id);
    for (const oldest of this.#ids) {
      if (this.#ids.size <= KNOWN_IDS_MAX) break;
      this.#ids.delete(oldest);
    }
  }

  async #save(name: string, value: unknown): Promise<void> {
    await this.#options.files.replace(
      `${this.#options.folder}/${name}`,
      new TextEncoder().encode(JSON.stringify(value)),
    );
  }

  async #load<Value>(name: string): Promise<Value | undefined> {
    const { files, folder, log } = this.#options;
    const bytes = await files.read(`${folder}/${name}`);
    if (bytes === undefined) return undefined;
    try {
      return JSON.parse(new TextDecoder().decode(bytes)) as Value;
    } catch (error) {
      log.error("telemetry file is damaged and not used", { path: `${folder}/${name}`, error });
      return undefined;
    }
  }

  #toRecord(event: NewEvent): LogRecord {
    const { id, kind, at, payload } = event;
    const sequence = this.#nextSequence;
    this.#nextSequence += 1;
    return {
      sequence,
      body: new TextEncoder().encode(JSON.stringify({ id, store: this.#options.store, kind, at, payload })),
    };
  }
}

function classOf(kind: EventKind): number {
  return classes.findIndex(({ kinds }) => (kinds as readonly string[]).includes(kind));
}

function fromRecord({ sequence, body }: LogRecord): StoreEvent {
  const { id, store, kind, at, payload } = JSON.parse(new TextDecoder().decode(body)) as Omit<
    StoreEvent,
    "sequence"
  >;
  return { id, store, sequence, at, kind, payload };
}
