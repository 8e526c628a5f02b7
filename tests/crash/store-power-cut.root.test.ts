import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { LoopDisk, whyNoLoopDisk } from "./loop-disk.ts";
import { StoreCrash } from "./store-crash.ts";

const rounds = Number(process.env["CHAOS_ROUNDS"] ?? 4);

test(
  "power cuts under load: no acknowledged write is lost, no revision used twice",
  { skip: whyNoLoopDisk() ?? false },
  async () => {
    using disk = new LoopDisk(64);
    const path = join(disk.at, "state.db");
    const crash = new StoreCrash();
    for (let round = 0; round < rounds; round += 1) {
      await crash.life(path, { ms: 200 + ((round * 97) % 400) });
      disk.cutPower();
      // A process that only looked has seen what the killed one never synced: a power cut must not take that back.
      await crash.life(path, { ms: 100 });
      await crash.life(path, { ms: 0, looks: true });
      disk.cutPower();
    }
    await crash.life(path, { ms: 0, looks: true });
    crash.check();
    assert.ok(crash.acknowledgements > 300, `only ${crash.acknowledgements} writes were acknowledged`);
    console.log(
      `${rounds * 2} power cuts and ${rounds} kills: ${crash.acknowledgements} acknowledged writes, ${crash.lost} lost, ${crash.usedTwice} revisions used twice`,
    );
  },
);
