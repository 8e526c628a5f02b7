import { StatusError } from "@cortado/std/status";
import { HeaderReader, HeaderWriter, type SpdyHeaders } from "./headers.ts";

export type { SpdyHeaders } from "./headers.ts";

/** Streams open at once in one session; a port-forward opens two for each connection. */
export const STREAMS_MAX = 1_000;
/** Control frames carry headers at most. */
const CONTROL_BYTES_MAX: number = 64 * 1024;
/** What may wait in a stream that nobody handles yet. */
const EARLY_BYTES_MAX: number = 1024 * 1024;
/** A frame's payload: short enough that streams share a session fairly. */
const DATA_BYTES_MAX: number = 32 * 1024;
const FRAME_HEADER_BYTES = 8;

const SYN_STREAM = 1;
const SYN_REPLY = 2;
const RST_STREAM = 3;
const PING = 6;
const GOAWAY = 7;
const HEADERS = 8;
const FLAG_FIN = 1;
const RST_CANCEL = 5;
const RST_REFUSED_STREAM = 3;
const RST_INVALID_STREAM = 2;

export type SpdyStreamEvents = {
  data(bytes: Uint8Array): void;
  /** The peer will send no more. */
  ended(): void;
  /** The stream is over: both sides ended, or it was reset, or the session closed. */
  closed(error: Error | undefined): void;
};

export interface SpdyStream {
  readonly id: number;
  readonly headers: SpdyHeaders;
  /** Sets the receiver; what came before is given to it at once. */
  handle(events: SpdyStreamEvents): void;
  /** Answers the peer's opening; only for streams that the peer opened. */
  reply(headers?: SpdyHeaders): void;
  write(bytes: Uint8Array): void;
  /** Half-closes: we send no more. */
  end(): void;
  /** Breaks the stream off. */
  reset(): void;
}

export type SpdySessionOptions = {
  readonly role: "client" | "server";
  /** Sends bytes to the peer. Backpressure is the transport's: Kubernetes' SPDY peers keep no windows (moby/spdystream). */
  readonly write: (bytes: Uint8Array) => void;
  /** The peer opened a stream; whoever takes it calls `reply`. */
  readonly opened?: (stream: SpdyStream) => void;
  /** Once, when the session is over. */
  readonly closed?: (error: Error | undefined) => void;
};

/** One end of a SPDY/3.1 session over any transport: feed it with `receive`, it answers by `write`. */
export class SpdySession {
  readonly #options: SpdySessionOptions;
  readonly #streams = new Map<number, Stream>();
  readonly #headerReader: HeaderReader = new HeaderReader();
  readonly #headerWriter: HeaderWriter = new HeaderWriter();
  #nextId: number;
  #held: Uint8Array = new Uint8Array(0);
  #dataLeft: { readonly id: number; readonly fin: boolean; bytes: number } | undefined;
  #over = false;

  constructor(options: SpdySessionOptions) {
    this.#options = options;
    this.#nextId = options.role === "client" ? 1 : 2;
  }

  /** How many streams are open. */
  get streams(): number {
    return this.#streams.size;
  }

