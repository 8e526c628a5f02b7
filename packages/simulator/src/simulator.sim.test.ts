import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { simulate, type SimulationOptions } from "./simulator.ts";

type Regression = SimulationOptions & { readonly found: string };
const regressions = JSON.parse(
  readFileSync(new URL("./regressions.json", import.meta.url), "utf8"),
) as readonly Regression[];

/** Runs one, and fails with its seed and the first broken claim. */
async function mustHold(options: SimulationOptions): Promise<string> {
  const { traceHash, counts, broken } = await simulate(options);
  const seed = `--seed ${options.seed} --stores ${options.stores} --minutes ${options.minutes}`;
  if (broken !== undefined)
    assert.fail(
      `${seed}: ${broken.sentence}: ${broken.store} at ${broken.atMs} ms: ${broken.detail}\n${broken.tail.join("\n")}`,
    );
  assert.equal(counts["rest"], options.stores, "every store was looked at in the end");
  assert.ok(
    (counts["write"] ?? 0) > 50 * options.stores && (counts["received"] ?? 0) > 20 * options.stores,
    `${seed}: next to nothing happened`,
  );
  return traceHash;
}

for (let seed = 1; seed <= 7; seed += 1)
  test(`two stores under faults keep all claims, seed ${seed}`, async () => {
    await mustHold({ seed, stores: 2, minutes: 1 });
  });

test("same seed, same trace; another seed, another trace", async () => {
  const options = { seed: 8, stores: 2, minutes: 0.5 };
  const first = await mustHold(options);
  assert.equal(await mustHold(options), first);
  assert.notEqual(await mustHold({ ...options, seed: 9 }), first);
});

test("fifty stores under faults keep all claims, seed 41", async () => {
  await mustHold({ seed: 41, stores: 50, minutes: 0.2 });
});

for (const { found, ...options } of regressions)
  test(`what was found once stays away: ${found}, seed ${options.seed}`, async () => {
    await mustHold(options);
  });

for (const { fault, says } of [
  {
    fault: "forgets-commit",
    says: /acknowledged write is lost|counter is lost|used twice|revisions only grow/,
  },
  { fault: "sync-lies", says: /acknowledged (message|event) is lost/ },
  { fault: "watch-drops", says: /watches miss nothing/ },
] as const)
  test(`the checkers find a deliberate fault: ${fault}`, async () => {
    const { broken } = await simulate({ seed: 1, stores: 2, minutes: 4, fault });
    assert.match(broken?.sentence ?? "nothing was found", says);
  });
