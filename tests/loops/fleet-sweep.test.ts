import assert from "node:assert/strict";
import { test } from "node:test";
import type { HubDoor } from "@cortado/fleet/agent/ports";
import type { AgentLink } from "@cortado/fleet/protocol";
import { bundles } from "@cortado/kinds/fleet";
import { StatusError } from "@cortado/std/status";
import { agentOf, begun, coffeeIn, compiledOf, namespace, repo, type HubWorld } from "./hub-and-stores.ts";
import { LoopWorld } from "./world.ts";

const sweepEveryMs = 60_000;
const chunksOf = (world: HubWorld): Promise<readonly string[]> => world.files.list("hub/chunks");

async function letSweepsPass(store: LoopWorld, sweeps: number): Promise<void> {
  for (let sweep = 0; sweep < sweeps; sweep += 1) await store.clock.advance(sweepEveryMs);
}

test("content of generations that nobody may run goes; what a dark store may still come for stays, also over a restart", async () => {
  await using store = await LoopWorld.start();
  await using world = await begun(store, { sweepEveryMs });
  let isCut = false;
  const door = world.door();
  const links: AgentLink[] = [];
  const hub: HubDoor = {
    ...door,
    async dial(...words) {
      if (isCut) throw new StatusError("ServiceUnavailable", "the line is cut");
      const link = await door.dial(...words);
      links.push(link);
      return link;
    },
  };
  await using agent = agentOf(store, world, { name: "store-1", token: await world.token(), hub });
  assert.equal(agent.state.isConnected, false);
  const large = (value: string) => {
    const compiled = compiledOf(value);
    const more = { name: "more.txt", content: new TextEncoder().encode(value.repeat(60_000)) };
    return {
      ...compiled,
      bundles: compiled.bundles.map((one) => ({ ...one, files: [...one.files, more] })),
    };
  };
  for (const value of ["arabica", "robusta", "excelsa", "liberica", "mundo", "catuai"]) {
    await world.hub.applyCompiled(repo, large(value), value);
    await store.until(`${value} is there`, async () => (await coffeeIn(store)) === value);
    await store.until("its rollout is complete", async () => {
      const { status } = await world.client.get(bundles, { namespace, name: "menu", signal: world.signal });
      return status?.rollout?.phase === "Complete";
    });
  }
  // A source, its files and one object for each of six generations.
  assert.equal((await chunksOf(world)).length, 18);
  isCut = true;
  await links.at(-1)?.[Symbol.asyncDispose]();
  await letSweepsPass(store, 3);
  const left = await chunksOf(world);
  assert.equal(left.length, 9, "three generations are kept");
  await letSweepsPass(store, 2);
  assert.deepEqual(await chunksOf(world), left);

  // A revert to what was swept is made anew.
  await world.hub.applyCompiled(repo, large("arabica"), "again");
  isCut = false;
  await store.until("arabica is back", async () => (await coffeeIn(store)) === "arabica", 120_000);

  await world.hub[Symbol.asyncDispose]();
  await world.startHub({ sweepEveryMs });
  await letSweepsPass(store, 3);
  await store.until("the store is told", () => Promise.resolve(agent.state.isConnected), 120_000);
  await world.hub.applyCompiled(repo, large("geisha"), "new");
  await store.until("geisha is there", async () => (await coffeeIn(store)) === "geisha", 120_000);
  assert.ok((await chunksOf(world)).length <= 12);
});
