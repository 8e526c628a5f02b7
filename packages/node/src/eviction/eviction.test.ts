import assert from "node:assert/strict";
import { test } from "node:test";
import type { PodSpec } from "@cortado/kinds";
import { newRecord, type PodRecord } from "../pods/record.ts";
import type { StoredPod } from "../pods/pod.ts";
import { diskPressed, evictionOrder, worthwhileBytes } from "./eviction.ts";

function record(uid: string, spec: Partial<PodSpec>, phase = "Running"): PodRecord {
  return newRecord(uid, {
    metadata: { name: uid, uid, resourceVersion: "1" },
    spec: { containers: [{ name: "a", ...(spec.containers?.[0] ?? {}) }], ...spec },
    status: { phase },
  } as unknown as StoredPod);
}

const asking = { containers: [{ name: "a", resources: { requests: { memory: "1000" } } }] };

test("memory: who uses more than it asked for goes first, then low priority, then the larger; critical pods never", () => {
  const records = [
    record("modest", { ...asking }),
    record("greedy", {}),
    record("greedier", {}),
    record("important", { priority: 100 }),
    record("critical", { priority: 2_000_001_000 }),
    record("over", {}, "Failed"),
  ];
  const usage = new Map([
    ["modest", 900],
    ["greedy", 10],
    ["greedier", 20],
    ["important", 5_000],
    ["critical", 9_000],
  ]);
  assert.deepEqual(
    evictionOrder({ records, usage, scarce: "memory" }).map(({ uid }) => uid),
    ["greedier", "greedy", "important", "modest"],
  );
});

test("a disk is short by bytes or by inodes", () => {
  const disk = { totalBytes: 100, freeBytes: 50, inodesTotal: 100, inodesFree: 50 };
  assert.deepEqual(
    [
      disk,
      { ...disk, freeBytes: 9 },
      { ...disk, inodesFree: 4 },
      { ...disk, inodesTotal: 0, inodesFree: 0 },
    ].map(diskPressed),
    [false, true, true, false],
  );
});

test("a pod goes for a full disk only if that helps: it frees a twentieth of what is missing, and a megabyte", () => {
  const disk = { totalBytes: 1_000_000_000, freeBytes: 0, inodesTotal: 0, inodesFree: 0 };
  assert.equal(worthwhileBytes(disk), 5_000_000);
  assert.equal(worthwhileBytes({ ...disk, freeBytes: 99_000_000 }), 1024 * 1024);
});
