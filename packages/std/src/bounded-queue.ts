import { assert } from "./assert.ts";

/** What a full queue does: refuses the new item, forgets the oldest, or lets the producer wait. */
export type WhenFull = "refuse" | "drop-oldest" | "block";

export type BoundedQueueOptions = { readonly itemsMax: number; readonly whenFull: WhenFull };

/** First in, first out, never longer than `itemsMax`. One consumer takes; many producers put. */
export class BoundedQueue<Item> {
  readonly #options: BoundedQueueOptions;
  readonly #items: Item[] = [];
  readonly #takers: ((item: Item | undefined) => void)[] = [];
  readonly #producers: (() => void)[] = [];
  #dropped = 0;
  #closed = false;

  constructor(options: BoundedQueueOptions) {
    assert(options.itemsMax > 0, "a queue holds at least one item");
    this.#options = options;
  }

  get size(): number {
    return this.#items.length;
  }

  /** Items forgotten under "drop-oldest". */
  get dropped(): number {
    return this.#dropped;
  }

  /** Puts without waiting. Answers false when the queue is full ("refuse", "block") or closed. */
  offer(item: Item): boolean {
    if (this.#closed) return false;
    const taker = this.#takers.shift();
    if (taker !== undefined) {
      taker(item);
      return true;
    }
    if (this.#items.length >= this.#options.itemsMax) {
      if (this.#options.whenFull !== "drop-oldest") return false;
      this.#items.shift();
      this.#dropped += 1;
    }
    this.#items.push(item);
    return true;
  }

  /** Puts, and under "block" waits for room. Answers false when refused, closed or aborted. */
  async put(item: Item, options: { readonly signal: AbortSignal }): Promise<boolean> {
    while (!this.offer(item)) {
      if (this.#closed || options.signal.aborted || this.#options.whenFull !== "block") return false;
      await this.#room(options.signal);
    }
    return true;
  }

  /** The next item; undefined when the queue is closed and empty, or the signal aborted. */
  async take(options: { readonly signal: AbortSignal }): Promise<Item | undefined> {
    if (this.#items.length > 0) {
      const item = this.#items.shift() as Item;
      this.#producers.shift()?.();
      return item;
    }
    if (this.#closed || options.signal.aborted) return undefined;
    return new Promise((resolve) => {
      const settle = (item: Item | undefined): void => {
        options.signal.removeEventListener("abort", stop);
        resolve(item);
      };
      const stop = (): void => {
        const at = this.#takers.indexOf(settle);
        if (at >= 0) this.#takers.splice(at, 1);
        resolve(undefined);
      };
      this.#takers.push(settle);
      options.signal.addEventListener("abort", stop, { once: true });
    });
  }

  /** No more puts; what is queued may still be taken. */
  close(): void {
    this.#closed = true;
    for (const taker of this.#takers.splice(0)) taker(undefined);
    for (const producer of this.#producers.splice(0)) producer();
  }

  #room(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const go = (): void => {
        signal.removeEventListener("abort", go);
        const at = this.#producers.indexOf(go);
        if (at >= 0) this.#producers.splice(at, 1);
        resolve();
      };
      this.#producers.push(go);
      signal.addEventListener("abort", go, { once: true });
    });
  }
}
