import type { Claims } from "./claims.ts";

/** Numbers that one publisher sends with QoS 1 to one subscriber whose session is kept. */
export class MessageChecker {
  readonly #claims: Claims;
  readonly #store: string;
  readonly #acknowledged = new Set<number>();
  readonly #received = new Set<number>();
  #newest = -1;

  constructor(claims: Claims, store: string) {
    this.#claims = claims;
    this.#store = store;
  }

  acknowledged(number: number): void {
    this.#acknowledged.add(number);
  }

  /** True when it came for the first time. */
  received(number: number): boolean {
    if (this.#received.has(number)) return false;
    this.#received.add(number);
    this.#claims.check(number > this.#newest, "messages", () => ({
      store: this.#store,
      detail: `message ${number} came for the first time after ${this.#newest}`,
    }));
    this.#newest = Math.max(this.#newest, number);
    return true;
  }

  get missing(): readonly number[] {
    return [...this.#acknowledged].filter((number) => !this.#received.has(number));
  }

  atRest(): void {
    const { missing } = this;
    this.#claims.check(missing.length === 0, "messages", () => ({
      store: this.#store,
      detail: `${missing.length} of ${this.#acknowledged.size} acknowledged messages never came: ${missing.slice(0, 5).join(", ")}`,
    }));
  }
}
