import type { Stored } from "@cortado/client";
import { keyOf, type Informer } from "@cortado/client/informer";
import type { Bundle, Cluster, ClusterGroup } from "@cortado/kinds/fleet";
import { selects } from "@cortado/kinds/label-selector";
import { sameTree } from "@cortado/kinds/tree";
import type { ClusterFacts } from "../../compile/bundle.ts";
import { OVERRIDES_ANNOTATION } from "../holds/holds.ts";
import type { Core } from "../core.ts";
import { STATUS_GATHER_MS } from "../limits.ts";
import { keySha256 } from "../register/keys.ts";
import type { Shared } from "./shared.ts";
import { sumOfStatus } from "../status/store-status.ts";
import { isRevoked, keptStatus, noBundles, setKey, type StoreRow } from "./stores.ts";

export type FollowPorts = {
  readonly core: Core;
  readonly clusters: Informer<Cluster>;
  readonly groups: Informer<ClusterGroup>;
  readonly bundles: Informer<Bundle>;
  /** Whether what the rows say of the last hub's time may still be true. */
  readonly wasAway: boolean;
  readonly removed: (row: StoreRow) => void;
};

/** What is kept of a Cluster beside its row: what people wrote, and what others count. Texts that the row has are the row's. */
export function keptCluster(cluster: Stored<Cluster>, shared: Shared, row?: StoreRow): Stored<Cluster> {
  const { metadata, spec, status } = cluster;
  const { managedFields: _managers, labels, annotations, namespace, ...own } = metadata;
  const { creationTimestamp: created } = own;
  const ofRow = row?.uid === own.uid ? { uid: row.uid, name: row.cluster.name } : {};
  const meta = {
    ...own,
    ...ofRow,
    ...(created === undefined ? {} : { creationTimestamp: shared.text(created) }),
  };
  const { index, summary, resourceCounts, display } = status ?? {};
  return {
    apiVersion: shared.text(cluster.apiVersion),
    kind: shared.text(cluster.kind),
    metadata: {
      ...meta,
      ...(namespace === undefined ? {} : { namespace: shared.text(namespace) }),
      ...(labels === undefined ? {} : { labels: shared.tree(labels) }),
      ...(annotations === undefined ? {} : { annotations: shared.tree(annotations) }),
    },
    ...(spec === undefined ? {} : { spec }),
    ...(status === undefined
      ? {}
      : {
          status: {
            ...(index === undefined ? {} : { index }),
            ...(summary === undefined ? {} : { summary: shared.tree(summary) }),
            ...(resourceCounts === undefined ? {} : { resourceCounts: shared.tree(resourceCounts) }),
            ...(display === undefined ? {} : { display: shared.tree(display) }),
          },
        }),
  };
}

/** A Cluster before the rows begin: ten thousand whole ones would be most of a start's memory. */
type Early = { readonly cluster: Stored<Cluster>; readonly writtenSum: number };

function earlyOf(cluster: Stored<Cluster>, shared: Shared): Early {
  const { publicKey, index, agent } = cluster.status ?? {};
  const kept = keptCluster(cluster, shared);
  const status = {
    ...keptStatus(cluster.status ?? {}, shared),
    ...(publicKey === undefined ? {} : { publicKey }),
    ...(index === undefined ? {} : { index }),
    ...(agent === undefined ? {} : { agent }),
  };
  return { cluster: { ...kept, status }, writtenSum: sumOfWritten(cluster) };
}

function sumOfWritten({ status }: Stored<Cluster>): number {
  return status?.index === undefined ? 0 : sumOfStatus(status);
}

/** Keeps a row for each Cluster, with what targets see of it. */
export class StoreFollower {
  readonly #ports: FollowPorts;
  /** As they came, until everything else is there: the cache keeps less of them than a row begins with. */
  #early: Map<string, Early | undefined> | undefined = new Map();

  #unlooked: ReadonlySet<string> = noBundles;

