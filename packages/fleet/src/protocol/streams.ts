import type { Connection, ConnectionEvents } from "@cortado/std/net";
import { StatusError } from "@cortado/std/status";
import { encodeFrame } from "./frames.ts";
import type { CloseStream, GrantStream, OpenStream } from "./protocol.ts";

/** Streams over one connection at once. */
export const STREAMS_MAX = 64;
/** What one end may send of a stream before the other has read: a reader that stands still holds so much, and nobody else up. */
export const STREAM_WINDOW_BYTES: number = 256 * 1024;
/** One message of a stream; the others have their turn after it. */
export const STREAM_CHUNK_BYTES: number = 16 * 1024;
/** Written and not sent: beyond it who writes waits. */
export const STREAM_WAITING_BYTES: number = 64 * 1024;

/** The connection, as streams need it. */
export type StreamCarrier = {
  send(message: CloseStream | GrantStream): Promise<void>;
  /** Resolves when little waits before it, so that what is said beside streams is not behind much of them. */
  sendBytes(bytes: Uint8Array, options: { readonly isPatient: true }): Promise<void>;
};

export type StreamsOptions = {
  readonly carrier: StreamCarrier;
  /** Takes a stream that the other end opens; absent or throwing: it is closed at once. */
  readonly accept?: (stream: Connection) => void;
  /** Says that a stream is opened; absent: this end opens none. */
  readonly sayOpen?: (message: OpenStream) => Promise<void>;
  /** Who is at the other end, for messages. */
  readonly remote: string;
};

/**
 * Many streams of bytes over one connection, either end of it. Each has a window, so that a reader that stands still stops only its
 * own writer; those that have something to send take turns, a chunk at a time.
 */
export class Streams implements Disposable {
  readonly #options: StreamsOptions;
  readonly #streams: Map<number, Stream> = new Map();
  /** Those that have bytes and may send them, in the order of their turns. */
  readonly #ready: Set<Stream> = new Set();
  #last = 0;
  #isSending = false;
  #isOver = false;

  constructor(options: StreamsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#streams.size;
  }

