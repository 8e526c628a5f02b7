import type { AppendFile } from "@cortado/std/files";

/** One file of the journal. */
export type Segment = {
  readonly number: number;
  readonly path: string;
  file: AppendFile;
  /** Sequences of the messages in it; both 0 while there is none. */
  firstSequence: number;
  lastSequence: number;
  /** Messages in it times sessions that they wait for. */
  rows: number;
  /** Bytes of those messages, counted once for each session. */
  rowBytes: number;
  /** Grows when the file is written anew, so that no reader uses an old offset. */
  generation: number;
  /** Reads under way: the file stays until they are done. */
  readers: number;
};

export function segmentName(number: number): string {
  return `journal-${String(number).padStart(10, "0")}.log`;
}

export function segmentNumber(name: string): number | undefined {
  const found = /^journal-(\d{10})\.log$/.exec(name);
  return found === null ? undefined : Number(found[1]);
}

export function noteSequence(segment: Segment, sequence: number): void {
  if (segment.firstSequence === 0) segment.firstSequence = sequence;
  segment.lastSequence = Math.max(segment.lastSequence, sequence);
}
