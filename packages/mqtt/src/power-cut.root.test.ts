import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { serve, startChild } from "./testing/broker-child.ts";
import {
  checkKept,
  ExactPair,
  leaveSession,
  leaveWill,
  publishNumbers,
  readKept,
  readSession,
} from "./testing/load.ts";

const delay = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));
const quietly = { stdio: "ignore" } as const;

if (process.argv[2] === "broker") await serve(process.argv[3] ?? "", { segmentBytes: 131_072 });
else tests();

/** A file system of its own in a file, mounted; what is not synced is lost when the file is copied. */
function mount(image: string, at: string): Disposable {
  mkdirSync(at, { recursive: true });
  execFileSync("mount", ["-o", "loop", image, at], quietly);
  return { [Symbol.dispose]: () => void execFileSync("umount", [at], quietly) };
}

/** Each acknowledged QoS 2 message once, and no other twice. */
function checkExact({ acknowledged, received }: ExactPair, atLeast: number): void {
  const got = new Set(received);
  assert.equal(got.size, received.length, `${received.length - got.size} of QoS 2 came twice`);
  assert.deepEqual(
    [...acknowledged].filter((number) => !got.has(number)),
    [],
  );
  assert.ok(acknowledged.size > atLeast, `only ${acknowledged.size} of QoS 2 were acknowledged`);
}

function tests(): void {
  const skip = process.getuid?.() === 0 && existsSync("/sbin/mkfs.ext4") ? false : "needs root and mkfs.ext4";
  test(
    "power cuts under load: no acknowledged or retained message is lost, none of QoS 2 comes twice",
    { skip },
    async () => {
      const folder = mkdtempSync(join(tmpdir(), "mqtt-cut-"));
      let image = join(folder, "disk-0.img");
      try {
        execFileSync("truncate", ["-s", "64M", image]);
        execFileSync("mkfs.ext4", ["-q", image]);
        const acknowledged = new Set<number>();
        const kept = new Set<number>();
        const exact = new ExactPair();
        for (let round = 0; round < 3; round += 1) {
          const next = join(folder, `disk-${round + 1}.img`);
          {
            using _mounted = mount(image, join(folder, "mnt"));
            await using broker = await startChild(import.meta.filename, join(folder, "mnt/mqtt"));
            if (round === 0) await leaveSession(broker.port);
            const load = await publishNumbers(broker.port, round * 1_000_000);
            const keeping = await publishNumbers(broker.port, round * 1_000_000, { retain: true });
            await leaveWill(broker.port, `round-${round}`, round);
            await exact.start(broker.port, { publishing: true });
            // With small segments there are checkpoints: runs of retained messages are on their way when the power goes.
            await delay(1_000);
            await broker.kill();
            // The loop device has what was synced to it and what the kernel wrote by itself: the rest is gone with the power.
            execFileSync("cp", ["--sparse=always", image, next]);
            for (const number of load.acknowledged) acknowledged.add(number);
            for (const number of keeping.acknowledged) kept.add(number);
            load.stop();
            keeping.stop();
            exact.stop();
          }
          rmSync(image);
          image = next;
        }
        using _mounted = mount(image, join(folder, "mnt"));
        await using broker = await startChild(import.meta.filename, join(folder, "mnt/mqtt"));
        const got = new Set(await readSession(broker.port));
        const lost = [...acknowledged].filter((number) => !got.has(number));
        assert.equal(lost.length, 0, `${lost.length} of ${acknowledged.size} lost`);
        checkKept(await readKept(broker.port), kept);
        assert.deepEqual(
          [...(await readKept(broker.port, "/wills/#"))],
          [0, 1, 2].map((round) => [`/wills/round-${round}`, round]),
          "wills of those who were there when the power went",
        );
        assert.ok(kept.size > 300, `only ${kept.size} of the retained were acknowledged`);
        assert.ok(acknowledged.size > 300, `only ${acknowledged.size} were acknowledged`);
        await exact.start(broker.port, { publishing: false });
        for (let quiet = 0; quiet < 100 && exact.openExchanges > 0; quiet += 1) await delay(50);
        exact.stop();
        checkExact(exact, 100);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  );
}
