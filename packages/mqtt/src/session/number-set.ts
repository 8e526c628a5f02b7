/** A set of numbers that costs next to nothing until the first comes, as in most sessions none ever does. */
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
  }

  clear(): void {
    this.#numbers?.clear();
  }

  /** May be changed while it is gone through. */
  [Symbol.iterator](): Iterator<number> {
    return (this.#numbers ?? none)[Symbol.iterator]();
  }
}

const none: readonly number[] = [];
