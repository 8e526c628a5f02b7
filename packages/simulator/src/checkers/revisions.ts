import type { Claims } from "./claims.ts";

/** All revisions that anybody outside a store was ever told, over all its lives. */
export class RevisionChecker {
  readonly #claims: Claims;
  readonly #store: string;
  readonly #seen = new Map<number, string>();
  #newest = 0;

  constructor(claims: Claims, store: string) {
    this.#claims = claims;
    this.#store = store;
  }

  /** The newest revision that anybody knows: what is written from now on is greater. */
  get newest(): number {
    return this.#newest;
  }

  /** An object was seen at the revision that wrote it. */
  seen(revision: number, what: string): void {
    const known = this.#seen.get(revision);
    if (known === undefined) this.#seen.set(revision, what);
    this.#claims.check(known === undefined || known === what, "once", () => ({
      store: this.#store,
      detail: `revision ${revision} is ${known}'s and ${what}'s`,
    }));
    this.#newest = Math.max(this.#newest, revision);
  }

  /** A write was acknowledged; `before` is what was the newest when it was asked for. */
  written(revision: number, what: string, before: number): void {
    this.#claims.check(revision > before, "growth", () => ({
      store: this.#store,
      detail: `${what} was written at revision ${revision}, after somebody had seen revision ${before}`,
    }));
    this.seen(revision, what);
  }
}
