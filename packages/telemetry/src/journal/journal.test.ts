import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@cortado/std/random";
import { HeldClock } from "@cortado/std/testing/held-clock";
import { MemoryFiles } from "@cortado/std/testing/memory-files";
import { silentLog } from "@cortado/std/testing/silent-log";
import { TelemetryJournal, type EventKind, type NewEvent } from "./journal.ts";

const at = "2026-11-23T08:00:00Z";
const event = (id: string, kind: EventKind = "order", text = ""): NewEvent => ({
  id,
  kind,
  at,
  payload: { order: id, amount: 350, text },
});

function open(files: MemoryFiles, bytesMax = 1_000_000): Promise<TelemetryJournal> {
  return TelemetryJournal.open({
    files,
    folder: "/t",
    store: "store-042",
    clock: new HeldClock(),
    log: silentLog,
    bytesMax,
    segmentBytes: 2_000,
  });
}

test("an event is given back with store and sequence, after the sequence asked for, by kind", async () => {
  await using journal = await open(new MemoryFiles());
  await journal.append([event("a"), event("l", "log"), event("b")]);
  await journal.append([event("p", "payment")]);
  const all = await journal.read({ after: 0, limit: 10 });
  assert.deepEqual(
    all.map(({ id, sequence, store }) => `${id} ${sequence} ${store}`),
    ["a 1 store-042", "l 2 store-042", "b 3 store-042", "p 4 store-042"],
  );
  assert.deepEqual(
    (await journal.read({ after: 1, kinds: ["order"], limit: 10 })).map(({ id }) => id),
    ["b"],
  );
  assert.deepEqual(
    (await journal.read({ after: 0, limit: 2 })).map(({ id }) => id),
    ["a", "l"],
  );
  assert.deepEqual(all[0]?.payload, { order: "a", amount: 350, text: "" });
});

test("an event that comes again is the same event, also after a restart, a trim and both at once", async () => {
  const files = new MemoryFiles();
  {
    await using journal = await open(files);
    const [one, two] = await Promise.all([
      journal.append([event("a"), event("a")]),
      journal.append([event("a")]),
    ]);
    assert.deepEqual([one.appended, one.known, two.appended, two.known], [["a"], ["a"], [], ["a"]]);
    for (let index = 0; index < 40; index += 1) await journal.append([event(`n${index}`)]);
    await journal.trim(30);
  }
  await using journal = await open(files);
  assert.equal(journal.trimmedThrough, 30);
  for (const id of ["a", "n3", "n39"]) assert.deepEqual((await journal.append([event(id)])).known, [id]);
  const rest = await journal.read({ after: 30, limit: 100 });
  assert.deepEqual([rest.length, rest[0]?.sequence], [11, 31]);
  assert.ok((await journal.read({ after: 0, limit: 100 })).length < 41, "trimmed segments are gone");
  await journal.append([event("new")]);
  assert.equal((await journal.read({ after: 41, limit: 9 }))[0]?.sequence, 42);
});

test("after everything was trimmed, sequences still only grow", async () => {
  const files = new MemoryFiles();
  {
    await using journal = await open(files);
    for (let index = 0; index < 30; index += 1)
      await journal.append([event(`n${index}`, "order", "x".repeat(100))]);
    await journal.trim(30);
  }
  await using journal = await open(files);
  await journal.append([event("next")]);
  assert.equal((await journal.read({ after: 30, limit: 9 })).at(-1)?.sequence, 31);
});

test("when full, logs go before metrics, the oldest first; orders wait for room and none is dropped", async () => {
  await using journal = await open(new MemoryFiles(), 30_000);
  const pad = "x".repeat(500);
  for (let index = 0; index < 10; index += 1) await journal.append([event(`m${index}`, "metric", pad)]);
  for (let index = 0; index < 20; index += 1) await journal.append([event(`l${index}`, "log", pad)]);
  for (let index = 0; index < 24; index += 1) await journal.append([event(`o${index}`, "order", pad)]);
  const ids = async (): Promise<string[]> =>
    (await journal.read({ after: 0, limit: 1_000 })).map(({ id }) => id);
  const first = await ids();
  assert.ok(!first.includes("l0") && first.includes("m0"), "logs first");
  const lastLog = first.filter((id) => id.startsWith("l")).at(-1);
  assert.ok(lastLog === undefined || lastLog === "l19", "the newest logs are the last to go");
  let full: Error | undefined;
  for (let index = 24; index < 90 && full === undefined; index += 1)
    await journal.append([event(`o${index}`, "order", pad)]).catch((error: Error) => void (full = error));
  assert.match(full?.message ?? "", /full of orders, payments and alerts/);
  const left = await ids();
  assert.ok(
    left.every((id) => id.startsWith("o")),
    "nothing else is left",
  );
  assert.deepEqual(
    left,
    left.map((_, index) => `o${index}`),
    "no order is missing",
  );
  assert.deepEqual((await journal.append([event("late", "log", pad)])).dropped, ["late"]);
  assert.deepEqual((await journal.append([event("o3")])).known, ["o3"], "a known one is answered even now");
  await journal.trim(1_000);
  assert.deepEqual((await journal.append([event("o200")])).appended, ["o200"]);
});

for (let seed = 1; seed <= 8; seed += 1)
  test(`no appended event is lost or doubled over power cuts, seed ${seed}`, async () => {
    const random = seededRandom(seed);
    const files = new MemoryFiles({ random });
    const sent = new Set<string>();
    for (let cut = 0; cut < 4; cut += 1) {
      const journal = await open(files);
      const before: string[] = [];
      for (let round = random.integer(20); round > 0; round -= 1) {
        const id = `e${random.integer(60)}`;
        void journal.append([event(id, random.integer(2) === 0 ? "order" : "log")]).then(
          () => before.push(id),
          () => undefined,
        );
        for (let turn = random.integer(8); turn > 0; turn -= 1) await Promise.resolve();
      }
      files.fault = new Error("no power");
      for (const id of before) sent.add(id);
      files.cutPower();
      await new Promise((resolve) => void setImmediate(resolve));
      files.fault = undefined;
    }
    await using journal = await open(files);
    const ids = (await journal.read({ after: 0, limit: 1_000 })).map(({ id }) => id);
    assert.deepEqual(
      [...sent].filter((id) => !ids.includes(id)),
      [],
    );
    assert.equal(new Set(ids).size, ids.length);
  });

test("a full disk is said, and nothing was taken", async () => {
  const files = new MemoryFiles();
  await using journal = await open(files);
  files.fault = new Error("ENOSPC");
  await assert.rejects(journal.append([event("a")]), /ENOSPC/);
  files.fault = undefined;
  assert.deepEqual((await journal.append([event("a")])).appended, ["a"]);
});