  /** Opens a stream. @throws StatusError "ServiceUnavailable" when the session is over */
  open(headers: SpdyHeaders): SpdyStream {
    if (this.#over) throw new StatusError("ServiceUnavailable", "the SPDY session is over");
    const id = this.#nextId;
    this.#nextId += 2;
    const stream = this.#newStream(id, headers);
    const block = this.#headerWriter.write(headers);
    const payload = new Uint8Array(10 + block.byteLength);
    new DataView(payload.buffer).setUint32(0, id);
    payload.set(block, 10);
    this.#control({ type: SYN_STREAM, flags: 0, payload });
    return stream;
  }

  /** Takes bytes from the peer. A malformed frame closes the session. */
  receive(bytes: Uint8Array): void {
    if (this.#over) return;
    try {
      this.#held = this.#held.byteLength === 0 ? bytes : joined(this.#held, bytes);
      while (this.#step()) if (this.#over) return;
    } catch (error) {
      this.close(error as Error);
    }
  }

  /** Ends the session and all its streams; says so to the peer when it still listens. */
  close(error?: Error): void {
    if (this.#over) return;
    const payload = new Uint8Array(8);
    this.#control({ type: GOAWAY, flags: 0, payload });
    this.#over = true;
    for (const stream of this.#streams.values()) stream.finish(error);
    this.#streams.clear();
    this.#options.closed?.(error);
  }

  #step(): boolean {
    if (this.#dataLeft !== undefined) return this.#takeData(this.#dataLeft);
    const held = this.#held;
    if (held.byteLength < FRAME_HEADER_BYTES) return false;
    const view = new DataView(held.buffer, held.byteOffset, held.byteLength);
    const word = view.getUint32(0);
    const flags = view.getUint8(4);
    const length = view.getUint32(4) & 0xffffff;
    if (word < 0x80000000) {
      this.#held = held.subarray(FRAME_HEADER_BYTES);
      this.#dataLeft = { id: word, fin: (flags & FLAG_FIN) !== 0, bytes: length };
      return true;
    }
    if (((word >>> 16) & 0x7fff) !== 3) throw new StatusError("BadRequest", "the peer does not speak SPDY/3");
    if (length > CONTROL_BYTES_MAX)
      throw new StatusError("BadRequest", `a SPDY control frame of ${length} bytes is too long`);
    if (held.byteLength < FRAME_HEADER_BYTES + length) return false;
    this.#held = held.subarray(FRAME_HEADER_BYTES + length);
    this.#takeControl({
      type: word & 0xffff,
      flags,
      payload: held.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + length),
    });
    return true;
  }

  // A data frame is handed on as its bytes come, so that its length bounds no buffer of ours.
  #takeData(left: { readonly id: number; readonly fin: boolean; bytes: number }): boolean {
    const part = this.#held.subarray(0, left.bytes);
    if (part.byteLength === 0 && left.bytes > 0) return false;
    this.#held = this.#held.subarray(part.byteLength);
    left.bytes -= part.byteLength;
    if (left.bytes === 0) this.#dataLeft = undefined;
    const stream = this.#streams.get(left.id);
    if (stream === undefined) return true; // reset by us while the peer was sending
    if (part.byteLength > 0) stream.received(part);
    if (left.bytes === 0 && left.fin) stream.peerEnded();
    return true;
  }

  #takeControl({ type, flags, payload }: ControlFrame): void {
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    const id = payload.byteLength >= 4 ? view.getUint32(0) & 0x7fffffff : 0;
    const fin = (flags & FLAG_FIN) !== 0;
    switch (type) {
      case SYN_STREAM:
        this.#peerOpened({ id, fin, headers: this.#headerReader.read(payload.subarray(10)) });
        return;
      case SYN_REPLY:
      case HEADERS:
        this.#headerReader.read(payload.subarray(4));
        if (fin) this.#streams.get(id)?.peerEnded();
        return;
      case RST_STREAM:
        this.#streams.get(id)?.finish(new StatusError("ServiceUnavailable", `the peer reset stream ${id}`));
        return;
      case PING:
        // Pings of our own would have our parity; the peer's are echoed.
        if ((id % 2 === 1) !== (this.#options.role === "client"))
          this.#control({ type: PING, flags: 0, payload: payload.slice(0, 4) });
        return;
      default: // SETTINGS, GOAWAY, WINDOW_UPDATE: nothing of ours depends on them
        return;
    }
  }

  #peerOpened({
    id,
    fin,
    headers,
  }: {
    readonly id: number;
    readonly fin: boolean;
    readonly headers: SpdyHeaders;
  }): void {
    const ours = (id % 2 === 1) === (this.#options.role === "client");
    if (ours || id === 0 || this.#streams.has(id))
      throw new StatusError("BadRequest", `the peer opened stream ${id}, which it may not`);
    if (this.#options.opened === undefined || this.#streams.size >= STREAMS_MAX) {
      this.#sendReset(id, RST_REFUSED_STREAM);
      return;
    }
    const stream = this.#newStream(id, headers);
    if (fin) stream.peerEnded();
    this.#options.opened(stream);
  }

  #newStream(id: number, headers: SpdyHeaders): Stream {
    const stream = new Stream({
      id,
      headers,
      reply: (answer) => {
        const block = this.#headerWriter.write(answer);
        const payload = new Uint8Array(4 + block.byteLength);
        new DataView(payload.buffer).setUint32(0, id);
        payload.set(block, 4);
        this.#control({ type: SYN_REPLY, flags: 0, payload });
      },
      data: (bytes, fin) => this.#sendData({ id, bytes, fin }),
      reset: (status) => this.#sendReset(id, status),
      forget: () => void this.#streams.delete(id),
    });
    this.#streams.set(id, stream);
    return stream;
  }

  #sendData({
    id,
    bytes,
    fin,
  }: {
    readonly id: number;
    readonly bytes: Uint8Array;
    readonly fin: boolean;
  }): void {
    if (this.#over) return;
    for (let at = 0; at < bytes.byteLength || (fin && at === 0); at += DATA_BYTES_MAX) {
      const part = bytes.subarray(at, at + DATA_BYTES_MAX);
      const last = at + DATA_BYTES_MAX >= bytes.byteLength;
      const frame = new Uint8Array(FRAME_HEADER_BYTES + part.byteLength);
      const view = new DataView(frame.buffer);
      view.setUint32(0, id);
      view.setUint32(4, part.byteLength);
      if (fin && last) view.setUint8(4, FLAG_FIN);
      frame.set(part, FRAME_HEADER_BYTES);
      this.#options.write(frame);
    }
  }

  #sendReset(id: number, status: number): void {
    const payload = new Uint8Array(8);
    const view = new DataView(payload.buffer);
    view.setUint32(0, id);
    view.setUint32(4, status);
    this.#control({ type: RST_STREAM, flags: 0, payload });
  }

  #control({ type, flags, payload }: ControlFrame): void {
    if (this.#over) return;
    const frame = new Uint8Array(FRAME_HEADER_BYTES + payload.byteLength);
    const view = new DataView(frame.buffer);
    view.setUint32(0, (0x8003 << 16) | type);
    view.setUint32(4, payload.byteLength);
    view.setUint8(4, flags);
    frame.set(payload, FRAME_HEADER_BYTES);
    this.#options.write(frame);
  }
}

