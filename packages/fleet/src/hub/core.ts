import type { RuleBook } from "../rules/follow-rules.ts";
import type { Windows } from "./holds/windows.ts";
import type { Reach } from "./reach/reach.ts";
import type { Cells } from "./state/cells.ts";
import type { Shared } from "./state/shared.ts";
import type { Heard } from "./state/heard.ts";
import type { StoreRow, Stores } from "./state/stores.ts";
import type { Variants } from "./rollouts/variants.ts";
import type { HubOptions, HubPorts } from "./ports.ts";

/** What the parts of a hub have in common. */
export type Core = {
  readonly options: Required<HubOptions>;
  readonly ports: HubPorts;
  readonly signal: AbortSignal;
  readonly stores: Stores;
  readonly cells: Cells;
  readonly heard: Heard;
  readonly variants: Variants;
  readonly bundles: BundleIndex;
  /** What GitRepoRestrictions and Policies allow. */
  readonly rules: RuleBook;
  /** Whose clusters a Bundle may reach. */
  readonly reach: Reach;
  /** When stores may get something new. */
  readonly windows: Windows;
  /** What rows have in common, once. */
  readonly shared: Shared;
  /** Asks for a look at a bundle's rollout. */
  readonly lookAtBundle: (key: string, afterMs: number) => void;
  /** Asks for a write of a store's status; resolves when it is durable. */
  readonly writeStore: (row: StoreRow, options?: WriteOptions) => Promise<void>;
};

/** `isUrgent`: now. `isLazy`: the store is about to say more, and one write is enough for both. */
export type WriteOptions = { readonly isUrgent?: boolean; readonly isLazy?: boolean };

/** Bundles as dense numbers. */
export class BundleIndex {
  readonly #byKey: Map<string, number> = new Map();
  readonly #keys: (string | undefined)[] = [];

  numberOf(key: string): number {
    const known = this.#byKey.get(key);
    if (known !== undefined) return known;
    const free = this.#keys.indexOf(undefined);
    const number = free === -1 ? this.#keys.length : free;
    this.#byKey.set(key, number);
    this.#keys[number] = key;
    return number;
  }

  find(key: string): number | undefined {
    return this.#byKey.get(key);
  }

  keyOf(number: number): string {
    return this.#keys[number] ?? "";
  }

  remove(key: string): void {
    const number = this.#byKey.get(key);
    if (number === undefined) return;
    this.#byKey.delete(key);
    this.#keys[number] = undefined;
  }
}

/** The next revision of a store's desired state: greater than any that a hub gave it before, whatever hub that was. */
export function nextRevision(core: Core, row: StoreRow): number {
  row.revision = Math.max(row.revision + 1, core.ports.clock.nowMs());
  return row.revision;
}
