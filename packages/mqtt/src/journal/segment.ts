import type { AppendFile } from "@cortado/std/files";
import { MARK_BYTES } from "../limits.ts";

/** One file of the journal. */
export type Segment = {
  readonly number: number;
  readonly path: string;
  file: AppendFile;
  /** Sequences of the messages in it; both 0 while there is none. */
  firstSequence: number;
  lastSequence: number;
  /** Where messages lie, so that a reader does not begin at the file's start. */
  marks: Marks;
  /** Messages in it times sessions that they wait for. */
  rows: number;
  /** Bytes of those messages, counted once for each session. */
  rowBytes: number;
  /** Grows when the file is written anew, so that no reader uses an old offset. */
  generation: number;
  /** Reads under way: the file stays until they are done. */
  readers: number;
};

/** A segment in which no message was found yet. */
export function newSegment({ number, path, file }: Pick<Segment, "number" | "path" | "file">): Segment {
  const marks = new Marks();
  return {
    ...{ number, path, file, marks },
    ...{ firstSequence: 0, lastSequence: 0, rows: 0, rowBytes: 0, generation: 0, readers: 0 },
  };
}

export function segmentName(number: number): string {
  return `journal-${String(number).padStart(10, "0")}.log`;
}

export function segmentNumber(name: string): number | undefined {
  const found = /^journal-(\d{10})\.log$/.exec(name);
  return found === null ? undefined : Number(found[1]);
}

/** A message lies in the segment: those of one segment are noted in the order in which they lie there. */
export function noteMessageAt(
  segment: Segment,
  { sequence, offset }: { readonly sequence: number; readonly offset: number },
): void {
  if (segment.firstSequence === 0) segment.firstSequence = sequence;
  segment.lastSequence = Math.max(segment.lastSequence, sequence);
  segment.marks.note(sequence, offset);
}

/** Where some of a file's messages lie, one in each MARK_BYTES: two numbers each. */
export class Marks {
  readonly #sequences: number[] = [];
  readonly #offsets: number[] = [];

  note(sequence: number, offset: number): void {
    const last = this.#offsets.at(-1);
    if (last !== undefined && offset - last < MARK_BYTES) return;
    this.#sequences.push(sequence);
    this.#offsets.push(offset);
  }

  /** An offset at which a record begins, with no message of this sequence or a later one before it. */
  offsetFor(sequence: number): number {
    let low = 0;
    let high = this.#sequences.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#sequences[middle] ?? 0) <= sequence) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? 0 : (this.#offsets[low - 1] ?? 0);
  }
}
