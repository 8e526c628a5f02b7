import { startInformer, type Informer } from "@cortado/client/informer";
import type { Client } from "@cortado/client";
import type { KubeObject } from "@cortado/kinds";
import type { ResourceType } from "@cortado/kinds/resources";
import type { Tree } from "@cortado/kinds/tree";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import { OBJECTSET_LABEL, ownerOf } from "./apply/marks.ts";
import type { Placed } from "./apply/place.ts";
import type { Live } from "./report.ts";

export type LiveOptions = {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Objects of this bundle changed. */
  readonly changed: (bundle: string) => void;
};

type Watched = { readonly informer: Informer<KubeObject>; readonly stop: AbortController };

/** What is there of all bundles: one watch per kind that a bundle has, of only what bundles applied. */
export class LiveObjects {
  readonly #options: LiveOptions;
  readonly #kinds: Map<string, Watched> = new Map();
  readonly #users: Map<string, ReadonlySet<string>> = new Map();

  constructor(options: LiveOptions) {
    this.#options = options;
  }

  /** The kinds of a bundle are watched from now on; resolves when they were all listed once. */
  async watch(bundle: string, placed: readonly Placed[]): Promise<void> {
    const types = new Map(placed.map(({ type }) => [keyOfType(type), type]));
    this.#users.set(bundle, new Set(types.keys()));
    for (const [key, type] of types) if (!this.#kinds.has(key)) this.#kinds.set(key, this.#start(type));
    this.#stopUnused();
    await Promise.all([...types.keys()].map((key) => this.#kinds.get(key)?.informer.synced));
  }

  forget(bundle: string): void {
    this.#users.delete(bundle);
    this.#stopUnused();
  }

  of({ type, item }: Placed): Live {
    const informer = this.#kinds.get(keyOfType(type))?.informer;
    if (informer?.isSynced !== true) return "unseen";
    const found = informer.get(item.namespace === "" ? item.name : `${item.namespace}/${item.name}`);
    if (found === undefined) return undefined;
    // Items of lists leave out what they are.
    return { ...(found as unknown as Tree), apiVersion: item.apiVersion, kind: item.kind };
  }

  #start(type: ResourceType): Watched {
    const { client, clock, log, signal, changed } = this.#options;
    const stop = new AbortController();
    const informer = startInformer<KubeObject>(client, type, {
      labelSelector: OBJECTSET_LABEL,
      clock,
      log,
      signal: AbortSignal.any([signal, stop.signal]),
    });
    informer.subscribe(({ old, now }) => {
      for (const object of [old, now]) {
        const owner = object === undefined ? "" : ownerOf(object as unknown as Tree);
        if (owner !== "") changed(owner);
      }
    });
    return { informer, stop };
  }

  #stopUnused(): void {
    const used = new Set([...this.#users.values()].flatMap((keys) => [...keys]));
    for (const [key, { stop }] of this.#kinds) {
      if (used.has(key)) continue;
      stop.abort(new Error("no bundle has this kind any more"));
      this.#kinds.delete(key);
    }
  }
}

function keyOfType({ group, version, plural }: ResourceType): string {
  return `${group}/${version}/${plural}`;
}