  constructor(ports: FollowPorts) {
    this.#ports = ports;
    ports.clusters.subscribe(({ key, now }) => {
      if (this.#early === undefined) this.#follow(key, now);
      else this.#early.set(key, now === undefined ? undefined : earlyOf(now, ports.core.shared));
    });
  }

  /** Bundles and groups are known: makes the rows. */
  begin(): void {
    const ports = this.#ports;
    const early = [...(this.#early ?? [])];
    this.#early = undefined;
    // Who has a number keeps it: those that have none yet come after.
    const isNumbered = (one: Early | undefined): boolean => one?.cluster.status?.index !== undefined;
    for (const isFirst of [true, false])
      for (const [key, one] of early)
        if (isNumbered(one) === isFirst) this.#follow(key, one?.cluster, one?.writtenSum);
    ports.groups.subscribe(({ old, now }) => {
      // Only what targets see: our own counts are no reason to look at every store.
      if (sameTree([old?.spec, old?.metadata.labels], [now?.spec, now?.metadata.labels])) return;
      const namespace = (now ?? old)?.metadata.namespace ?? "";
      for (const row of ports.core.stores.inNamespace(namespace))
        this.#follow(row.key, ports.clusters.get(row.key));
    });
  }

  #follow(key: string, cluster: Stored<Cluster> | undefined, writtenSum?: number): void {
    const { stores } = this.#ports.core;
    const row = stores.get(key);
    const isGone = cluster === undefined || cluster.metadata.deletionTimestamp !== undefined;
    if (row !== undefined && (isGone || row.uid !== cluster.metadata.uid)) this.#remove(row);
    if (isGone) return;
    const known = stores.get(key);
    if (known === undefined) this.#add(key, cluster, writtenSum ?? sumOfWritten(cluster));
    else this.#change(known, cluster);
  }

  #add(key: string, cluster: Stored<Cluster>, writtenSum: number): void {
    const { core, wasAway } = this.#ports;
    const { clock } = core.ports;
    const { namespace = "", name } = cluster.metadata;
    const status = cluster.status ?? {};
    const facts = this.#factsOf(cluster);
    const index = core.stores.indexFor(status.index);
    const nowMs = clock.nowMs();
    const { publicKey = "" } = status;
    const row: StoreRow = {
      key,
      cluster: { namespace: facts.namespace, name },
      uid: cluster.metadata.uid,
      clientId: cluster.spec?.clientID ?? "",
      index,
      createdMs: Date.parse(cluster.metadata.creationTimestamp ?? "") || 0,
      labels: facts.labels,
      facts,
      version: 1,
      isRevoked: isRevoked(cluster),
      isPaused: cluster.spec?.paused === true,
      keySha256: keySha256(publicKey),
      status: keptStatus(status, core.shared),
      writtenSum,
      writtenMs: status.index === undefined ? Number.NEGATIVE_INFINITY : clock.monotonicMs(),
      heardSinceMs: nowMs,
      revision: nowMs,
      fullFrom: nowMs,
      unlooked: this.#unlookedOf(namespace),
      connected: undefined,
      knows: undefined,
      values: undefined,
    };
    core.stores.put(row);
    const wasOffline = status.conditions?.find((one) => one.type === "Offline")?.status !== "False";
    const isBelieved = !wasAway && !wasOffline;
    const lastMs = Date.parse(status.agent?.lastSeen ?? "") || 0;
    core.heard.add(index, { lastMs, dueMs: isBelieved ? nowMs + core.options.offlineAfterMs : 0 });
    void core.writeStore(row).catch(() => undefined);
    core.windows.look(namespace);
    this.#lookAtBundles(namespace);
  }

  #change(row: StoreRow, cluster: Stored<Cluster>): void {
    const publicKey = cluster.status?.publicKey;
    if (publicKey !== undefined) setKey(row, publicKey);
    row.isRevoked = isRevoked(cluster);
    if (row.isRevoked)
      void row.connected?.refuse("Forbidden", `cluster ${row.key} was revoked; ask who runs the hub`);
    const isPaused = cluster.spec?.paused === true;
    const overrides = cluster.metadata.annotations?.[OVERRIDES_ANNOTATION];
    if (isPaused !== row.isPaused || overrides !== row.facts.annotations[OVERRIDES_ANNOTATION]) {
      row.isPaused = isPaused;
      row.facts = { ...row.facts, annotations: cluster.metadata.annotations ?? {} };
      tellAll(this.#ports.core, row);
      this.#lookAtBundles(row.cluster.namespace);
    }
    const facts = this.#factsOf(cluster);
    if (sameTree(facts, row.facts)) return;
    row.facts = facts;
    row.labels = facts.labels;
    row.version += 1;
    this.#ports.core.windows.look(row.cluster.namespace);
    this.#lookAtBundles(row.cluster.namespace);
  }

  #remove(row: StoreRow): void {
    const { core, removed } = this.#ports;
    void row.connected?.refuse("Forbidden", `cluster ${row.key} was deleted; register the store again`);
    for (const cell of [...core.cells.ofCluster(row.index)]) core.cells.remove(cell);
    core.stores.remove(row);
    removed(row);
    this.#lookAtBundles(row.cluster.namespace);
  }

  #lookAtBundles(namespace: string): void {
    for (const key of this.#bundlesOf(namespace)) this.#ports.core.lookAtBundle(key, STATUS_GATHER_MS);
  }

  #bundlesOf(namespace: string): readonly string[] {
    return [...this.#ports.bundles.list()]
      .filter((bundle) => this.#ports.core.reach.of(bundle).includes(namespace))
      .map((bundle) => keyOf(bundle));
  }

  /** The same set for all stores that begin with the same bundles. */
  #unlookedOf(namespace: string): ReadonlySet<string> {
    const keys = this.#bundlesOf(namespace);
    if (keys.length === 0) return noBundles;
    const isSame = this.#unlooked.size === keys.length && keys.every((key) => this.#unlooked.has(key));
    if (!isSame) this.#unlooked = new Set(keys);
    return this.#unlooked;
  }

  #factsOf(cluster: Stored<Cluster>): ClusterFacts {
    const { shared } = this.#ports.core;
    const { namespace = "", name, labels = {}, annotations = {} } = cluster.metadata;
    const groups = [...this.#ports.groups.list()]
      .filter((one) => one.metadata.namespace === namespace && selects(one.spec?.selector, labels))
      .map((one) => ({ name: one.metadata.name, labels: one.metadata.labels ?? {} }))
      .toSorted((one, other) => (one.name < other.name ? -1 : 1));
    return {
      namespace: shared.text(namespace),
      name,
      labels: shared.tree(labels),
      annotations: shared.tree(annotations),
      templateValues: shared.tree(cluster.spec?.templateValues ?? {}),
      groups: shared.tree(groups),
    };
  }
}

/** A store that is told everything again, as something holds it back that did not, or no longer. */
export function tellAll(core: Core, row: StoreRow): void {
  row.revision = Math.max(row.revision + 1, core.ports.clock.nowMs());
  row.fullFrom = row.revision;
  row.connected?.tellDesired();
}