type ControlFrame = { readonly type: number; readonly flags: number; readonly payload: Uint8Array };

type StreamOptions = {
  readonly id: number;
  readonly headers: SpdyHeaders;
  readonly reply: (headers: SpdyHeaders) => void;
  readonly data: (bytes: Uint8Array, fin: boolean) => void;
  readonly reset: (status: number) => void;
  readonly forget: () => void;
};

class Stream implements SpdyStream {
  readonly id: number;
  readonly headers: SpdyHeaders;
  readonly #options: StreamOptions;
  #events: SpdyStreamEvents | undefined;
  #early: Uint8Array[] = [];
  #earlyBytes = 0;
  #peerEnded = false;
  #weEnded = false;
  #finished: { readonly error: Error | undefined } | undefined;

  constructor(options: StreamOptions) {
    this.#options = options;
    this.id = options.id;
    this.headers = options.headers;
  }

  handle(events: SpdyStreamEvents): void {
    this.#events = events;
    for (const bytes of this.#early.splice(0)) events.data(bytes);
    if (this.#peerEnded) events.ended();
    if (this.#finished !== undefined) events.closed(this.#finished.error);
  }

  reply(headers: SpdyHeaders = {}): void {
    if (this.#finished === undefined) this.#options.reply(headers);
  }

  write(bytes: Uint8Array): void {
    if (this.#weEnded || this.#finished !== undefined || bytes.byteLength === 0) return;
    this.#options.data(bytes, false);
  }

  end(): void {
    if (this.#weEnded || this.#finished !== undefined) return;
    this.#weEnded = true;
    this.#options.data(new Uint8Array(0), true);
    if (this.#peerEnded) this.finish(undefined);
  }

  reset(): void {
    if (this.#finished !== undefined) return;
    this.#options.reset(RST_CANCEL);
    this.finish(undefined);
  }

  received(bytes: Uint8Array): void {
    if (this.#events !== undefined) {
      this.#events.data(bytes);
      return;
    }
    this.#early.push(bytes.slice());
    this.#earlyBytes += bytes.byteLength;
    if (this.#earlyBytes <= EARLY_BYTES_MAX) return;
    this.#options.reset(RST_INVALID_STREAM);
    this.finish(
      new StatusError(
        "RequestEntityTooLarge",
        `stream ${this.id} sent ${this.#earlyBytes} bytes that nobody takes`,
      ),
    );
  }

  peerEnded(): void {
    if (this.#peerEnded || this.#finished !== undefined) return;
    this.#peerEnded = true;
    this.#events?.ended();
    if (this.#weEnded) this.finish(undefined);
  }

  finish(error: Error | undefined): void {
    if (this.#finished !== undefined) return;
    this.#finished = { error };
    this.#options.forget();
    this.#events?.closed(error);
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const whole = new Uint8Array(first.byteLength + second.byteLength);
  whole.set(first);
  whole.set(second, first.byteLength);
  return whole;
}
