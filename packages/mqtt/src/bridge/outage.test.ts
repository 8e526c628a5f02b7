import { test } from "node:test";
import { outage } from "../testing/outage.ts";

test("a minute without a line: all arrive in order and within the budget, each once by the ids, over power cuts", () =>
  outage({ seconds: 60, bytesPerS: 60_000, burstBytes: 30_000, cutEveryS: 3 }));
