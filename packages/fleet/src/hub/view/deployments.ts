import { splitKey, type Informer } from "@cortado/client/informer";
import type { Bundle, Cluster } from "@cortado/kinds/fleet";
import type { Tree } from "@cortado/kinds/tree";
import { toTime } from "@cortado/std/clock";
import { uuidFrom } from "@cortado/std/random";
import { StatusError } from "@cortado/std/status";
import type { Core } from "../core.ts";
import type { ClusterKey, View, ViewChange, ViewItem, ViewPage } from "../ports.ts";
import { sha256Of } from "../sources/blobs.ts";
import { shortId } from "../link/reports.ts";
import { shortSum } from "../state/short-sum.ts";
import { deploymentNamespace, type StoreRow } from "../state/stores.ts";

export type DeploymentPorts = {
  readonly core: Core;
  readonly clusters: Informer<Cluster>;
  readonly bundles: Informer<Bundle>;
};

/**
 * What was told of a store's objects: a sum of each and the revision of its last change. The objects themselves are computed when
 * somebody reads them; a million of them are not held.
 */
type Shown = { readonly names: readonly string[]; readonly sums: readonly number[]; revisions: number[] };

/**
 * BundleDeployments as objects: one for each bundle of each store, computed of the Cluster's row and the Bundle. They change when
 * the row does, and have its resourceVersion.
 */
export class Deployments implements View {
  readonly group = "fleet.cattle.io";
  readonly plural = "bundledeployments";
  readonly instead = "change the Bundle or its GitRepo, or the labels of the Cluster";
  readonly #listeners: Set<(change: ViewChange) => void> = new Set();
  /** By namespace of the objects, which is one for each store. */
  readonly #shown: Map<string, Shown & { readonly store: string }> = new Map();
  readonly #labels: WeakMap<object, string> = new WeakMap();
  #ports: DeploymentPorts | undefined;

