/** Keys in order of their UTF-16 units, for prefix lists. A store has some ten thousand; moving them costs microseconds. */
export class SortedKeys {
  readonly #keys: string[] = [];

  get size(): number {
    return this.#keys.length;
  }

  /** Keys must come in order here: how a driver fills it at start. */
  fill(keys: Iterable<string>): void {
    for (const key of keys) this.#keys.push(key);
    this.#keys.sort();
  }

  add(key: string): void {
    const at = this.#firstNotBelow(key);
    if (this.#keys[at] !== key) this.#keys.splice(at, 0, key);
  }

  delete(key: string): void {
    const at = this.#firstNotBelow(key);
    if (this.#keys[at] === key) this.#keys.splice(at, 1);
  }

  /** Keys that begin with `prefix` and are greater than `after`. */
  slice(prefix: string, after: string | undefined): readonly string[] {
    const from = this.#firstNotBelow(after === undefined || after < prefix ? prefix : `${after}\0`);
    let low = from;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#keys[middle] as string).startsWith(prefix)) low = middle + 1;
      else high = middle;
    }
    return this.#keys.slice(from, low);
  }

  #firstNotBelow(key: string): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#keys[middle] as string) < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
