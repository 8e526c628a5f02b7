import assert from "node:assert/strict";
import { test } from "node:test";
import { agentOf, ScriptedHub } from "./fleet-hub.ts";
import { LoopWorld } from "./world.ts";

test("content that the hub refused is asked for again when a bundle that has it is told anew on the same connection", async () => {
  await using world = await LoopWorld.start();
  const hub = new ScriptedHub();
  hub.sendsChunks = false;
  const one = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "one" }, data: { a: "1" } };
  await hub.want([{ objects: [one] }]);
  const lost = new Map(hub.content);
  hub.content.clear();
  await using _agent = agentOf(world, hub);
  await world.until("it is refused", () =>
    Promise.resolve(/it was lost/.test(hub.reports.get("shop")?.message ?? "")),
  );
  const { asked } = hub;
  await world.clock.advance(60_000);
  assert.equal(hub.asked, asked, "it does not ask again and again");
  for (const [hash, gzip] of lost) hub.content.set(hash, gzip);
  await hub.want([{ objects: [one] }]);
  await world.until("it is there", () => Promise.resolve(hub.reports.get("shop")?.state === "Ready"));
  assert.equal(hub.dials, 1);
});
