import { test } from "node:test";
import { outage } from "../testing/outage.ts";

test("an hour without a line: all arrive in order and within the budget, each once by the ids, over power cuts", () =>
  outage({ seconds: 3_600, bytesPerS: 200_000, burstBytes: 100_000, cutEveryS: 20 }));
