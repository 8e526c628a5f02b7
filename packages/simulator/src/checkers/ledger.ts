import type { Claims } from "./claims.ts";

/** Undefined: the object is not there. */
export type State = string | undefined;

/**
 * What each object may be, as its only writer knows: one state after an acknowledged write, two after one whose answer never came
 * (it was done, or it was not).
 */
export class Ledger {
  readonly #claims: Claims;
  readonly #store: string;
  readonly #states = new Map<string, readonly State[]>();

  constructor(claims: Claims, store: string) {
    this.#claims = claims;
    this.#store = store;
  }

  get names(): readonly string[] {
    return [...this.#states.keys()];
  }

  mayBe(name: string): readonly State[] {
    return this.#states.get(name) ?? [undefined];
  }

  /** The write was acknowledged. */
  is(name: string, state: State): void {
    this.#states.set(name, [state]);
  }

  /** Nobody knows whether the write was done. */
  mayHaveBecome(name: string, state: State): void {
    const before = this.mayBe(name);
    if (!before.includes(state)) this.#states.set(name, [...before, state]);
  }

  /** Somebody looked. */
  looked(name: string, found: State): void {
    const states = this.mayBe(name);
    this.#claims.check(states.includes(found), "writes", () => ({
      store: this.#store,
      detail: `${name} is ${found ?? "not there"}, and was acknowledged as ${states.map((state) => state ?? "not there").join(" or ")}`,
    }));
    this.#states.set(name, [found]);
  }
}
