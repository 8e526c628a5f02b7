import type { Stored } from "@cortado/client";
import type { Cluster } from "@cortado/kinds/fleet";
import type { Connection } from "@cortado/std/net";
import type { ClusterFacts } from "../../compile/bundle.ts";
import type { HubLink, Knowledge } from "../../protocol/protocol.ts";
import type { ClusterKey } from "../ports.ts";
import { sha256Of } from "../sources/blobs.ts";
import { keySha256 } from "../register/keys.ts";
import type { Shared } from "./shared.ts";
import type { ToldValues } from "./told-values.ts";

export type ClusterStatus = NonNullable<Cluster["status"]>;
/** `agent` is without `lastSeen`. */
export type KeptStatus = Pick<
  ClusterStatus,
  "conditions" | "agent" | "session" | "reports" | "agentDeployedGeneration"
>;

/** What the hub does with a connection besides answering it. */
export type Connected = {
  readonly link: HubLink;
  /** A stream into the store's API. @throws StatusError "TooManyRequests" or "ServiceUnavailable" */
  openStream(): Connection;
  /** Tells what changed since the last time; calls of one moment are one message. */
  tellDesired(): void;
  /** Ends it and says why. */
  refuse(reason: string, message: string): Promise<void>;
};

/** A store as the hub holds it; what must survive is in `status`, which the hub alone writes. */
export type StoreRow = {
  readonly key: string;
  readonly cluster: ClusterKey;
  readonly uid: string;
  /** What the store registered as; empty: it never did. */
  readonly clientId: string;
  /** Dense, and used again when the store is gone. */
  readonly index: number;
  readonly createdMs: number;
  labels: Readonly<Record<string, string>>;
  facts: ClusterFacts;
  /** Counts up when the facts change. */
  version: number;
  isRevoked: boolean;
  isPaused: boolean;
  /** SHA-256 of the store's public key (SPKI, DER), hex; empty: it never registered. */
  keySha256: string;
  /** What the next status is made of; what is made anew each time is not kept. */
  status: KeptStatus;
  /** Of the status as it was written last, also by the hub before this; 0: never. */
  writtenSum: number;
  writtenMs: number;
  heardSinceMs: number;
  /** Of the desired state; grows over restarts of the hub. */
  revision: number;
  /** Bundles that were not looked at since the row began: what the store has of them is not known to be gone. */
  unlooked: ReadonlySet<string>;
  /** Who knows less than this is told everything. */
  fullFrom: number;
  /** Set by `Stores.setConnected`, which counts. */
  readonly connected: Connected | undefined;
  /** What its agent understands; undefined: it has not come to this hub since it was started. */
  knows: readonly Knowledge[] | undefined;
  /** What it told of its own ConfigMaps and Secrets; undefined: nothing. */
  values: ToldValues | undefined;
};

/** The key that a store proves itself with from now on. */
export function setKey(row: StoreRow, publicKey: string): void {
  const sum = keySha256(publicKey);
  if (sum !== row.keySha256) row.keySha256 = sum;
}

/** Notes that a bundle was looked at; answers whether it was the last. */
export function lookedAt(row: StoreRow, bundle: string): boolean {
  if (!row.unlooked.has(bundle)) return false;
  row.unlooked = without(row.unlooked, bundle);
  return row.unlooked.size === 0;
}

/** All stores begin with the same bundles and lose them in the same order: each set is made once. */
const smaller: WeakMap<ReadonlySet<string>, Map<string, ReadonlySet<string>>> = new WeakMap();

function without(bundles: ReadonlySet<string>, bundle: string): ReadonlySet<string> {
  if (bundles.size === 1) return noBundles;
  const known = smaller.get(bundles) ?? new Map<string, ReadonlySet<string>>();
  smaller.set(bundles, known);
  const left = known.get(bundle) ?? new Set([...bundles].filter((one) => one !== bundle));
  known.set(bundle, left);
  return left;
}

