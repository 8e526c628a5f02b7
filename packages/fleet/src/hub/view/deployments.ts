import type { Informer } from "@cortado/client/informer";
import { clusters, type Bundle, type Cluster } from "@cortado/kinds/fleet";
import { sameTree, treeAt, type Tree } from "@cortado/kinds/tree";
import { toTime } from "@cortado/std/clock";
import { uuidFrom } from "@cortado/std/random";
import { StatusError } from "@cortado/std/status";
import type { Core } from "../core.ts";
import { OVERRIDES_ANNOTATION, readOverrides } from "../holds/holds.ts";
import type { View, ViewChange, ViewItem, ViewPage } from "../ports.ts";
import { sha256Of } from "../sources/blobs.ts";
import { deploymentNamespace, type StoreRow } from "../state/stores.ts";

export type DeploymentPorts = {
  readonly core: Core;
  readonly clusters: Informer<Cluster>;
  readonly bundles: Informer<Bundle>;
};

type Shown = { readonly sum: string; readonly revision: number; readonly item: () => ViewItem };

/**
 * BundleDeployments as objects: one for each bundle of each store, computed of the Cluster's row and the Bundle. They change when
 * the row does, and have its resourceVersion.
 */
export class Deployments implements View {
  readonly group = "fleet.cattle.io";
  readonly plural = "bundledeployments";
  readonly instead = "change the Bundle or its GitRepo, or the labels of the Cluster";
  readonly #listeners: Set<(change: ViewChange) => void> = new Set();
  /** By key of the store, then of the object. */
  readonly #shown: Map<string, Map<string, Shown>> = new Map();
  readonly #storeOf: Map<string, string> = new Map();
  #ports: DeploymentPorts | undefined;

