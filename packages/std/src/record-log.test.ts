import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "./random.ts";
import { RecordLog, type LogRecord } from "./record-log.ts";
import { MemoryFiles } from "./testing/memory-files.ts";
import { keptLog, silentLog } from "./testing/silent-log.ts";

const text = (record: LogRecord): string => new TextDecoder().decode(record.body);
const record = (sequence: number, body = `r${sequence}`): LogRecord => ({
  sequence,
  body: new TextEncoder().encode(body),
});

async function open(files: MemoryFiles, log = silentLog): Promise<{ log: RecordLog; found: LogRecord[] }> {
  const found: LogRecord[] = [];
  const opened = await RecordLog.open({
    files,
    folder: "/f",
    prefix: "x",
    log,
    segmentBytes: 200,
    nowMs: 1,
    onRecord: (one) => void found.push(one),
  });
  return { log: opened, found };
}

for (let seed = 1; seed <= 10; seed += 1)
  test(`what append has answered survives a power cut, in order, seed ${seed}`, async () => {
    const random = seededRandom(seed);
    const files = new MemoryFiles({ random });
    let sequence = 0;
    const durable: number[] = [];
    for (let cut = 0; cut < 4; cut += 1) {
      const { log, found } = await open(files);
      assert.deepEqual(
        durable.filter((one) => !found.some((had) => had.sequence === one)),
        [],
      );
      sequence = found.at(-1)?.sequence ?? 0;
      const appends = Array.from({ length: random.integer(30) + 1 }, () => {
        const mine = (sequence += 1);
        return log.append([record(mine)]).then(
          () => void durable.push(mine),
          () => undefined,
        );
      });
      for (let at = random.integer(12); at > 0; at -= 1) await Promise.resolve();
      files.fault = new Error("no power");
      const before = [...durable];
      files.cutPower();
      await Promise.all(appends);
      files.fault = undefined;
      durable.splice(0, durable.length, ...before);
    }
    assert.ok(sequence > 0);
  });

test("segments go from the oldest end, and the number of records read is the number asked for", async () => {
  const { log } = await open(new MemoryFiles());
  for (let at = 1; at <= 50; at += 1) await log.append([record(at)]);
  assert.deepEqual((await log.read({ after: 10, limit: 3 })).map(text), ["r11", "r12", "r13"]);
  const bytes = log.bytes;
  await log.removeThrough(25);
  assert.ok(log.bytes < bytes && (log.first ?? 0) > 1 && (log.first ?? 99) <= 26);
  assert.equal((await log.read({ after: 25, limit: 100 })).length, 25);
  const gone = await log.removeOldest();
  assert.ok(gone.length > 0);
  await log[Symbol.asyncDispose]();
});

test("a failed write is an error that names the folder, and leaves nothing behind", async () => {
  const files = new MemoryFiles();
  const { log } = await open(files);
  await log.append([record(1)]);
  files.fault = new Error("ENOSPC: no space left on device");
  await assert.rejects(log.append([record(2)]), /cannot write to \/f: ENOSPC.*free or repair the disk/);
  files.fault = undefined;
  await log.append([record(3)]);
  assert.deepEqual((await log.read({ after: 0, limit: 9 })).map(text), ["r1", "r3"]);
  await log[Symbol.asyncDispose]();
  assert.deepEqual((await open(files)).found.map(text), ["r1", "r3"]);
});

test("damage costs the damaged record only, and the file is set aside", async () => {
  const files = new MemoryFiles();
  const { log } = await open(files);
  await log.append([record(1), record(2, "poor record"), record(3)]);
  await log[Symbol.asyncDispose]();
  const [name] = await files.list("/f");
  const bytes = new Uint8Array((await files.read(`/f/${name}`)) ?? []);
  bytes[Buffer.from(bytes).indexOf("poor")] = 0;
  await files.replace(`/f/${name}`, bytes);
  const kept = keptLog();
  const again = await open(files, kept.log);
  assert.deepEqual(again.found.map(text), ["r1", "r3"]);
  assert.equal(again.log.setAside.length, 1);
  assert.ok(kept.lines.some(({ message }) => /damaged/.test(message)));
});

test("what a killed process wrote and never synced is durable once it was found", async () => {
  const other = new MemoryFiles();
  await (await open(other)).log.append([record(1)]);
  const bytes = (await other.read("/f/x-0000000001.log")) as Uint8Array;
  const files = new MemoryFiles();
  const file = await files.openAppend("/f/x-0000000001.log");
  await file.append(bytes); // and the process was killed before its sync
  assert.deepEqual((await open(files)).found.map(text), ["r1"]);
  files.cutPower();
  assert.deepEqual((await open(files)).found.map(text), ["r1"]);
});
