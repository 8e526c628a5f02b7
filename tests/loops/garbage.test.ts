import assert from "node:assert/strict";
import { test } from "node:test";
import type { Change, Client, WatchOptions } from "@cortado/client";
import { startControllers } from "@cortado/controllers";
import type { KubeObject } from "@cortado/kinds";
import { configMaps, namespaces, secrets, type ResourceType } from "@cortado/kinds/resources";
import { StatusError } from "@cortado/std/status";
import { HubWorld } from "./hub-world.ts";

const namespace = "shop";

/** An API server with the controllers, of which a test sees what they ask for, and may break the watch of ConfigMaps. */
class Garbage implements AsyncDisposable {
  readonly world: HubWorld;
  /** What the controllers read one by one. */
  readonly reads: string[] = [];
  #controllers: AsyncDisposable | undefined;
  #line: AbortController = new AbortController();
  isBroken = false;

  private constructor(world: HubWorld) {
    this.world = world;
  }

  static async start(): Promise<Garbage> {
    const world = await HubWorld.start();
    await world.client.create(namespaces, { metadata: { name: namespace } }, world);
    return new Garbage(world);
  }

  begin(): void {
    const { ports } = this.world;
    this.#controllers = startControllers({
      ...ports,
      client: this.#client(),
      clusterCa: () => "the authority",
      clusterCidr: "10.42.0.0/16",
      localPath: { folder: "/var/lib/cortado/storage", removeFolder: () => Promise.resolve() },
    });
  }

  #client(): Client {
    const { client } = this.world;
    return {
      ...client,
      get: (type, where) => {
        this.reads.push(`${type.plural}/${where.name}`);
        return client.get(type, where);
      },
      list: (type, options) =>
        this.isBroken && type.plural === "configmaps"
          ? Promise.reject(new StatusError("ServiceUnavailable", "the line is down"))
          : client.list(type, options),
      watch: (type, options) => this.#watch(type, options),
    };
  }

  async *#watch<Kind extends KubeObject>(
    type: ResourceType<Kind>,
    options: WatchOptions,
  ): AsyncIterable<Change<Kind>> {
    const { signal } = this.#line;
    const both = AbortSignal.any([options.signal, signal]);
    yield* this.world.client.watch(type, { ...options, signal: both });
    if (signal.aborted && !options.signal.aborted) throw new StatusError("Expired", "list again");
  }

  breakWatches(): void {
    this.isBroken = true;
    this.#line.abort();
    this.#line = new AbortController();
  }

  async own(owner: string, uid?: string): Promise<void> {
    const { client } = this.world;
    const made =
      uid ??
      (await client.create(configMaps, { metadata: { name: owner, namespace } }, this.world)).metadata.uid;
    const ownerReferences = [{ apiVersion: "v1", kind: "ConfigMap", name: owner, uid: made }];
    const metadata = { name: `of-${owner}`, namespace, ownerReferences };
    await client.create(secrets, { metadata }, this.world);
  }

  async remove(owner: string): Promise<void> {
    await this.world.client.delete(configMaps, { namespace, name: owner, signal: this.world.signal });
  }

  async pass(): Promise<void> {
    for (let step = 0; step < 20; step += 1) await this.world.advance(500);
  }

  async left(): Promise<readonly string[]> {
    const { items } = await this.world.client.list(secrets, { namespace, signal: this.world.signal });
    return items.map((one) => one.metadata.name ?? "").filter((name) => name.startsWith("of-"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#controllers?.[Symbol.asyncDispose]();
    await this.world[Symbol.asyncDispose]();
  }
}

const nobody = "00000000-0000-4000-8000-000000000000";

test("what an owner leaves behind is deleted, and what has an owner stays", async () => {
  await using garbage = await Garbage.start();
  garbage.begin();
  await garbage.pass();
  for (const owner of ["stays", "goes"]) await garbage.own(owner);
  await garbage.own("never-there", nobody);
  await garbage.pass();
  assert.deepEqual(await garbage.left(), ["of-goes", "of-stays"]);
  await garbage.remove("goes");
  await garbage.pass();
  assert.deepEqual(await garbage.left(), ["of-stays"]);
});

test("after a start what was left behind meanwhile goes, and owners that are there are not asked for one by one", async () => {
  await using garbage = await Garbage.start();
  const names = Array.from({ length: 30 }, (_, at) => `owner-${at}`);
  for (const owner of names) await garbage.own(owner);
  await garbage.own("never-there", nobody);
  await garbage.remove("owner-7");
  garbage.begin();
  await garbage.pass();
  const left = names.filter((name) => name !== "owner-7").map((name) => `of-${name}`);
  assert.deepEqual(await garbage.left(), left.toSorted());
  const asked = garbage.reads.filter((one) => one.startsWith("configmaps/"));
  assert.deepEqual(asked.toSorted(), ["configmaps/never-there", "configmaps/owner-7"]);
});

test("an owner that goes while no watch is up is missed when its kind is listed again", async () => {
  await using garbage = await Garbage.start();
  for (const owner of ["stays", "goes"]) await garbage.own(owner);
  garbage.begin();
  await garbage.pass();
  garbage.breakWatches();
  await garbage.pass();
  await garbage.remove("goes");
  await garbage.pass();
  assert.deepEqual(await garbage.left(), ["of-goes", "of-stays"], "nobody has seen it");
  garbage.isBroken = false;
  for (let step = 0; step < 5; step += 1) await garbage.pass();
  assert.deepEqual(await garbage.left(), ["of-stays"]);
});

test("an owner that goes while the first lists are read is seen too", async () => {
  await using garbage = await Garbage.start();
  for (const owner of ["stays", "goes"]) await garbage.own(owner);
  garbage.begin();
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => void setImmediate(resolve));
  await garbage.remove("goes");
  await garbage.pass();
  assert.deepEqual(await garbage.left(), ["of-stays"]);
});
