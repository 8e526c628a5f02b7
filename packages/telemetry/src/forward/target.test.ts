import assert from "node:assert/strict";
import { test } from "node:test";
import { hasReason } from "@cortado/std/status";
import { readTargets } from "./target.ts";

const good = "name: loki, kind: loki, url: 'http://127.0.0.1:3100'";

test("a target has what it is for by default", () => {
  const [loki, prometheus] = readTargets(
    `targets:\n - { ${good} }\n - { name: prom, kind: remote-write, url: 'http://127.0.0.1/api/v1/write', begin: oldest, kinds: [machine] }`,
    "f.yaml",
  );
  assert.deepEqual(loki?.kinds, ["order", "payment", "alert", "event", "log"]);
  assert.deepEqual([loki?.begin, prometheus?.begin], ["now", "oldest"]);
  assert.deepEqual(prometheus?.kinds, ["machine"]);
});

for (const { text, names } of [
  { text: "", names: "targets" },
  { text: "targets: []", names: "targets" },
  { text: "targets: [loki]", names: "targets[0]" },
  { text: `targets: [{ ${good}, colour: red }]`, names: "targets[0].colour" },
  { text: "targets: [{ name: Loki, kind: loki, url: 'http://a' }]", names: "targets[0].name" },
  { text: "targets: [{ name: loki, kind: kafka, url: 'http://a' }]", names: "targets[0].kind" },
  { text: "targets: [{ name: loki, kind: loki, url: 'ftp://a' }]", names: "targets[0].url" },
  { text: `targets: [{ ${good}, kinds: [cup] }]`, names: "targets[0].kinds" },
  { text: `targets: [{ ${good}, begin: later }]`, names: "targets[0].begin" },
  { text: `targets: [{ ${good}, headers: { a: [1] } }]`, names: "targets[0].headers.a" },
  { text: `targets: [{ ${good} }, { ${good} }]`, names: "two targets are named loki" },
])
  test(`a file with ${JSON.stringify(text)} is refused by name`, () =>
    assert.throws(
      () => readTargets(text, "f.yaml"),
      (error) =>
        hasReason(error, "Invalid") && error.message.includes(names) && error.message.startsWith("f.yaml: "),
    ));
