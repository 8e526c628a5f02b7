import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker, type ResourceLimits } from "node:worker_threads";
import { HeldClock } from "@cortado/std/testing/held-clock";
import { hasReason } from "@cortado/std/status";
import { parseYamlDocuments } from "@cortado/wire/yaml";
import { READ_HERE_CHARS_MAX, READ_MS_MAX } from "../../limits.ts";
import { atItsPlace } from "../fleet-yaml/fleet-yaml.ts";
import { readInThreads } from "./manifest-thread.ts";

/** In a test the thread runs the source; in the bundle `program` starts it. */
function opening(resourceLimits: ResourceLimits = {}): {
  readonly open: () => Worker;
  readonly threads: Worker[];
} {
  const module = new URL("./manifest-thread.ts", import.meta.url).href;
  const source = `const { parentPort } = require("node:worker_threads");
    import(${JSON.stringify(module)}).then(({ serveManifests }) => serveManifests(parentPort));`;
  const threads: Worker[] = [];
  return {
    threads,
    open() {
      const thread = new Worker(source, { eval: true, resourceLimits });
      threads.push(thread);
      return thread;
    },
  };
}

function manifest(name: string, bytes: number): string {
  const data = `  big: 12345678901234567890\n  text: ${"x".repeat(bytes)}\n  text: again\n`;
  return `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\ndata:\n${data}`;
}

test("a long manifest is read in a thread as it would be here, while others get their turn", async () => {
  const { open, threads } = opening();
  const read = readInThreads(open, new HeldClock());
  const text = Array.from({ length: 400 }, (_, at) => manifest(`m-${at}`, 1_000)).join("---\n");
  assert.ok(text.length > READ_HERE_CHARS_MAX);
  let turns = 0;
  const turn = setInterval(() => (turns += 1), 1);
  const [documents, again] = await Promise.all([read(text), read(text)]);
  clearInterval(turn);
  assert.deepEqual(documents, parseYamlDocuments(text));
  assert.deepEqual(again, documents);
  assert.equal(documents.length, 400);
  assert.ok(turns > 5, `${turns} turns of others`);
  assert.equal(threads.length, 2);
  assert.deepEqual(
    threads.map(({ threadId }) => threadId),
    [-1, -1],
    "no thread outlives its text",
  );
});

test("a short one is read here", async () => {
  const { open, threads } = opening();
  const [document] = await readInThreads(open, new HeldClock())(manifest("short", 10));
  assert.deepEqual(document?.duplicates, ["text"]);
  assert.equal(threads.length, 0);
});

test("a long one that is no YAML is refused with its place, and the next is read", async () => {
  const { open } = opening();
  const read = readInThreads(open, new HeldClock());
  const bad = `${manifest("m", READ_HERE_CHARS_MAX)}---\nkind: [\n`;
  const why = (error: unknown): string => {
    assert.ok(hasReason(error, "BadRequest"), String(error));
    return atItsPlace("orders.yaml", error).message;
  };
  const [one, other] = await Promise.allSettled([read(bad), read(manifest("m", READ_HERE_CHARS_MAX))]);
  assert.equal(other.status, "fulfilled");
  assert.equal(one.status, "rejected");
  let here = "";
  try {
    parseYamlDocuments(bad);
  } catch (error) {
    here = why(error);
  }
  assert.match(here, /^orders.yaml:11:1: this is not YAML: /);
  assert.equal(why(one.reason), here);
});

test("one that takes too much memory or time is refused, and costs this process nothing", async () => {
  const many = `a:\n${"- 1\n".repeat(400_000)}`;
  const small = readInThreads(opening({ maxOldGenerationSizeMb: 24 }).open, new HeldClock());
  await assert.rejects(
    small(many),
    (error) => hasReason(error, "Invalid") && /more memory .*several files/.test(error.message),
  );
  const clock = new HeldClock();
  const source = `setInterval(() => {}, 1_000);`;
  const slow = readInThreads(() => new Worker(source, { eval: true }), clock)(many);
  const isLate = assert.rejects(
    slow,
    (error) => hasReason(error, "Invalid") && /longer than 60 s/.test(error.message),
  );
  await new Promise((resolve) => setImmediate(resolve));
  await clock.advance(READ_MS_MAX);
  await isLate;
});