  /** Opens a stream to the other end. @throws StatusError "TooManyRequests", or "ServiceUnavailable" when the connection has ended */
  open(): Connection {
    const { sayOpen, remote } = this.#options;
    if (this.#isOver || sayOpen === undefined)
      throw new StatusError("ServiceUnavailable", `the connection to ${remote} has ended`);
    if (this.#streams.size >= STREAMS_MAX)
      throw new StatusError(
        "TooManyRequests",
        `${STREAMS_MAX} streams to ${remote} are open; try again later`,
        {
          details: { retryAfterSeconds: 1 },
        },
      );
    this.#last += 1;
    const stream = this.#add(this.#last);
    // A connection that ended has closed all its streams.
    sayOpen({ type: "open", stream: stream.number }).catch(() => undefined);
    return stream;
  }

  /** What the other end says of streams. */
  take(message: OpenStream | CloseStream | GrantStream): void {
    const stream = this.#streams.get(message.stream);
    if (message.type === "open") this.#accept(message.stream);
    else if (message.type === "close") stream?.takeClose();
    else if (Number.isSafeInteger(message.bytes) && message.bytes > 0) stream?.takeGrant(message.bytes);
  }

  takeBytes(number: number, bytes: Uint8Array): void {
    const stream = this.#streams.get(number);
    // Bytes of a stream that is closed here were on their way when it was.
    if (stream?.takeBytes(bytes) === false) stream.destroy();
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#ready.clear();
    for (const stream of [...this.#streams.values()]) stream.lose();
    this.#streams.clear();
  }

  #accept(number: number): void {
    const { accept, carrier } = this.#options;
    const refuse = (): void => void carrier.send({ type: "close", stream: number }).catch(() => undefined);
    if (accept === undefined || this.#streams.has(number) || this.#streams.size >= STREAMS_MAX)
      return refuse();
    const stream = this.#add(number);
    try {
      accept(stream);
    } catch {
      stream.destroy();
    }
  }

  #add(number: number): Stream {
    const { carrier, remote } = this.#options;
    const stream: Stream = new Stream(number, {
      remote,
      wantsTurn: () => {
        if (this.#isOver) return;
        this.#ready.add(stream);
        void this.#send();
      },
      grant: (bytes) => {
        if (this.#streams.get(number) === stream)
          carrier.send({ type: "grant", stream: number, bytes }).catch(() => undefined);
      },
      over: ({ isTold }) => {
        if (this.#streams.get(number) !== stream) return;
        this.#streams.delete(number);
        this.#ready.delete(stream);
        if (!this.#isOver && !isTold) carrier.send({ type: "close", stream: number }).catch(() => undefined);
      },
    });
    this.#streams.set(number, stream);
    return stream;
  }

  async #send(): Promise<void> {
    if (this.#isSending) return;
    this.#isSending = true;
    try {
      for (const stream of this.#ready) {
        this.#ready.delete(stream);
        const bytes = stream.nextChunk();
        if (bytes !== undefined)
          await this.#options.carrier.sendBytes(
            encodeFrame({ kind: "stream", stream: stream.number, bytes }),
            { isPatient: true },
          );
        stream.sent();
      }
    } catch {
      // The connection ended; who holds it disposes its streams.
    } finally {
      this.#isSending = false;
    }
  }
}

type StreamPorts = {
  readonly remote: string;
  readonly wantsTurn: () => void;
  readonly grant: (bytes: number) => void;
  /** This end is done with it; `isTold`: the other said so first. */
  readonly over: (options: { readonly isTold: boolean }) => void;
};

class Stream implements Connection {
  readonly number: number;
  readonly #ports: StreamPorts;
  readonly #inbox: Uint8Array[] = [];
  readonly #outbox: Uint8Array[] = [];
  #inboxBytes = 0;
  #outboxBytes = 0;
  /** What we may send, and what was read here and not granted anew yet. */
  #window = STREAM_WINDOW_BYTES;
  #readBytes = 0;
  #events: ConnectionEvents | undefined;
  #isPaused = false;
  #isFull = false;
  #isEnding = false;
  #isOver = false;
  #hasEnd = false;
  /** A chunk is on its way: that it is the last may only be said after it. */
  #isSending = false;

  constructor(number: number, ports: StreamPorts) {
    this.number = number;
    this.#ports = ports;
  }

  get remote(): string {
    return this.#ports.remote;
  }

  get bufferedBytes(): number {
    return this.#outboxBytes;
  }

  handle(events: ConnectionEvents): void {
    this.#events = events;
    queueMicrotask(() => this.#deliver());
  }

  write(bytes: Uint8Array): boolean {
    if (this.#isOver || this.#isEnding || bytes.byteLength === 0) return true;
    this.#outbox.push(bytes);
    this.#outboxBytes += bytes.byteLength;
    this.#ask();
    this.#isFull = this.#outboxBytes > STREAM_WAITING_BYTES;
    return !this.#isFull;
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#deliver();
  }

  end(): void {
    if (this.#isOver || this.#isEnding) return;
    this.#isEnding = true;
    if (this.#outboxBytes === 0 && !this.#isSending) this.#finish();
    else this.#ask();
  }

  destroy(): void {
    this.#finish();
  }

  /** The connection broke: nothing more can be said. */
  lose(): void {
    this.#hasEnd = true;
    this.#drop();
    this.#deliver();
  }

  /** False: it is more than was granted. */
  takeBytes(bytes: Uint8Array): boolean {
    if (this.#isOver) return true;
    if (this.#inboxBytes + this.#readBytes + bytes.byteLength > STREAM_WINDOW_BYTES) return false;
    this.#inbox.push(bytes);
    this.#inboxBytes += bytes.byteLength;
    this.#deliver();
    return true;
  }

  takeGrant(bytes: number): void {
    this.#window = Math.min(STREAM_WINDOW_BYTES, this.#window + bytes);
    this.#ask();
  }

  /** The other end is done with it; what it sent before is still delivered. */
  takeClose(): void {
    this.#hasEnd = true;
    this.#drop();
    this.#ports.over({ isTold: true });
    this.#deliver();
  }

  nextChunk(): Uint8Array | undefined {
    const size = Math.min(this.#outboxBytes, this.#window, STREAM_CHUNK_BYTES);
    if (size === 0) return undefined;
    // Many small writes are one chunk.
    const chunk = new Uint8Array(size);
    let whole = 0;
    for (let filled = 0; filled < size;) {
      const first = this.#outbox[whole] as Uint8Array;
      const part = first.subarray(0, size - filled);
      chunk.set(part, filled);
      filled += part.byteLength;
      if (part.byteLength === first.byteLength) whole += 1;
      else this.#outbox[whole] = first.subarray(part.byteLength);
    }
    this.#outbox.splice(0, whole);
    this.#outboxBytes -= size;
    this.#window -= size;
    this.#isSending = true;
    return chunk;
  }

  /** A turn is over. */
  sent(): void {
    this.#isSending = false;
    if (this.#isOver) return;
    if (this.#isEnding && this.#outboxBytes === 0) return this.#finish();
    this.#ask();
    if (!this.#isFull || this.#outboxBytes > STREAM_WAITING_BYTES) return;
    this.#isFull = false;
    this.#events?.drained();
  }

  #ask(): void {
    if (!this.#isOver && this.#outboxBytes > 0 && this.#window > 0) this.#ports.wantsTurn();
  }

  #drop(): void {
    this.#outbox.length = 0;
    this.#outboxBytes = 0;
    this.#isEnding = true;
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#drop();
    this.#inbox.length = 0;
    this.#hasEnd = true;
    this.#ports.over({ isTold: false });
    queueMicrotask(() => this.#deliver());
  }

  #deliver(): void {
    if (this.#events === undefined || this.#isOver) return;
    for (let bytes = this.#next(); bytes !== undefined; bytes = this.#next()) {
      this.#inboxBytes -= bytes.byteLength;
      this.#readBytes += bytes.byteLength;
      this.#events.data(bytes);
    }
    if (this.#readBytes >= STREAM_WINDOW_BYTES / 2 && !this.#hasEnd) {
      this.#ports.grant(this.#readBytes);
      this.#readBytes = 0;
    }
    // What took the bytes may have ended all this meanwhile.
    if (!this.#hasEnd || this.#inbox.length > 0 || (this.#isOver as boolean)) return;
    this.#isOver = true;
    this.#events.closed(undefined);
  }

  #next(): Uint8Array | undefined {
    return this.#isPaused ? undefined : this.#inbox.shift();
  }
}
