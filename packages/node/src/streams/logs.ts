import { open, stat, type FileHandle } from "node:fs/promises";
import type { Clock } from "@cortado/std/clock";
import { StatusError } from "@cortado/std/status";
import { LOG_CHUNK_BYTES, LOG_FOLLOW_MS, LOG_LINE_BYTES_MAX } from "../limits.ts";
import { parseLogLine, type LogLine } from "./log-line.ts";

/** The query of `kubectl logs` (core/v1, PodLogOptions). */
export type LogOptions = {
  readonly follow?: boolean;
  readonly timestamps?: boolean;
  readonly tailLines?: number;
  readonly limitBytes?: number;
  readonly sinceSeconds?: number;
  /** RFC 3339. */
  readonly sinceTime?: string;
};

export type ReadLog = {
  readonly path: string;
  readonly options: LogOptions;
  /** The container runs no more: what is there is all there will be. */
  readonly isOver: () => boolean;
  readonly clock: Clock;
  readonly signal: AbortSignal;
};

/**
 * The text of a log in CRI's format. Followed, it goes on over rotations (the name then means another file) until the container is over.
 * @throws StatusError "NotFound" when there is no log
 */
export async function readLogFile(read: ReadLog): Promise<AsyncIterable<Uint8Array>> {
  const file = await open(read.path, "r").catch((cause: unknown) => {
    throw new StatusError(
      "NotFound",
      `the log ${read.path.slice(read.path.lastIndexOf("/") + 1)} is not there (it was removed, or not begun)`,
      { cause },
    );
  });
  return lines(file, read);
}

async function* lines(first: FileHandle, read: ReadLog): AsyncGenerator<Uint8Array, void, void> {
  const { options, clock } = read;
  const format = new Formatter(options, clock.nowMs());
  let file = first;
  try {
    let at = options.tailLines === undefined ? 0 : await tailOffset(file, options.tailLines);
    const splitter = new LineSplitter();
    for (;;) {
      const wasOver = read.isOver(); // before reading: what is written until then is read below
      for await (const chunk of chunks(file, at)) {
        at += chunk.byteLength;
        const text = format.text(splitter.push(chunk));
        if (text !== undefined) yield text;
        if (format.full || read.signal.aborted) return;
      }
      if (options.follow !== true || read.signal.aborted) return;
      const next = await rotated(file, read.path);
      if (next !== undefined) {
        // Read the old file to its end once more; from then on only the new one grows.
        for await (const chunk of chunks(file, at)) {
          const text = format.text(splitter.push(chunk));
          if (text !== undefined) yield text;
        }
        await file.close();
        file = next;
        at = 0;
        continue;
      }
      if (wasOver) return;
      await clock.sleep(LOG_FOLLOW_MS, read).catch(() => undefined);
    }
  } finally {
    await file.close();
  }
}

async function* chunks(file: FileHandle, from: number): AsyncGenerator<Uint8Array, void, void> {
  for (let at = from; ;) {
    const { bytesRead, buffer } = await file.read(
      Buffer.allocUnsafe(LOG_CHUNK_BYTES),
      0,
      LOG_CHUNK_BYTES,
      at,
    );
    if (bytesRead === 0) return;
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

async function rotated(file: FileHandle, path: string): Promise<FileHandle | undefined> {
  const [mine, there] = await Promise.all([file.stat(), stat(path).catch(() => undefined)]);
  if (there === undefined || there.ino === mine.ino) return undefined;
  return open(path, "r").catch(() => undefined);
}

/** Where the last so many lines begin, read from the end backwards. */
async function tailOffset(file: FileHandle, count: number): Promise<number> {
  const { size } = await file.stat();
  if (count === 0) return size;
  let left = count;
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - LOG_CHUNK_BYTES);
    const { buffer } = await file.read(Buffer.alloc(end - start), 0, end - start, start);
    for (let at = buffer.byteLength - 1; at >= 0; at -= 1) {
      if (buffer[at] !== 10 || start + at === size - 1) continue;
      left -= 1;
      if (left === 0) return start + at + 1;
    }
    end = start;
  }
  return 0;
}

const NEWLINE = 10;

/** Whole lines out of pieces; an endless one is cut. */
class LineSplitter {
  #held: Uint8Array = new Uint8Array(0);

  push(chunk: Uint8Array): readonly string[] {
    const whole = this.#held.byteLength === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const found: string[] = [];
    let start = 0;
    for (let end = whole.indexOf(NEWLINE, start); end >= 0; end = whole.indexOf(NEWLINE, start)) {
      found.push(Buffer.from(whole.buffer, whole.byteOffset + start, end - start).toString("utf8"));
      start = end + 1;
    }
    this.#held = whole.slice(start);
    if (this.#held.byteLength > LOG_LINE_BYTES_MAX) this.#held = new Uint8Array(0);
    return found;
  }
}

class Formatter {
  readonly #options: LogOptions;
  readonly #sinceMs: number;
  #left: number;
  #continued = false;
  #passing = false;

  constructor(options: LogOptions, nowMs: number) {
    this.#options = options;
    this.#left = options.limitBytes ?? Number.POSITIVE_INFINITY;
    this.#sinceMs =
      options.sinceTime === undefined
        ? options.sinceSeconds === undefined
          ? 0
          : nowMs - options.sinceSeconds * 1_000
        : Date.parse(options.sinceTime);
    this.#passing = this.#sinceMs === 0;
  }

  get full(): boolean {
    return this.#left <= 0;
  }

  text(rows: readonly string[]): Uint8Array | undefined {
    const parts: string[] = [];
    for (const row of rows) {
      const line = parseLogLine(row);
      if (line !== undefined && this.#isRecent(line)) parts.push(this.#format(line));
    }
    if (parts.length === 0) return undefined;
    const bytes = Buffer.from(parts.join("")).subarray(
      0,
      Number.isFinite(this.#left) ? this.#left : undefined,
    );
    this.#left -= bytes.byteLength;
    return bytes.byteLength === 0 ? undefined : bytes;
  }

  // Lines are in order of time, so after the first recent one no more is compared.
  #isRecent(line: LogLine): boolean {
    this.#passing ||= Date.parse(line.time) >= this.#sinceMs;
    return this.#passing;
  }

  #format(line: LogLine): string {
    const stamp = this.#options.timestamps === true && !this.#continued ? `${fixedNanos(line.time)} ` : "";
    this.#continued = line.partial;
    return `${stamp}${line.text}${line.partial ? "" : "\n"}`;
  }
}

/** Containerd drops trailing zeros of the nanoseconds; upstream gives stamps of one length. */
export function fixedNanos(time: string): string {
  return time.replace(/\.(\d{1,9})(?=Z|[+-])/, (_all, digits: string) => `.${digits.padEnd(9, "0")}`);
}

/** The log of a container whose lines are held in memory. */
export async function* followLines(
  held: readonly string[],
  options: LogOptions,
): AsyncGenerator<Uint8Array, void, void> {
  const format = new Formatter(options, 0);
  const from = options.tailLines === undefined ? 0 : Math.max(0, held.length - options.tailLines);
  const text = format.text(held.slice(from));
  if (text !== undefined) yield await Promise.resolve(text);
}
