/** How many parts the prints are sorted in, each in a turn of the loop of its own. */
const PARTS = 256;

/**
 * Which topics a run holds, as four bytes each: enough to know how many messages are retained, and not to look where nothing is.
 * Two topics in two thousand million share a print; whoever must be sure reads the run.
 */
export class Prints {
  readonly #sorted: Uint32Array;

  private constructor(sorted: Uint32Array) {
    this.#sorted = sorted;
  }

  /** Sorts what `printOf` made, in parts, so that a million do not hold up the loop. */
  static async of(prints: Uint32Array): Promise<Prints> {
    const starts = new Uint32Array(PARTS + 1);
    for (const print of prints) starts[(print >>> 24) + 1]! += 1;
    for (let part = 1; part <= PARTS; part += 1) starts[part]! += starts[part - 1]!;
    const sorted = new Uint32Array(prints.length);
    const next = starts.slice();
    for (const print of prints) sorted[next[print >>> 24]!++] = print;
    for (let part = 0; part < PARTS; part += 1) {
      sorted.subarray(starts[part], starts[part + 1]).sort();
      if (prints.length > 50_000) await new Promise<void>((resolve) => void setImmediate(resolve));
    }
    return new Prints(sorted);
  }

  /** Out of what `sorted` was. */
  static restored(sorted: Uint32Array): Prints {
    return new Prints(sorted);
  }

  get sorted(): Uint32Array {
    return this.#sorted;
  }

  get size(): number {
    return this.#sorted.length;
  }

  /** Whether the topic is held, held as cleared, or not in the run at all. */
  stateOf(hash: number): "kept" | "cleared" | undefined {
    const sorted = this.#sorted;
    const wanted = (hash << 1) >>> 0;
    let low = 0;
    let high = sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((sorted[middle] ?? 0) < wanted) low = middle + 1;
      else high = middle;
    }
    if (sorted[low] === wanted) return "kept";
    return sorted[low] === wanted + 1 ? "cleared" : undefined;
  }

  *hashes(): Iterable<{ readonly hash: number; readonly isCleared: boolean }> {
    for (const print of this.#sorted) yield { hash: print >>> 1, isCleared: (print & 1) === 1 };
  }
}

export function printOf(topic: string, isCleared: boolean): number {
  return ((topicHash(topic) << 1) | (isCleared ? 1 : 0)) >>> 0;
}

/** 31 bits: FNV-1a, then stirred, as its high bits alone would say little of the last characters. */
export function topicHash(topic: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < topic.length; at += 1) hash = Math.imul(hash ^ topic.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 1;
}

/** Prints in the order in which topics come. */
export class PrintList {
  #prints = new Uint32Array(1_024);
  #size = 0;

  add(print: number): void {
    if (this.#size === this.#prints.length) {
      const larger = new Uint32Array(2 * this.#size);
      larger.set(this.#prints);
      this.#prints = larger;
    }
    this.#prints[this.#size] = print;
    this.#size += 1;
  }

  sorted(): Promise<Prints> {
    return Prints.of(this.#prints.subarray(0, this.#size));
  }
}
