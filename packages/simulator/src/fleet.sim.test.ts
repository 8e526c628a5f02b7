import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { simulateFleet, type FleetOptions } from "./simulator.ts";
import { mustHold } from "./testing/must-hold.ts";

type Regression = FleetOptions & { readonly found: string };
const regressions = JSON.parse(
  readFileSync(new URL("./fleet-regressions.json", import.meta.url), "utf8"),
) as readonly Regression[];

const strikes = ["kill", "cut", "kill-agent", "power-off", "line"] as const;

test("hub, agents and stores are killed or cut off 200 times, and nothing is lost, stuck or counted wrong", async () => {
  let struck = 0;
  for (const seed of [1, 2, 3, 4]) {
    const { counts } = await mustHold({ seed, clusters: 20, minutes: 5, kills: 70 });
    for (const kind of strikes) struck += counts[kind] ?? 0;
  }
  assert.ok(struck >= 200, `only ${struck} strikes`);
});

test("same seed, same trace; another seed, another trace", async () => {
  const options = { seed: 8, clusters: 12, minutes: 2, kills: 20 };
  const { traceHash } = await mustHold(options);
  assert.equal((await mustHold(options)).traceHash, traceHash);
  assert.notEqual((await mustHold({ ...options, seed: 9 })).traceHash, traceHash);
});

for (const { found, ...options } of regressions)
  test(`what was found once stays away: ${found}, seed ${options.seed}`, async () => {
    await mustHold(options);
  });

for (const { fault, says } of [
  { fault: "object-lost", says: /nothing is pruned by accident/ },
  { fault: "events-lost", says: /every event of a store is at the hub exactly once/ },
  { fault: "release-leaks", says: /a release touches no more stores than its open waves/ },
] as const)
  test(`the checkers find a deliberate fault: ${fault}`, async () => {
    const { broken } = await simulateFleet({ seed: 1, clusters: 4, minutes: 1, kills: 4, fault });
    assert.match(broken?.sentence ?? "nothing was found", says);
  });
