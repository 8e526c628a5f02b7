import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { boxMissing, runInBox } from "./testing/box.ts";

const skip = boxMissing() ?? false;
const inner = join(import.meta.dirname, "testing", "inside-box.ts");

test(
  "the node runs pods in a containerd of its own (a whole suite inside a box)",
  { skip, timeout: 240_000 },
  async (context) => {
    const { code, output } = await runInBox([
      process.execPath,
      "--test",
      "--test-isolation=none",
      "--test-reporter=tap",
      inner,
    ]);
    for (const line of output.split("\n")) if (/^\s*(not )?ok /.test(line)) context.diagnostic(line.trim());
    assert.equal(code, 0, output);
  },
);
