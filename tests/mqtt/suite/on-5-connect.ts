import assert from "node:assert/strict";
import { ids } from "./bytes.ts";
import type { Trial } from "./trial.ts";

/** An empty id stands for a new client each time. */
export async function emptyIdTwice(trial: Trial): Promise<void> {
  const given: unknown[] = [];
  for (let times = 0; times < 3; times += 1) {
    const client = await trial.dial();
    const { code, flags, properties } = await client.connect({ clientId: "", clean: times === 0 });
    assert.deepEqual([code, flags], [0, 0]);
    given.push(properties.get(ids.assignedClientId)?.[0]);
  }
  assert.equal(new Set(given).size, 3);
}
