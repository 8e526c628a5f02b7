import assert from "node:assert/strict";
import { test } from "node:test";
import type { Agent, HubDoor } from "@cortado/fleet/agent/ports";
import type { Compiled } from "@cortado/fleet/compile/bundle";
import type { AgentLink } from "@cortado/fleet/protocol";
import { bundles } from "@cortado/kinds/fleet";
import { configMaps, namespaces, secrets } from "@cortado/kinds/resources";
import { seededRandom } from "@cortado/std/random";
import { StatusError } from "@cortado/std/status";
import { agentOf, begun, coffeeIn, compiledOf, namespace, repo } from "./hub-and-stores.ts";
import { LoopWorld } from "./world.ts";

const files = [{ name: "Chart.yaml", content: new TextEncoder().encode("name: menu\nversion: 1.0.0\n") }];

function compiledWith(size: number, names: readonly string[]): Compiled {
  const [menu, ...others] = compiledOf("arabica", ["menu", ...names]).bundles;
  assert.ok(menu !== undefined);
  const valuesFrom = [{ secretKeyRef: { name: "recipe", namespace: "vault" } }];
  const copy = { kind: "Secret", name: "brand" };
  const spec = { ...menu.spec, helm: { values: { size }, valuesFrom }, downstreamResources: [copy] };
  return { bundles: [{ ...menu, spec, files }, ...others], problems: [] };
}

/** A hub and a store in which something happens at any moment; in the end all is as it was wanted last. */
async function storm(seed: number): Promise<void> {
  const random = seededRandom(seed);
  await using store = await LoopWorld.start({ seed });
  await using world = await begun(store, { sweepEveryMs: 30_000 });
  world.helmTemplate = (_files, { values }) => {
    const data = { coffee: `${String(values["coffee"])}-${String(values["size"])}` };
    return Promise.resolve(
      JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "menu" }, data }),
    );
  };
  let isCut = false;
  const links: AgentLink[] = [];
  const door = (): HubDoor => ({
    ...world.door(),
    async dial(...words) {
      if (isCut) throw new StatusError("ServiceUnavailable", "the line is cut");
      const link = await world.door().dial(...words);
      links.push(link);
      return link;
    },
  });
  await store.client.create(namespaces, { metadata: { name: "vault" } }, store);
  let [size, blend, word, hasRecipe, extra] = [1, 0, 0, false, true];
  const push = (): Promise<unknown> =>
    world.hub.applyCompiled(repo, compiledWith(size, extra ? ["till"] : []), `c${size}-${String(extra)}`);
  const putRecipe = async (): Promise<void> => {
    blend += 1;
    const metadata = { name: "recipe", namespace: "vault" };
    const stringData = { "values.yaml": `coffee: blend-${blend}` };
    if (hasRecipe)
      await store.client.patch(secrets, {
        ...metadata,
        type: "merge",
        body: { stringData },
        signal: store.signal,
      });
    else await store.client.create(secrets, { metadata, stringData }, store);
    hasRecipe = true;
  };
  const dropRecipe = async (): Promise<void> => {
    if (hasRecipe)
      await store.client.delete(secrets, { name: "recipe", namespace: "vault", signal: store.signal });
    hasRecipe = false;
  };
  const putBrand = async (): Promise<void> => {
    word += 1;
    const metadata = { name: "brand", namespace };
    const stringData = { word: `word-${word}` };
    if (word === 1) await world.client.create(secrets, { metadata, stringData }, world);
    else
      await world.client.patch(secrets, {
        ...metadata,
        type: "merge",
        body: { stringData },
        signal: world.signal,
      });
  };
  await putBrand();
  await push();
  const token = await world.token();
  let agent: Agent = agentOf(store, world, { name: "store-1", token, hub: door() });
  const steps: readonly (() => Promise<unknown>)[] = [
    putRecipe,
    putRecipe,
    dropRecipe,
    putBrand,
    () => ((size += 1), push()),
    () => ((extra = !extra), push()),
    async () => {
      await agent[Symbol.asyncDispose]();
      agent = agentOf(store, world, { name: "store-1", token, hub: door() });
    },
    async () => {
      await world.hub[Symbol.asyncDispose]();
      await world.startHub({ sweepEveryMs: 30_000 });
    },
    async () => {
      isCut = !isCut;
      if (isCut) await links.at(-1)?.[Symbol.asyncDispose]();
    },
  ];
  try {
    let hadMenu = false;
    for (let step = 0; step < 30; step += 1) {
      await steps[random.integer(steps.length)]?.();
      await store.clock.advance(random.integer(4_000));
      const coffee = await coffeeIn(store);
      assert.ok(coffee !== undefined || !hadMenu, `seed ${seed}, step ${step}: the menu is gone`);
      hadMenu ||= coffee !== undefined;
    }
    isCut = false;
    await putRecipe();
    const ends = async (): Promise<boolean> => {
      const where = { namespace: "menu", name: "brand", signal: store.signal };
      const copy = (await store.client.get(secrets, where).catch(() => undefined))?.data?.["word"] ?? "";
      const till = await store.client
        .get(configMaps, { namespace: "till", name: "menu", signal: store.signal })
        .then(() => true)
        .catch(() => false);
      const { status } = await world.client.get(bundles, { namespace, name: "menu", signal: world.signal });
      return (
        (await coffeeIn(store)) === `blend-${blend}-${size}` &&
        Buffer.from(copy, "base64").toString() === `word-${word}` &&
        till === extra &&
        status?.display?.state === "Ready"
      );
    };
    await store.until(`seed ${seed}: all is as it was wanted last`, ends, 240_000);
  } finally {
    await agent[Symbol.asyncDispose]();
  }
}

// 10: a chunk that was refused while its bundle was gone was not asked for again.
for (const seed of [1, 2, 3, 10])
  test(`values and copies end as they were wanted last, whatever was killed or cut meanwhile (seed ${seed})`, () =>
    storm(seed));
