import assert from "node:assert/strict";
import { test } from "node:test";
import { markText, readMark, type Mark } from "../bridge/mark.ts";
import { HEARD_SEQUENCES_MAX } from "../limits.ts";
import { HeardBridges, type HeardRecord } from "./heard-bridges.ts";

const mark = (sequence: number, through = 0, spans: Mark["spans"] = []): Mark => ({
  id: "b0b0b0b0.hq",
  sequence,
  through,
  spans,
});
const property = (one: Mark): readonly { name: string; value: string }[] => [
  { name: "cortado-bridge", value: markText(one) },
];
const kind = (heard: HeardBridges, one: Mark, user = "store"): string =>
  heard.judge(property(one), user).kind;

test("a mark is read as it was written, and what is no mark is none", () => {
  for (const one of [mark(7), mark(9, 3, [{ from: 5, to: 6 }]), mark(2 ** 50, 2 ** 49)])
    assert.deepEqual(readMark(markText(one)), one);
  for (const text of [
    "",
    "-",
    "id",
    "id x 0",
    "id 0 0",
    "id 1",
    "id 1 0 5",
    "id 1 -1",
    "i d 1 0",
    `${"x".repeat(401)} 1 0`,
  ])
    assert.equal(readMark(text), undefined, text);
});

test("a message is new once: while it is on its way to disk, after, and after a restart", () => {
  const heard = new HeardBridges();
  assert.equal(kind(heard, mark(10)), "new");
  heard.admitted(mark(10), "store");
  assert.equal(kind(heard, mark(10)), "again");
  heard.note(mark(10));
  heard.note(mark(14, 10));
  assert.equal(kind(heard, mark(14, 10)), "again");
  assert.equal(kind(heard, mark(12, 10)), "new", "one that was refused before comes late");
  const next = new HeardBridges();
  for (const record of heard.records()) next.apply(JSON.parse(JSON.stringify(record)) as HeardRecord);
  assert.equal(kind(next, mark(14, 10)), "again");
  assert.equal(kind(next, mark(9, 10)), "again", "its sender is done with it");
  assert.equal(kind(next, mark(15, 10)), "new");
});

test("what is only admitted is not in the state that is kept", () => {
  const heard = new HeardBridges();
  heard.admitted(mark(10), "store");
  const next = new HeardBridges();
  for (const record of heard.records()) next.apply(record);
  assert.equal(kind(next, mark(10)), "new");
});

test("stretches take the place of single numbers", () => {
  const heard = new HeardBridges();
  for (let at = 1_000; at > 500; at -= 1) heard.note(mark(at, 0, [{ from: at + 1, to: 1_000 }]));
  const [record] = heard.records();
  assert.deepEqual(record?.seen, [501]);
  assert.equal(kind(heard, mark(777)), "again");
  assert.equal(kind(heard, mark(400)), "new");
});

test("a mark counts from its own bridge only", () => {
  const heard = new HeardBridges();
  heard.admitted(mark(10), "store");
  assert.equal(kind(heard, mark(11), "thief"), "foreign");
  assert.equal(heard.judge(undefined, "store").kind, "unmarked");
});

test("what is remembered of one bridge has a limit, and the oldest goes", () => {
  const heard = new HeardBridges();
  for (let at = 1; at <= HEARD_SEQUENCES_MAX + 5; at += 1) heard.note(mark(at * 2));
  const [record] = heard.records();
  assert.equal(record?.seen?.length, HEARD_SEQUENCES_MAX);
  assert.equal(kind(heard, mark(2)), "new");
});
