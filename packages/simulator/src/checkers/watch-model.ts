import type { Claims } from "./claims.ts";

export type Told = {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly name: string;
  readonly revision: number;
};

/** What a watcher believes the objects of a kind to be, from one list and what the watch told since. */
export class WatchModel {
  readonly #claims: Claims;
  readonly #store: string;
  readonly #kind: string;
  #objects = new Map<string, number>();
  /** Told since the last comparison, to be able to say what was there at an earlier revision. */
  #since: Told[] = [];
  #base = new Map<string, number>();
  #last = 0;

  constructor(claims: Claims, { store, kind }: { readonly store: string; readonly kind: string }) {
    this.#claims = claims;
    this.#store = store;
    this.#kind = kind;
  }

  /** Where a watch goes on. */
  get last(): number {
    return this.#last;
  }

  /** Begins anew from a list. */
  listed(revision: number, objects: ReadonlyMap<string, number>): void {
    this.#objects = new Map(objects);
    this.#base = new Map(objects);
    this.#since = [];
    this.#last = revision;
  }

  told(told: Told): void {
    const { type, name, revision } = told;
    const here = this.#objects.has(name);
    this.#check(
      revision > this.#last,
      `${type} ${name} at revision ${revision} was told after revision ${this.#last}`,
    );
    this.#check(
      here === (type !== "ADDED"),
      `${type} ${name} at revision ${revision} was told, and it was ${here ? "there" : "not there"}`,
    );
    this.#last = revision;
    this.#since.push(told);
    apply(this.#objects, told);
  }

  bookmark(revision: number): void {
    this.#check(
      revision >= this.#last,
      `a bookmark of revision ${revision} was told after revision ${this.#last}`,
    );
    this.#last = Math.max(this.#last, revision);
  }

  /** A list showed this some time ago: all of it must have been told by now. */
  compare(revision: number, objects: ReadonlyMap<string, number>): void {
    for (const told of this.#since) if (told.revision <= revision) apply(this.#base, told);
    this.#since = this.#since.filter((told) => told.revision > revision);
    for (const [name, at] of objects)
      this.#check(
        this.#base.get(name) === at,
        `${name} was written at ${at}, and the watch had told ${this.#base.get(name) ?? "nothing"} of it`,
      );
    for (const name of this.#base.keys())
      this.#check(objects.has(name), `the watch never told that ${name} went`);
  }

  #check(holds: boolean, detail: string): void {
    this.#claims.check(holds, "watches", () => ({ store: this.#store, detail: `${this.#kind}: ${detail}` }));
  }
}

function apply(objects: Map<string, number>, { type, name, revision }: Told): void {
  if (type === "DELETED") objects.delete(name);
  else objects.set(name, revision);
}