  /** Begins to show what a hub has. */
  attach(ports: DeploymentPorts): void {
    this.#ports = ports;
    ports.clusters.subscribe(({ key, now }) => this.#look(key, Number(now?.metadata.resourceVersion ?? 0)));
  }

  get(key: string): ViewItem | undefined {
    const { namespace, name } = splitKey(key);
    const shown = this.#shown.get(namespace);
    const at = shown?.names.indexOf(name) ?? -1;
    if (shown === undefined || at === -1) return undefined;
    const object = this.#objectOf(shown.store, name);
    return object === undefined ? undefined : { key, object, revision: shown.revisions[at] as number };
  }

  list({ prefix, after = "", limit }: Parameters<View["list"]>[0]): ViewPage {
    const inside = this.#shown.get(splitKey(prefix).namespace);
    const shown =
      prefix === "" ? [...this.#shown.keys()] : inside === undefined ? [] : [splitKey(prefix).namespace];
    const keys = shown
      .flatMap((one) => this.#keysOf(one))
      .filter((key) => key.startsWith(prefix) && key > after)
      .toSorted();
    const page = keys.slice(0, limit ?? keys.length);
    return { items: page.flatMap((key) => this.get(key) ?? []), remaining: keys.length - page.length };
  }

  put({ key }: Parameters<View["put"]>[0]): Promise<number> {
    return Promise.reject(
      new StatusError("Forbidden", `BundleDeployment ${key} is computed; ${this.instead} instead`),
    );
  }

  changes(listener: (change: ViewChange) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  #tell(change: ViewChange): void {
    for (const listener of this.#listeners) listener(change);
  }

  #keysOf(namespace: string): readonly string[] {
    return (this.#shown.get(namespace)?.names ?? []).map((name) => `${namespace}/${name}`);
  }

  #look(storeKey: string, revision: number): void {
    const { namespace: storeNamespace, name: storeName } = splitKey(storeKey);
    const namespace = deploymentNamespace({ namespace: storeNamespace, name: storeName });
    const before = this.#shown.get(namespace);
    const names: string[] = [];
    const sums: number[] = [];
    const revisions: number[] = [];
    const changes: ViewChange[] = [];
    for (const { name, sum } of this.#sums(storeKey)) {
      const at = before?.names.indexOf(name) ?? -1;
      const isSame = before !== undefined && at !== -1 && before.sums[at] === sum;
      names.push(name);
      sums.push(sum);
      revisions.push(isSame ? (before.revisions[at] as number) : revision);
      if (!isSame) changes.push({ kind: at === -1 ? "added" : "changed", key: `${namespace}/${name}` });
    }
    for (const name of before?.names ?? []) {
      const key = `${namespace}/${name}`;
      const item = { key, object: goneObject(namespace, storeKey, name), revision };
      if (!names.includes(name)) changes.push({ kind: "gone", key, item });
    }
    if (names.length === 0) this.#shown.delete(namespace);
    else if (changes.length > 0) this.#shown.set(namespace, { store: storeKey, names, sums, revisions });
    for (const change of changes) this.#tell(change);
  }

  /** For each object of a store, a sum of what it is computed of. */
  *#sums(storeKey: string): Iterable<{ readonly name: string; readonly sum: number }> {
    const row = this.#ports?.core.stores.get(storeKey);
    if (row === undefined || this.#ports === undefined) return;
    const { core, bundles } = this.#ports;
    for (const cell of core.cells.ofCluster(row.index)) {
      const bundle = bundles.get(core.bundles.keyOf(core.cells.read(cell).bundle));
      if (bundle === undefined) continue;
      const { name, uid, labels } = bundle.metadata;
      const report = row.status.reports?.find((one) => one.bundle === name);
      const paused = bundle.spec?.paused === true || row.isPaused;
      const of = [core.cells.read(cell), core.cells.countsOf(cell), report, paused, uid];
      yield { name: name ?? "", sum: shortSum(`${JSON.stringify(of)}${this.#labelsText(labels)}`) };
    }
  }

  #labelsText(labels: object | undefined): string {
    if (labels === undefined) return "";
    const known = this.#labels.get(labels) ?? JSON.stringify(labels);
    this.#labels.set(labels, known);
    return known;
  }

  #objectOf(storeKey: string, name: string): Tree | undefined {
    const row = this.#ports?.core.stores.get(storeKey);
    if (row === undefined || this.#ports === undefined) return undefined;
    const { core, bundles } = this.#ports;
    const key = `${row.cluster.namespace}/${name}`;
    const [bundle, number] = [bundles.get(key), core.bundles.find(key)];
    const cell = number === undefined ? 0 : core.cells.find(row.index, number);
    if (bundle === undefined || cell === 0) return undefined;
    return objectOf(core, { row, bundle, cell, namespace: deploymentNamespace(row.cluster) });
  }
}

/** What is said of an object that is gone: what it was found by. */
function goneObject(namespace: string, storeKey: string, name: string): Tree {
  return {
    apiVersion: "fleet.cattle.io/v1alpha1",
    kind: "BundleDeployment",
    metadata: { name, namespace, labels: ownLabels(splitKey(storeKey), name) },
    spec: {},
    status: {},
  };
}

function ownLabels(store: ClusterKey, bundle: string): Tree {
  return {
    "fleet.cattle.io/bundle-name": bundle,
    "fleet.cattle.io/bundle-namespace": store.namespace,
    "fleet.cattle.io/cluster": store.name,
    "fleet.cattle.io/cluster-namespace": store.namespace,
    "fleet.cattle.io/managed": "true",
  };
}

function objectOf(
  { cells, variants }: Core,
  of: { readonly row: StoreRow; readonly bundle: Bundle; readonly cell: number; readonly namespace: string },
): Tree {
  const { row, bundle, cell, namespace } = of;
  const { name = "", uid = "", labels = {} } = bundle.metadata;
  const { released, wanted, applied, state, message } = cells.read(cell);
  const [allowed, newest] = [variants.get(released), variants.get(wanted)];
  const report = row.status.reports?.find((one) => one.bundle === name);
  const { desired, ...counts } = cells.countsOf(cell);
  const isReady = state === "Ready";
  const isDeployed = allowed !== undefined && report?.applied === shortId(allowed.deploymentId);
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
      labels: { ...labels, ...ownLabels(row.cluster, name) },
    },
    spec: {
      deploymentID: allowed?.deploymentId ?? "",
      stagedDeploymentID: newest?.deploymentId ?? "",
      options: { ...allowed?.options },
      stagedOptions: { ...newest?.options },
      paused: bundle.spec?.paused === true || row.isPaused,
    },
    status: {
      appliedDeploymentID: variants.get(applied)?.deploymentId ?? report?.applied ?? "",
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
