import { levelsMatch } from "@cortado/wire/mqtt";

/**
 * Where a topic stands among all: levels are compared one by one, so that what is below a topic follows it at once. A topic holds
 * no NUL (MQTT-1.5.4-2), which therefore is less than all that a level can hold.
 */
export function orderKey(topic: string): string {
  return topic.replaceAll("/", "\0");
}

/** A filter as a part of the order of topics. */
export class FilterRange {
  readonly isExact: boolean;
  readonly #levels: readonly string[];
  readonly #prefix: string;

  constructor(filter: string) {
    this.#levels = filter.split("/");
    const wild = this.#levels.findIndex((level) => level === "+" || level === "#");
    this.isExact = wild < 0;
    this.#prefix = this.#levels.slice(0, wild < 0 ? undefined : wild).join("\0");
  }

  /** The least key that it may match. */
  get first(): string {
    return this.#prefix;
  }

  /** Whether nothing from this key on can match. */
  isBefore(key: string): boolean {
    return key > this.#prefix && !key.startsWith(this.#prefix);
  }

  matches(key: string): boolean {
    return key.startsWith(this.#prefix) && levelsMatch(this.#levels, key.split("\0"));
  }

  /** False when no key from `first` to `last`, both included, can match: what levels they share, all in between share. */
  mayMatchWithin(first: string, last: string): boolean {
    const lowest = first.split("\0");
    const highest = last.split("\0");
    for (const [at, level] of this.#levels.entries()) {
      const low = lowest[at];
      const high = highest[at];
      if (level === "#" || low === undefined || high === undefined) return true;
      if (low !== high) return level === "+" || (level >= low && level <= high);
      if (level !== "+" && level !== low) return false;
    }
    return true;
  }
}
