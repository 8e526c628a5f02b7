import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { StoreCrash } from "./store-crash.ts";

test("kill -9 under load: no acknowledged write is lost, no revision used twice", async () => {
  const folder = mkdtempSync(join(tmpdir(), "store-kill-"));
  try {
    const crash = new StoreCrash();
    for (let round = 0; round < 5; round += 1)
      await crash.life(join(folder, "state.db"), { ms: 150 + round * 70 });
    await crash.life(join(folder, "state.db"), { ms: 0, looks: true });
    crash.check();
    assert.ok(crash.acknowledgements > 500, `only ${crash.acknowledgements} writes were acknowledged`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
