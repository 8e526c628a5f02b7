import assert from "node:assert/strict";
import { closeSync, existsSync, openSync } from "node:fs";
import { test } from "node:test";
import { writeText } from "./standard-output.ts";

test(
  "a log on a full disk loses lines and ends nothing",
  { skip: existsSync("/dev/full") ? false : "needs /dev/full" },
  () => {
    const full = openSync("/dev/full", "w");
    assert.doesNotThrow(() => writeText(full, "lost"));
    assert.doesNotThrow(() => writeText(full, "lost too"));
    closeSync(full);
  },
);