  /** Begins to show what a hub has. */
  attach(ports: DeploymentPorts): void {
    this.#ports = ports;
    ports.clusters.subscribe(({ key, now }) => this.#look(key, Number(now?.metadata.resourceVersion ?? 0)));
  }

  get(key: string): ViewItem | undefined {
    const store = this.#storeOf.get(key.slice(0, key.indexOf("/"))) ?? "";
    return this.#shown.get(store)?.get(key)?.item();
  }

  list({ prefix, after = "", limit }: Parameters<View["list"]>[0]): ViewPage {
    const keys = [...this.#shown.values()]
      .flatMap((shown) => [...shown.keys()])
      .filter((key) => key.startsWith(prefix) && key > after)
      .toSorted();
    const page = keys.slice(0, limit ?? keys.length);
    return { items: page.flatMap((key) => this.get(key) ?? []), remaining: keys.length - page.length };
  }

  /** Whether a store does anything about a bundle is for people to say; everything else is computed. */
  async put({ key, object, current }: Parameters<View["put"]>[0]): Promise<number> {
    const row = this.#ports?.core.stores.get(this.#storeOf.get(key.slice(0, key.indexOf("/"))) ?? "");
    if (row === undefined || this.#ports === undefined)
      throw new StatusError("NotFound", `BundleDeployment ${key} is no longer there`);
    const other = changedField(object, current);
    if (other !== undefined)
      throw new StatusError(
        "Forbidden",
        `${other} of BundleDeployment ${key} is computed and cannot be changed: ${this.instead}; only spec.paused is kept`,
      );
    const name = key.slice(key.indexOf("/") + 1);
    const { [name]: _before, ...others } = readOverrides(row.facts.annotations);
    const isPaused = treeAt(object, "spec")["paused"] === true;
    const overrides = isPaused ? { ...others, [name]: { paused: true } } : others;
    const isNone = Object.keys(overrides).length === 0;
    const annotations = { [OVERRIDES_ANNOTATION]: isNone ? null : JSON.stringify(overrides) };
    const { client } = this.#ports.core.ports;
    const { signal } = this.#ports.core;
    const written = await client.patch(clusters, {
      ...row.cluster,
      type: "merge",
      fieldManager: "cortado-hub",
      body: { metadata: { annotations } },
      signal,
    });
    await this.#ports.clusters.seen(written.metadata.resourceVersion);
    return Number(written.metadata.resourceVersion);
  }

  changes(listener: (change: ViewChange) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  #tell(change: ViewChange): void {
    for (const listener of this.#listeners) listener(change);
  }

  #look(storeKey: string, revision: number): void {
    const before = this.#shown.get(storeKey) ?? new Map<string, Shown>();
    const now = new Map<string, Shown>();
    const changes: ViewChange[] = [];
    for (const [key, object] of this.#objects(storeKey)) {
      const sum = sha256Of(new TextEncoder().encode(JSON.stringify(object)));
      const old = before.get(key);
      if (old?.sum === sum) now.set(key, old);
      else {
        now.set(key, { sum, revision, item: () => ({ key, object, revision }) });
        changes.push({ kind: old === undefined ? "added" : "changed", key });
      }
    }
    for (const [key, { item }] of before)
      if (!now.has(key)) changes.push({ kind: "gone", key, item: item() });
    if (now.size === 0) this.#shown.delete(storeKey);
    else this.#shown.set(storeKey, now);
    for (const change of changes) this.#tell(change);
  }

  *#objects(storeKey: string): Iterable<readonly [string, Tree]> {
    const row = this.#ports?.core.stores.get(storeKey);
    if (row === undefined || this.#ports === undefined) return;
    const { core, bundles } = this.#ports;
    const namespace = deploymentNamespace(row.cluster);
    this.#storeOf.set(namespace, storeKey);
    for (const cell of core.cells.ofCluster(row.index)) {
      const bundle = bundles.get(core.bundles.keyOf(core.cells.read(cell).bundle));
      if (bundle === undefined) continue;
      yield [
        `${namespace}/${bundle.metadata.name}`,
        objectOf(core, { row, bundle, cell, namespace }),
      ] as const;
    }
  }
}

function objectOf(
  { cells, variants, windows }: Core,
  of: { readonly row: StoreRow; readonly bundle: Bundle; readonly cell: number; readonly namespace: string },
): Tree {
  const { row, bundle, cell, namespace } = of;
  const { name = "", uid = "", labels = {} } = bundle.metadata;
  const { released, wanted, state, message } = cells.read(cell);
  const [allowed, newest] = [variants.get(released), variants.get(wanted)];
  const report = row.status.reports?.find((one) => one.bundle === name);
  const { desired, ...counts } = cells.countsOf(cell);
  const isReady = state === "Ready";
  const isDeployed = allowed !== undefined && report?.applied === allowed.deploymentId;
  return {
    apiVersion: "fleet.cattle.io/v1alpha1",
    kind: "BundleDeployment",
    metadata: {
      name,
      namespace,
      uid: uuidFrom(
        Buffer.from(sha256Of(new TextEncoder().encode(`${row.uid}/${uid}`)), "hex").subarray(0, 16),
      ),
      creationTimestamp: toTime(row.createdMs),
      labels: {
        ...labels,
        "fleet.cattle.io/bundle-name": name,
        "fleet.cattle.io/bundle-namespace": bundle.metadata.namespace ?? "",
        "fleet.cattle.io/cluster": row.cluster.name,
        "fleet.cattle.io/cluster-namespace": row.cluster.namespace,
        "fleet.cattle.io/managed": "true",
      },
    },
    spec: {
      deploymentID: allowed?.deploymentId ?? "",
      stagedDeploymentID: newest?.deploymentId ?? "",
      options: { ...allowed?.options },
      stagedOptions: { ...newest?.options },
      paused:
        bundle.spec?.paused === true ||
        row.isPaused ||
        readOverrides(row.facts.annotations)[name]?.paused === true,
      offSchedule: windows.of(row.key).isClosed,
    },
    status: {
      appliedDeploymentID: report?.applied ?? "",
      ready: isReady,
      nonModified: state !== "Modified",
      nonReadyStatus: report?.resources ?? [],
      resourceCounts: { ...counts, desiredReady: desired },
      display: { deployed: isDeployed ? "True" : state, monitored: isReady ? "True" : message, state },
      conditions: [
        { type: "Ready", status: isReady ? "True" : "False", message },
        { type: "Deployed", status: isDeployed ? "True" : "False", message: isDeployed ? "" : message },
      ],
    },
  };
}

/** The first field that is another; undefined: none but `spec.paused`. */
function changedField(object: Tree, current: Tree): string | undefined {
  for (const field of ["labels", "annotations", "finalizers", "ownerReferences"])
    if (!isSame(treeAt(object, "metadata")[field], treeAt(current, "metadata")[field]))
      return `metadata.${field}`;
  const [wanted, now] = [treeAt(object, "spec"), treeAt(current, "spec")];
  for (const field of new Set([...Object.keys(wanted), ...Object.keys(now)]))
    if (field !== "paused" && !isSame(wanted[field], now[field])) return `spec.${field}`;
  return isSame(object["status"], current["status"]) ? undefined : "status";
}

function isSame(one: unknown, other: unknown): boolean {
  return sameTree(JSON.parse(JSON.stringify(one ?? {})), JSON.parse(JSON.stringify(other ?? {})));
}