/** What a status is made of, with what all stores have in common held once. */
export function keptStatus(
  { conditions, agent, session, reports, agentDeployedGeneration }: ClusterStatus,
  shared: Shared,
): KeptStatus {
  return {
    ...(conditions === undefined ? {} : { conditions: shared.list(conditions) }),
    ...(agent === undefined ? {} : { agent: shared.tree(withoutTime(agent)) }),
    ...(session === undefined ? {} : { session: { ...session } }),
    ...(agentDeployedGeneration === undefined ? {} : { agentDeployedGeneration }),
    // Most stores have what most others have.
    ...(reports === undefined ? {} : { reports: shared.tree(reports) }),
  };
}

/** When a store was heard is known elsewhere, and is another for each. */
function withoutTime({ lastSeen: _lastSeen, ...agent }: NonNullable<ClusterStatus["agent"]>): object {
  return agent;
}

/** Where the BundleDeployments of a store are shown; a name of at most 63 characters that no other store has. */
export function deploymentNamespace({ namespace, name }: ClusterKey): string {
  const sum = sha256Of(`${namespace}/${name}`).slice(0, 12);
  return `cluster-${`${namespace}-${name}`.slice(0, 41).replace(/[^a-z0-9]+$/, "")}-${sum}`;
}

/** For rows that wait for nothing: they share it. */
export const noBundles: ReadonlySet<string> = new Set();

export const REVOKED_ANNOTATION = "fleet.cortado.dev/revoked";

export function isRevoked(cluster: Pick<Stored<Cluster>, "metadata">): boolean {
  return cluster.metadata.annotations?.[REVOKED_ANNOTATION] === "true";
}

/** Rows of stores by key and by index. */
export class Stores {
  readonly #byKey: Map<string, StoreRow> = new Map();
  readonly #byIndex: (StoreRow | undefined)[] = [];
  readonly #inOrder: Map<string, readonly StoreRow[]> = new Map();
  /** Counted as they come and go: a hub asks at each hello. */
  #connectedCount = 0;
  /** No free index is lower. */
  #lowest = 0;
  readonly #listeners: Set<() => void> = new Set();

  /** Calls when a store has come or gone. */
  subscribe(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  get size(): number {
    return this.#byKey.size;
  }

  get connectedCount(): number {
    return this.#connectedCount;
  }

  setConnected(row: StoreRow, connected: Connected | undefined): void {
    this.#connectedCount += Number(connected !== undefined) - Number(row.connected !== undefined);
    (row as { connected: Connected | undefined }).connected = connected;
  }

  get(key: string): StoreRow | undefined {
    return this.#byKey.get(key);
  }

  at(index: number): StoreRow | undefined {
    return this.#byIndex[index];
  }

  /** The store of a namespace that registered under this id. */
  ofClient(namespace: string, clientId: string): StoreRow | undefined {
    for (const row of this.#byKey.values())
      if (row.clientId === clientId && row.cluster.namespace === namespace) return row;
    return undefined;
  }

  all(): Iterable<StoreRow> {
    return this.#byKey.values();
  }

  /** By key, as rollouts want them; the list is made anew only when a store came or went. */
  inNamespace(namespace: string): readonly StoreRow[] {
    const known = this.#inOrder.get(namespace);
    if (known !== undefined) return known;
    const rows = [...this.#byKey.values()].filter((row) => row.cluster.namespace === namespace);
    rows.sort((one, other) => (one.key < other.key ? -1 : 1));
    this.#inOrder.set(namespace, rows);
    return rows;
  }

  /** The number that a store had, unless another has it; then the lowest free one. */
  indexFor(wanted: number | undefined): number {
    if (wanted !== undefined && wanted >= 0 && this.#byIndex[wanted] === undefined) return wanted;
    while (this.#byIndex[this.#lowest] !== undefined) this.#lowest += 1;
    return this.#lowest;
  }

  put(row: StoreRow): void {
    this.#byKey.set(row.key, row);
    this.#inOrder.delete(row.cluster.namespace);
    this.#byIndex[row.index] = row;
    for (const listener of this.#listeners) listener();
  }

  remove(row: StoreRow): void {
    this.#byKey.delete(row.key);
    this.#inOrder.delete(row.cluster.namespace);
    this.#byIndex[row.index] = undefined;
    this.#lowest = Math.min(this.#lowest, row.index);
    for (const listener of this.#listeners) listener();
  }
}
