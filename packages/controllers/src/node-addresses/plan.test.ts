import assert from "node:assert/strict";
import { test } from "node:test";
import { freeShare } from "./plan.ts";

for (const { cidr, taken, want } of [
  { cidr: "10.42.0.0/16", taken: [], want: "10.42.0.0/24" },
  { cidr: "10.42.0.0/16", taken: ["10.42.0.0/24", "10.42.2.0/24"], want: "10.42.1.0/24" },
  { cidr: "172.20.8.0/23", taken: ["172.20.8.0/24"], want: "172.20.9.0/24" },
  { cidr: "172.20.8.0/23", taken: ["172.20.8.0/24", "172.20.9.0/24"], want: undefined },
  { cidr: "10.42.0.0/24", taken: ["10.42.0.0/24"], want: undefined },
])
  test(`of ${cidr} without ${taken.join(", ") || "nothing"} the next node gets ${want ?? "none"}`, () => {
    assert.equal(freeShare(cidr, new Set(taken)), want);
  });
