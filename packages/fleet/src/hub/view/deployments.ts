import { hash } from "node:crypto";
import { splitKey, type Informer } from "@cortado/client/informer";
import { clusters, type Bundle, type Cluster } from "@cortado/kinds/fleet";
import { sameTree, treeAt, type Tree } from "@cortado/kinds/tree";
import { toTime } from "@cortado/std/clock";
import { uuidFrom } from "@cortado/std/random";
import { flatText } from "@cortado/std/flat-text";
import { StatusError } from "@cortado/std/status";
import type { Core } from "../core.ts";
import { OVERRIDES_ANNOTATION, readOverrides } from "../holds/holds.ts";
import type { ClusterKey, View, ViewChange, ViewItem, ViewPage } from "../ports.ts";
import { sha256Of } from "../sources/blobs.ts";
import { shortId } from "../link/reports.ts";
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
type Shown = {
  /** The same array for all stores that have the same. */
  readonly names: readonly string[];
  /** SUM_CHARS of each. */
  readonly sums: string;
  /** One for all where it is the same: what was not changed since the hub began. */
  readonly revisions: number | readonly number[];
};

/** Of a SHA-256 in base64: enough to see that an object is another than before. */
const SUM_CHARS = 8;

function revisionOf({ revisions }: Shown, at: number): number {
  return typeof revisions === "number" ? revisions : (revisions[at] as number);
}

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
    return object === undefined ? undefined : { key, object, revision: revisionOf(shown, at) };
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

  /** Whether a store does anything about a bundle is for people to say; everything else is computed. */
  async put({ key, object, current }: Parameters<View["put"]>[0]): Promise<number> {
    const row = this.#ports?.core.stores.get(this.#shown.get(splitKey(key).namespace)?.store ?? "");
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

  #keysOf(namespace: string): readonly string[] {
    return (this.#shown.get(namespace)?.names ?? []).map((name) => `${namespace}/${name}`);
  }

  #look(storeKey: string, revision: number): void {
    const { namespace: storeNamespace, name: storeName } = splitKey(storeKey);
    const namespace = deploymentNamespace({ namespace: storeNamespace, name: storeName });
    const before = this.#shown.get(namespace);
    const names: string[] = [];
    const revisions: number[] = [];
    const changes: ViewChange[] = [];
    let sums = "";
    for (const { name, sum } of this.#sums(storeKey)) {
      const at = before?.names.indexOf(name) ?? -1;
      const isSame = before !== undefined && at !== -1 && before.sums.startsWith(sum, at * SUM_CHARS);
      names.push(name);
      sums += sum;
      revisions.push(isSame ? revisionOf(before, at) : revision);
      if (!isSame) changes.push({ kind: at === -1 ? "added" : "changed", key: `${namespace}/${name}` });
    }
    for (const name of before?.names ?? []) {
      const key = `${namespace}/${name}`;
      const item = { key, object: goneObject(namespace, storeKey, name), revision };
      if (!names.includes(name)) changes.push({ kind: "gone", key, item });
    }
    if (names.length === 0) this.#shown.delete(namespace);
    else if (changes.length > 0) {
      const core = this.#ports?.core;
      const [first = 0] = revisions;
      const areSame = revisions.every((one) => one === first);
      this.#shown.set(before === undefined ? flatText(namespace) : namespace, {
        store: core?.stores.get(storeKey)?.key ?? storeKey,
        names: core?.shared.tree(names) ?? names,
        // Most stores have what most others have.
        sums: core?.shared.text(flatText(sums)) ?? sums,
        revisions: areSame ? first : revisions,
      });
    }
    for (const change of changes) this.#tell(change);
  }

  /** For each object of a store, a sum of what it is computed of. */
  *#sums(storeKey: string): Iterable<{ readonly name: string; readonly sum: string }> {
    const row = this.#ports?.core.stores.get(storeKey);
    if (row === undefined || this.#ports === undefined) return;
    const { core, bundles } = this.#ports;
    for (const cell of core.cells.ofCluster(row.index)) {
      const { cluster: _ofThisStore, ...read } = core.cells.read(cell);
      const bundle = bundles.get(core.bundles.keyOf(read.bundle));
      if (bundle === undefined) continue;
      const { name, uid, labels } = bundle.metadata;
      const report = row.status.reports?.find((one) => one.bundle === name);
      const hold = holdOf(core, row, bundle);
      const of = [read, core.cells.countsOf(cell), report, hold, uid];
      const sum = hash("sha256", `${JSON.stringify(of)}${this.#labelsText(labels)}`, "base64");
      yield { name: name ?? "", sum: sum.slice(0, SUM_CHARS) };
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
    for (const cell of core.cells.ofCluster(row.index)) {
      // By mapping it may be a Bundle of another namespace; of one name a store has one.
      const bundle = bundles.get(core.bundles.keyOf(core.cells.read(cell).bundle));
      if (bundle?.metadata.name === name)
        return objectOf(core, { row, bundle, cell, namespace: deploymentNamespace(row.cluster) });
    }
    return undefined;
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

/** What keeps the store from doing anything about a bundle. */
function holdOf(
  { windows }: Core,
  row: StoreRow,
  bundle: Bundle,
): { readonly paused: boolean; readonly offSchedule: boolean } {
  const override = readOverrides(row.facts.annotations)[bundle.metadata.name ?? ""];
  return {
    paused: bundle.spec?.paused === true || row.isPaused || override?.paused === true,
    offSchedule: windows.of(row.key).isClosed,
  };
}

function objectOf(
  core: Core,
  of: { readonly row: StoreRow; readonly bundle: Bundle; readonly cell: number; readonly namespace: string },
): Tree {
  const { row, bundle, cell, namespace } = of;
  const { cells, variants } = core;
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
      uid: uuidFrom(Buffer.from(sha256Of(`${row.uid}/${uid}`), "hex").subarray(0, 16)),
      creationTimestamp: toTime(row.createdMs),
      labels: {
        ...labels,
        ...ownLabels(row.cluster, name),
        "fleet.cattle.io/bundle-namespace": bundle.metadata.namespace ?? "",
      },
    },
    spec: {
      deploymentID: allowed?.deploymentId ?? "",
      stagedDeploymentID: newest?.deploymentId ?? "",
      options: { ...allowed?.options },
      stagedOptions: { ...newest?.options },
      ...holdOf(core, row, bundle),
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
