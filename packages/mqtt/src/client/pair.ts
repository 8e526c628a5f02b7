import type { Connection, ConnectionEvents } from "@cortado/std/net";

/** Bytes that may wait in one direction before the writer is asked to stop (as a socket's high-water mark). */
const HIGH_WATER_BYTES = 65_536;

/** Two ends of a stream that never leaves the process, with the flow control of a socket. */
export function newConnectionPair(): readonly [Connection, Connection] {
  const near: PairEnd = new PairEnd(() => far);
  const far: PairEnd = new PairEnd(() => near);
  return [near, far];
}

class PairEnd implements Connection {
  readonly remote = "in-process";
  readonly #other: () => PairEnd;
  #events: ConnectionEvents | undefined;
  /** What the other end wrote and this one has not taken. */
  #incoming: Uint8Array[] = [];
  #incomingBytes = 0;
  #paused = false;
  #scheduled = false;
  #full = false;
  #closed = false;
  #ending = false;

  constructor(other: () => PairEnd) {
    this.#other = other;
  }

  handle(events: ConnectionEvents): void {
    this.#events = events;
    this.#schedule();
  }

  get bufferedBytes(): number {
    return this.#other().#incomingBytes;
  }

  write(bytes: Uint8Array): boolean {
    const other = this.#other();
    if (this.#closed || other.#closed) return true;
    other.#incoming.push(bytes);
    other.#incomingBytes += bytes.byteLength;
    other.#schedule();
    if (other.#incomingBytes < HIGH_WATER_BYTES) return true;
    this.#full = true;
    return false;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#schedule();
  }

  end(): void {
    if (this.#closed) return;
    this.#other().#ending = true;
    this.#other().#schedule();
    this.#hangUp();
  }

  destroy(): void {
    this.#other().#hangUp();
    this.#hangUp();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#deliver();
    });
  }

  #deliver(): void {
    if (this.#events === undefined || this.#closed) return;
    const incoming = this.#incoming;
    while (!this.#paused && !this.#closed) {
      const bytes = incoming.shift();
      if (bytes === undefined) break;
      this.#incomingBytes -= bytes.byteLength;
      this.#events.data(bytes);
    }
    const other = this.#other();
    if (other.#full && this.#incomingBytes < HIGH_WATER_BYTES) {
      other.#full = false;
      other.#events?.drained();
    }
    if (this.#ending && incoming.length === 0) this.#hangUp();
  }

  #hangUp(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#incoming = [];
    this.#incomingBytes = 0;
    queueMicrotask(() => this.#events?.closed(undefined));
  }
}
