import { CACHED_VALUE_BYTES } from "./limits.ts";
import type { KeyValue } from "./store.ts";

type Entry = { value: KeyValue; isUsed: boolean };

/**
 * Current values that are in memory, within a number of bytes. What was read since the hand came by last stays when room is needed;
 * the hand goes round over all of them (the CLOCK policy), so that a hit costs no more than a look.
 */
export class ValueCache {
  readonly #bytesMax: number;
  readonly #entries: Map<string, Entry> = new Map();
  #hand: Iterator<[string, Entry]> = this.#entries.entries();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(key: string): KeyValue | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    entry.isUsed = true;
    return entry.value;
  }

  put(value: KeyValue): void {
    const bytes = bytesOf(value);
    const known = this.#entries.get(value.key);
    if (bytes > this.#bytesMax) return this.delete(value.key);
    this.#bytes += bytes - (known === undefined ? 0 : bytesOf(known.value));
    if (known === undefined) this.#entries.set(value.key, { value, isUsed: false });
    else known.value = value;
    while (this.#bytes > this.#bytesMax) this.#turn();
  }

  /** Only where there is room: a long list passes over more than anybody reads again. */
  offer(value: KeyValue): void {
    if (!this.#entries.has(value.key) && this.#bytes + bytesOf(value) <= this.#bytesMax) this.put(value);
  }

  delete(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#bytes -= bytesOf(entry.value);
    this.#entries.delete(key);
  }

  /** One step of the hand. The iterator of a Map goes on over what is added meanwhile and skips what is deleted. */
  #turn(): void {
    const next = this.#hand.next();
    if (next.done === true) {
      this.#hand = this.#entries.entries();
      return;
    }
    const [key, entry] = next.value;
    if (entry.isUsed) entry.isUsed = false;
    else this.delete(key);
  }
}

function bytesOf({ key, value }: KeyValue): number {
  return key.length + value.byteLength + CACHED_VALUE_BYTES;
}
