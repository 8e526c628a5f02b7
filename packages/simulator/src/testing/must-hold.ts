import assert from "node:assert/strict";
import { simulateFleet, type FleetOptions, type Simulation } from "../simulator.ts";

/** Runs one, and fails with its seed and the first broken claim. */
export async function mustHold(options: FleetOptions): Promise<Simulation> {
  const { seed, clusters, minutes, kills } = options;
  const run = await simulateFleet(options);
  const { broken, counts } = run;
  const words = `--world fleet --seed ${seed} --clusters ${clusters} --minutes ${minutes} --kills ${kills}`;
  if (broken !== undefined)
    assert.fail(
      `${words}: ${broken.sentence}: ${broken.store} at ${broken.atMs} ms: ${broken.detail}\n${broken.tail.join("\n")}`,
    );
  assert.equal(counts["rest"], 1, `${words}: the chain was looked at in the end`);
  assert.ok((counts["applied"] ?? 0) >= clusters * 4, `${words}: next to nothing was applied`);
  return run;
}
