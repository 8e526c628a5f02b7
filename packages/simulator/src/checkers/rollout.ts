import type { Bundle } from "@cortado/kinds/fleet";
import type { Store } from "@cortado/store";
import type { Claims } from "./claims.ts";

type Generation = {
  /** Versions that it may be: more than one when two commits came in a row. */
  readonly versions: ReadonlySet<string>;
  readonly canaries: Set<string>;
  bounds: readonly string[];
  /** The most waves that were ever open. */
  open: number;
  /** Every store was let have it. */
  isComplete: boolean;
};

type Known = { versions: string[]; readonly generations: Map<number, Generation> };

const PREFIX = "/registry/fleet.cattle.io/bundles/fleet-default/";

/**
 * Sees each record of a rollout as it becomes durable at the hub, and holds every store to them: what a store applies was released to
 * it by a record that was on the hub's disk before. Stores are named by their keys.
 */
export class RolloutChecker {
  readonly #claims: Claims;
  readonly #bundles = new Map<string, Known>();
  /** Finds the version of a bundle in its files. */
  readonly #versionOf: (bundle: Bundle) => string;

  constructor(claims: Claims, versionOf: (bundle: Bundle) => string) {
    this.#claims = claims;
    this.#versionOf = versionOf;
  }

  /** The hub's store as it was, watched. */
  watch(store: Store): Store {
    const write: Store["write"] = async (wanted) => {
      const result = await store.write(wanted);
      if (result.written && wanted.kind === "put" && wanted.key.startsWith(PREFIX))
        this.#note(
          this.#known(wanted.key.slice(PREFIX.length)),
          JSON.parse(new TextDecoder().decode(wanted.value)) as Bundle,
        );
      return result;
    };
    return new Proxy(store, {
      get(target, name) {
        if (name === "write") return write;
        const value = Reflect.get(target, name) as unknown;
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    });
  }

  /** A store has begun to run a version. */
  applied(store: string, bundle: string, version: string): void {
    const generations = [...this.#known(bundle).generations].filter(([, one]) => one.versions.has(version));
    const mayRun = generations.some(([, one]) => isReleased(one, store));
    this.#claims.check(mayRun, "waves", () => ({
      store,
      detail: `it runs ${bundle} ${version}, of which the hub's disk says: ${generations.map(text).join("; ") || "nothing"}`,
    }));
  }

  #known(name: string): Known {
    const known = this.#bundles.get(name) ?? { versions: [], generations: new Map() };
    this.#bundles.set(name, known);
    return known;
  }

  #note(known: Known, bundle: Bundle): void {
    const version = this.#versionOf(bundle);
    if (known.versions.at(-1) !== version) known.versions.push(version);
    const rollout = bundle.status?.rollout;
    if (rollout === undefined) return;
    const { generation, base, open, drawn } = rollout;
    if (!known.generations.has(generation)) {
      const versions = new Set(known.versions);
      known.generations.set(generation, {
        versions,
        canaries: new Set(),
        bounds: [],
        open: 0,
        isComplete: false,
      });
      known.versions = [version];
    }
    const now = known.generations.get(generation) as Generation;
    if (drawn?.generation === generation) {
      now.canaries.add(drawn.canary);
      now.bounds = drawn.bounds;
    }
    now.open = Math.max(now.open, open);
    const complete = known.generations.get(base);
    if (complete !== undefined) complete.isComplete = true;
  }
}

function isReleased({ isComplete, canaries, bounds, open }: Generation, store: string): boolean {
  if (isComplete || (open > 0 && canaries.has(store))) return true;
  const at = bounds.findIndex((bound) => store <= bound);
  return 1 + (at < 0 ? bounds.length : at) < open;
}

function text([number, { open, canaries, bounds, isComplete }]: readonly [number, Generation]): string {
  const canary = [...canaries].join(" then ");
  return `generation ${number}${isComplete ? ", complete" : ""}, ${open} waves open, canary ${canary}, bounds ${bounds.join(" ")}`;
}
