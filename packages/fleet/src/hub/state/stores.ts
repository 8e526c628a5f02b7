import type { Stored } from "@cortado/client";
import type { Cluster } from "@cortado/kinds/fleet";
import type { Connection } from "@cortado/std/net";
import type { ClusterFacts } from "../../compile/bundle.ts";
import type { HubLink } from "../../protocol/protocol.ts";
import type { ClusterKey } from "../ports.ts";
import { sha256Of } from "../sources/blobs.ts";

export type ClusterStatus = NonNullable<Cluster["status"]>;

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
  /** Dense, and used again when the store is gone. */
  readonly index: number;
  readonly createdMs: number;
  labels: Readonly<Record<string, string>>;
  facts: ClusterFacts;
  /** Counts up when the facts change. */
  version: number;
  isRevoked: boolean;
  isPaused: boolean;
  status: ClusterStatus;
  heardSinceMs: number;
  /** Of the desired state; grows over restarts of the hub. */
  revision: number;
  /** Bundles that were not looked at since the row began: what the store has of them is not known to be gone. */
  readonly unlooked: Set<string>;
  /** Who knows less than this is told everything. */
  fullFrom: number;
  connected: Connected | undefined;
};

/** Where the BundleDeployments of a store are shown; a name of at most 63 characters that no other store has. */
export function deploymentNamespace({ namespace, name }: ClusterKey): string {
  const sum = sha256Of(new TextEncoder().encode(`${namespace}/${name}`)).slice(0, 12);
  return `cluster-${`${namespace}-${name}`.slice(0, 41).replace(/[^a-z0-9]+$/, "")}-${sum}`;
}

export const REVOKED_ANNOTATION = "fleet.cortado.dev/revoked";

export function isRevoked(cluster: Pick<Stored<Cluster>, "metadata">): boolean {
  return cluster.metadata.annotations?.[REVOKED_ANNOTATION] === "true";
}

/** Rows of stores by key and by index. */
export class Stores {
  readonly #byKey: Map<string, StoreRow> = new Map();
  readonly #byIndex: (StoreRow | undefined)[] = [];
  readonly #listeners: Set<() => void> = new Set();

  /** Calls when a store has come or gone. */
  subscribe(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  get size(): number {
    return this.#byKey.size;
  }

  get(key: string): StoreRow | undefined {
    return this.#byKey.get(key);
  }

  at(index: number): StoreRow | undefined {
    return this.#byIndex[index];
  }

  all(): Iterable<StoreRow> {
    return this.#byKey.values();
  }

  inNamespace(namespace: string): readonly StoreRow[] {
    return [...this.#byKey.values()].filter((row) => row.cluster.namespace === namespace);
  }

  /** The number that a store had, unless another has it; then the lowest free one. */
  indexFor(wanted: number | undefined): number {
    if (wanted !== undefined && wanted >= 0 && this.#byIndex[wanted] === undefined) return wanted;
    let index = 0;
    while (this.#byIndex[index] !== undefined) index += 1;
    return index;
  }

  put(row: StoreRow): void {
    this.#byKey.set(row.key, row);
    this.#byIndex[row.index] = row;
    for (const listener of this.#listeners) listener();
  }

  remove(row: StoreRow): void {
    this.#byKey.delete(row.key);
    this.#byIndex[row.index] = undefined;
    for (const listener of this.#listeners) listener();
  }
}
