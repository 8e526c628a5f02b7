import { gzipSync } from "node:zlib";
import type { Informer } from "@cortado/client/informer";
import type { Bundle } from "@cortado/kinds/fleet";
import type { Tree } from "@cortado/kinds/tree";
import { toTime } from "@cortado/std/clock";
import { uuidFrom } from "@cortado/std/random";
import { StatusError } from "@cortado/std/status";
import type { Core } from "../core.ts";
import type { View, ViewItem, ViewPage } from "../ports.ts";
import type { Variant } from "../rollouts/variants.ts";
import { sha256Of, type Blobs } from "../sources/blobs.ts";

export type ContentPorts = {
  readonly core: Core;
  readonly blobs: Blobs;
  readonly bundles: Informer<Bundle>;
};

/**
 * What variants are made of, as Fleet's Contents: named by the first part of a deploymentID, with the rendered objects as a gzipped manifest.
 * What has values of a store in it, or copies of the hub's Secrets, is not shown. A list names them and how often each is used; only a single one is put together from its chunks. They never change, so nothing is told.
 */
export class Contents implements View {
  readonly group = "fleet.cattle.io";
  readonly plural = "contents";
  readonly instead = "it is made of Bundles and goes with them";
  #ports: ContentPorts | undefined;

  /** Begins to show what a hub has. */
  attach(ports: ContentPorts): void {
    this.#ports = ports;
  }

  async get(key: string): Promise<ViewItem | undefined> {
    const variant = this.#byName().get(key);
    if (variant === undefined || this.#ports === undefined) return undefined;
    const decoder = new TextDecoder();
    const resources: Tree[] = [];
    for (const [at, { sha256 }] of variant.chunks.entries()) {
      const content = decoder.decode(await this.#ports.blobs.get(sha256));
      resources.push({ name: `${String(at + 1).padStart(4, "0")}.json`, content });
    }
    const manifest = new TextEncoder().encode(JSON.stringify({ resources }));
    const body = {
      content: Buffer.from(gzipSync(manifest)).toString("base64"),
      sha256sum: sha256Of(manifest),
    };
    return this.#item(key, variant, body);
  }

  list({ prefix, after = "", limit }: Parameters<View["list"]>[0]): ViewPage {
    const found = [...this.#byName()]
      .filter(([key]) => key.startsWith(prefix) && key > after)
      .toSorted(([one], [other]) => (one < other ? -1 : 1));
    const page = found.slice(0, limit ?? found.length);
    return {
      items: page.map(([key, variant]) => this.#item(key, variant, {})),
      remaining: found.length - page.length,
    };
  }

  put({ key }: Parameters<View["put"]>[0]): Promise<number> {
    return Promise.reject(new StatusError("Forbidden", `Content ${key} is computed: ${this.instead}`));
  }

  changes(): Disposable {
    return { [Symbol.dispose]: () => undefined };
  }

  #byName(): ReadonlyMap<string, Variant> {
    const variants = this.#ports?.core.variants.all() ?? [];
    const open = [...variants].filter((one) => !one.isPrivate);
    return new Map(open.map((one) => [one.deploymentId.split(":")[0] ?? "", one]));
  }

  #item(key: string, variant: Variant, body: Tree): ViewItem {
    const bundle = this.#ports?.bundles.get(variant.bundle);
    const uid = uuidFrom(Buffer.from(sha256Of(new TextEncoder().encode(key)), "hex").subarray(0, 16));
    const creationTimestamp = bundle?.metadata.creationTimestamp ?? toTime(0);
    const object = {
      apiVersion: "fleet.cattle.io/v1alpha1",
      kind: "Content",
      metadata: { name: key, uid, creationTimestamp },
      ...body,
      status: { referenceCount: this.#references(key) },
    };
    return { key, object, revision: Number(bundle?.metadata.resourceVersion ?? 1) };
  }

  /** Stores that may run it. */
  #references(key: string): number {
    if (this.#ports === undefined) return 0;
    const { cells, variants, bundles } = this.#ports.core;
    const same = [...variants.all()].filter((one) => one.deploymentId.startsWith(`${key}:`));
    const numbers = new Set(same.map((one) => one.number));
    let count = 0;
    for (const bundle of new Set(same.map((one) => one.bundle)))
      for (const cell of cells.ofBundle(bundles.find(bundle) ?? -1))
        if (numbers.has(cells.read(cell).released)) count += 1;
    return count;
  }
}
