import {
  READ_BYTES,
  READ_FEW_BYTES,
  READ_FEW_ITEMS,
  READS_AT_ONCE,
  RECENT_BYTES_MAX,
  RECENT_ITEMS_MAX,
} from "../limits.ts";
import type { Turns } from "../turns.ts";
import type { Journal } from "./journal.ts";
import {
  bodyAt,
  isForRecipient,
  nextRecordAt,
  readMessage,
  recordAt,
  recordBytesAt,
  type Message,
} from "./records.ts";
import type { Segment } from "./segment.ts";

/** Whom stored messages wait for: the log's view of a session. */
export interface Waiter {
  readonly number: number;
  /** Segments that hold messages for it: how many, and none of a sequence before `first`. */
  readonly rows: ReadonlyMap<number, { readonly items: number; readonly first: number }>;
  waitsFor(sequence: number): boolean;
}

/** A committed message with what delivery needs. */
export type Committed = {
  readonly message: Message;
  readonly segment: Segment;
  /** Size of its record: what the quotas count. */
  readonly bytes: number;
};

/** What is settled when it is acknowledged. */
export type Row = Pick<Committed, "segment" | "bytes">;

/** Where a reader stopped, so that it does not read a segment from its start again. */
export type Place = { readonly segment: number; readonly generation: number; readonly offset: number };
/** `ended`: the journal holds nothing more for this reader. */
export type Batch = {
  readonly messages: readonly Committed[];
  readonly place: Place | undefined;
  readonly ended: boolean;
};

/** Committed messages, the newest in memory, all in the journal. */
export class MessageLog {
  readonly #journal: Journal;
  #recent: Committed[] = [];
  #recentBytes = 0;
  /** Index of the first live item: shifting an array of thousands for each message would cost more than the message. */
  #head = 0;
  readonly #turns: Turns;
  #reads = 0;
  /** Those who will read when one of the reads under way is done. */
  readonly #readers: (() => void)[] = [];

  constructor({ journal, turns }: { readonly journal: Journal; readonly turns: Turns }) {
    this.#journal = journal;
    this.#turns = turns;
  }

  add(committed: Committed): void {
    this.#recent.push(committed);
    this.#recentBytes += committed.bytes;
    while (this.#recent.length - this.#head > RECENT_ITEMS_MAX || this.#recentBytes > RECENT_BYTES_MAX) {
      this.#recentBytes -= this.#recent[this.#head]?.bytes ?? 0;
      this.#head += 1;
    }
    if (this.#head > RECENT_ITEMS_MAX) {
      this.#recent = this.#recent.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Whether all messages from this sequence on are in memory. */
  holds(sequence: number): boolean {
    const first = this.#recent[this.#head];
    return first !== undefined && sequence >= first.message.sequence;
  }

  /** The first message in memory with at least this sequence that waits for the session. */
  recentFor(session: Waiter, sequence: number): Committed | undefined {
    const first = this.#recent[this.#head];
    if (first === undefined) return undefined;
    // Sequences of stored messages are consecutive while a broker runs.
    for (
      let at = this.#head + Math.max(0, sequence - first.message.sequence);
      at < this.#recent.length;
      at += 1
    ) {
      const committed = this.#recent[at];
      if (committed === undefined) return undefined;
      const { message } = committed;
      if (message.recipients.includes(session.number) && session.waitsFor(message.sequence)) return committed;
    }
    return undefined;
  }

  /** Reads the next messages for a session from disk, at most about READ_BYTES of file, in its turn among those who read. */
  async read(session: Waiter, from: ReadFrom): Promise<Batch> {
    if (this.#reads >= READS_AT_ONCE) await new Promise<void>((resolve) => this.#readers.push(resolve));
    else this.#reads += 1;
    try {
      return await this.#read(session, from);
    } finally {
      if (this.#turns.isOver) await this.#turns.over();
      const next = this.#readers.shift();
      if (next === undefined) this.#reads -= 1;
      else next();
    }
  }

  async #read(session: Waiter, { sequence, place }: ReadFrom): Promise<Batch> {
    for (const segment of this.#journal.segments) {
      const rows = session.rows.get(segment.number);
      if (rows === undefined || segment.lastSequence < sequence || segment.number < (place?.segment ?? 0))
        continue;
      const resume =
        place !== undefined && place.segment === segment.number && place.generation === segment.generation;
      const offset = resume ? place.offset : segment.marks.offsetFor(Math.max(sequence, rows.first));
      const length = rows.items > READ_FEW_ITEMS ? READ_BYTES : READ_FEW_BYTES;
      segment.readers += 1;
      try {
        const part = await readPart({ segment, session, sequence, offset, length });
        if (part !== undefined) return part;
      } finally {
        segment.readers -= 1;
      }
    }
    return { messages: [], place: undefined, ended: true };
  }
}

type ReadFrom = { readonly sequence: number; readonly place: Place | undefined };

type Part = {
  readonly segment: Segment;
  readonly session: Waiter;
  readonly sequence: number;
  readonly offset: number;
  readonly length: number;
};

/** Undefined at the end of the segment. */
async function readPart({ segment, session, sequence, offset, length }: Part): Promise<Batch | undefined> {
  const { generation } = segment;
  const messages: Committed[] = [];
  let bytes = view(await segment.file.readAt({ offset, length }));
  const firstBytes = recordBytesAt(bytes, 0);
  if (firstBytes !== undefined && firstBytes > bytes.byteLength)
    bytes = view(await segment.file.readAt({ offset, length: firstBytes }));
  let at = 0;
  for (;;) {
    const total = recordBytesAt(bytes, at);
    if (total === undefined || at + total > bytes.byteLength) break;
    const body = isFor(session, bytes, at) ? recordAt(bytes, at) : undefined;
    const message = body && readMessage(body);
    if (message !== undefined && message.sequence >= sequence && session.waitsFor(message.sequence))
      messages.push({ message, segment, bytes: total });
    at += total;
  }
  // Damage since the start: what is behind it is not lost with it.
  if (at === 0 && bytes.byteLength > 0) at = nextRecordAt(bytes, 0);
  if (at === 0) return undefined;
  return { messages, place: { segment: segment.number, generation, offset: offset + at }, ended: false };
}

// Most of a segment is for others: only what is for this reader is worth its checksum.
function isFor(session: Waiter, bytes: Buffer, at: number): boolean {
  const body = bodyAt(bytes, at);
  return body !== undefined && isForRecipient(body, session.number);
}

function view(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
