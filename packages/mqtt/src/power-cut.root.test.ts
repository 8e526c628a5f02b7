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

// Whole: CORTADO_MQTT_ROUNDS=20.
const ROUNDS = Number(process.env["CORTADO_MQTT_ROUNDS"] ?? 3);
/** Members of a shared subscription to the load. */
const members = ["one", "two"] as const;

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
  for (const death of ["power cut", "kill -9"] as const)
    test(
      `${ROUNDS} times ${death} under load, at full speed and at 500 a second: no acknowledged or retained message is lost, none of QoS 2 comes twice`,
      { skip },
      async () => {
        const folder = mkdtempSync(join(tmpdir(), "mqtt-cut-"));
        try {
          await dieUnderLoad(folder, death);
        } finally {
          rmSync(folder, { recursive: true, force: true });
        }
      },
    );
}

async function dieUnderLoad(folder: string, death: "power cut" | "kill -9"): Promise<void> {
  let image = join(folder, "disk-0.img");
  execFileSync("truncate", ["-s", "1G", image]);
  execFileSync("mkfs.ext4", ["-q", image]);
  const acknowledged = new Set<number>();
  const kept = new Set<number>();
  const exact = new ExactPair();
  for (let round = 0; round < ROUNDS; round += 1) {
    const next = join(folder, `disk-${round + 1}.img`);
    {
      using _mounted = mount(image, join(folder, "mnt"));
      await using broker = await startChild(import.meta.filename, join(folder, "mnt/mqtt"));
      if (round === 0) {
        await leaveSession(broker.port);
        for (const member of members) await leaveSession(broker.port, member, "$share/g//store104/#");
      }
      // Every other round goes slowly: groups of one are another case than groups of hundreds.
      const perSecond = round % 2 === 0 ? Infinity : 500;
      const load = await publishNumbers(broker.port, round * 1_000_000, { perSecond });
      const keeping = await publishNumbers(broker.port, round * 1_000_000, { retain: true, perSecond });
      await leaveWill(broker.port, `round-${round}`, round);
      await exact.start(broker.port, { publishing: true });
      // With small segments there are checkpoints: runs of retained messages are on their way when the power goes.
      await delay(1_000);
      await broker.kill();
      // The loop device has what was synced to it and what the kernel wrote by itself: the rest is gone with the power.
      if (death === "power cut") execFileSync("cp", ["--sparse=always", image, next]);
      for (const number of load.acknowledged) acknowledged.add(number);
      for (const number of keeping.acknowledged) kept.add(number);
      load.stop();
      keeping.stop();
      exact.stop();
    }
    if (death !== "power cut") continue;
    rmSync(image);
    image = next;
  }
  using _mounted = mount(image, join(folder, "mnt"));
  await using broker = await startChild(import.meta.filename, join(folder, "mnt/mqtt"));
  await checkAll(broker.port, { acknowledged, kept, exact });
}

type Promised = {
  readonly acknowledged: ReadonlySet<number>;
  readonly kept: ReadonlySet<number>;
  readonly exact: ExactPair;
};

async function checkAll(port: number, { acknowledged, kept, exact }: Promised): Promise<void> {
  const lostOf = (numbers: readonly number[]): readonly number[] => {
    const got = new Set(numbers);
    return [...acknowledged].filter((number) => !got.has(number));
  };
  assert.equal(lostOf(await readSession(port)).length, 0, `lost of ${acknowledged.size}`);
  const shared: number[] = [];
  for (const member of members) shared.push(...(await readSession(port, member)));
  assert.equal(lostOf(shared).length, 0, `lost of ${acknowledged.size} in the shared subscription`);
  checkKept(await readKept(port), kept);
  assert.deepEqual(
    [...(await readKept(port, "/wills/#"))].toSorted(([, a], [, b]) => a - b),
    Array.from({ length: ROUNDS }, (_, round) => [`/wills/round-${round}`, round]),
    "wills of those who were there when the power went",
  );
  assert.ok(kept.size > 300, `only ${kept.size} of the retained were acknowledged`);
  assert.ok(acknowledged.size > 300, `only ${acknowledged.size} were acknowledged`);
  await exact.start(port, { publishing: false });
  for (let quiet = 0; quiet < 100 && exact.openExchanges > 0; quiet += 1) await delay(50);
  exact.stop();
  checkExact(exact, 100);
  console.log(
    `acknowledged: ${acknowledged.size} of QoS 1, ${exact.acknowledged.size} of QoS 2, ${kept.size} retained; none lost, none of QoS 2 twice`,
  );
}
