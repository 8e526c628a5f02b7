/** A set of numbers that costs next to nothing while it is empty, as most sets of most sessions are. */
export class NumberSet {
  #numbers: Set<number> | undefined;

  has(number: number): boolean {
    return this.#numbers?.has(number) === true;
  }

  add(number: number): void {
    (this.#numbers ??= new Set()).add(number);
  }

  delete(number: number): void {
    this.#numbers?.delete(number);
    if (this.#numbers?.size === 0) this.#numbers = undefined;
  }

  clear(): void {
    this.#numbers = undefined;
  }

  /** May be changed while it is gone through. */
  [Symbol.iterator](): Iterator<number> {
    return (this.#numbers ?? none)[Symbol.iterator]();
  }
}

const none: readonly number[] = [];
