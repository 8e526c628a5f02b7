import { startInformer, type Informer } from "@cortado/client/informer";
import { bundleNamespaceMappings, type Bundle, type BundleNamespaceMapping } from "@cortado/kinds/fleet";
import type { Namespace } from "@cortado/kinds";
import { selects } from "@cortado/kinds/label-selector";
import { namespaces } from "@cortado/kinds/resources";
import type { Client } from "@cortado/client";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import { sameTree } from "@cortado/kinds/tree";

/** Whose clusters a Bundle may reach: those of its own namespace, and of those that BundleNamespaceMappings beside it name. */
export class Reach {
  readonly #mappings: Informer<BundleNamespaceMapping>;
  readonly #namespaces: Informer<Namespace>;

  constructor(ports: {
    readonly client: Client;
    readonly clock: Clock;
    readonly log: Log;
    readonly signal: AbortSignal;
  }) {
    const { client, clock, log, signal } = ports;
    this.#mappings = startInformer(client, bundleNamespaceMappings, { clock, log, signal });
    this.#namespaces = startInformer(client, namespaces, { clock, log, signal });
  }

  /** Nothing is known to be out of reach before this resolves. */
  get synced(): Promise<void> {
    const synced = Promise.all([this.#mappings.synced, this.#namespaces.synced]).then(() => undefined);
    synced.catch(() => undefined);
    return synced;
  }

  /** Namespaces of clusters, the Bundle's own first. */
  of({ metadata }: Bundle): readonly string[] {
    const own = metadata.namespace ?? "";
    const found = new Set([own]);
    for (const mapping of this.#mappings.list()) {
      if (mapping.metadata.namespace !== own || !selects(mapping.bundleSelector, metadata.labels)) continue;
      for (const one of this.#namespaces.list())
        if (selects(mapping.namespaceSelector, one.metadata.labels)) found.add(one.metadata.name);
    }
    return [...found];
  }

  /** Tells namespaces of Bundles whose reach may be another now. */
  subscribe(listener: (namespace: string) => void): void {
    this.#mappings.subscribe(({ old, now }) => listener((now ?? old)?.metadata.namespace ?? ""));
    this.#namespaces.subscribe(({ old, now }) => {
      if (sameTree(old?.metadata.labels, now?.metadata.labels)) return;
      for (const namespace of new Set([...this.#mappings.list()].map((one) => one.metadata.namespace ?? "")))
        listener(namespace);
    });
  }
}
