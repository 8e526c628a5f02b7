import assert from "node:assert/strict";
import { test } from "node:test";
import type { Api, ApiObject, Timing } from "./api.ts";
import { LiveList } from "./live-list.ts";

const object = (name: string, resourceVersion: number, state = "Ready"): ApiObject & { state: string } => ({
  metadata: { name, namespace: "shops", resourceVersion: String(resourceVersion) },
  state,
});

/** An API of one list, told by a test; the machine's time passes at once. */
class FakeApi implements Api {
  objects: ApiObject[] = [];
  readonly asked: Readonly<Record<string, string>>[] = [];
  #feed: ((line: unknown) => void) | undefined;
  #end: ((error?: Error) => void) | undefined;
  isUp = true;

  get(_path: string, query: Readonly<Record<string, string>> = {}): Promise<unknown> {
    this.asked.push(query);
    if (!this.isUp) return Promise.reject(new Error("nobody answers"));
    const from = Number(query["continue"] ?? 0);
    const to = from + Number(query["limit"]);
    const more =
      to < this.objects.length ? { continue: String(to), remainingItemCount: this.objects.length - to } : {};
    return Promise.resolve({
      metadata: { resourceVersion: "7", ...more },
      items: this.objects.slice(from, to),
    });
  }

  async *lines(_path: string, query: Readonly<Record<string, string>>): AsyncIterable<unknown> {
    this.asked.push(query);
    const waiting: unknown[] = [];
    let wake = (): void => undefined;
    let ended: { readonly error: Error | undefined } | undefined;
    this.#feed = (line) => {
      waiting.push(line);
      wake();
    };
    this.#end = (error) => {
      ended = { error };
      wake();
    };
    for (;;) {
      while (waiting.length > 0) yield waiting.shift();
      if (ended?.error !== undefined) throw ended.error;
      if (ended !== undefined) return;
      await new Promise<void>((resolve) => (wake = resolve));
    }
  }

  say(type: string, of: unknown): void {
    this.#feed?.({ type, object: of });
  }

  end(error?: Error): void {
    this.#end?.(error);
  }
}

const atOnce: Timing = { nowMs: () => 5, sleep: () => new Promise((resolve) => setImmediate(resolve)) };

async function settled(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

function start(api: FakeApi): {
  readonly list: LiveList<string>;
  readonly stop: AbortController;
  seen: () => number;
} {
  const stop = new AbortController();
  let times = 0;
  const list = new LiveList<string>({
    api,
    timing: atOnce,
    path: "/apis/x/v1/things",
    toRow: (one) => (one as ApiObject & { state: string }).state,
    changed: () => void (times += 1),
    signal: stop.signal,
  });
  return { list, stop, seen: () => times };
}

test("a long list comes in pages, and is followed from its revision on", async () => {
  const api = new FakeApi();
  api.objects = Array.from({ length: 1_500 }, (_, at) => object(`s-${at}`, at));
  const { list, stop, seen } = start(api);
  await settled();
  assert.deepEqual(list.state, { kind: "live" });
  assert.equal(list.rows.size, 1_500);
  assert.deepEqual(api.asked, [
    { limit: "200" },
    { limit: "1000", continue: "200" },
    { limit: "1000", continue: "1200" },
    { watch: "1", resourceVersion: "7", allowWatchBookmarks: "true" },
  ]);
  const before = seen();
  api.say("ADDED", object("new", 8));
  api.say("MODIFIED", object("s-1", 9, "Offline"));
  api.say("DELETED", object("s-2", 10));
  api.say("BOOKMARK", { metadata: { resourceVersion: "20" } });
  await settled();
  assert.deepEqual(
    [list.rows.get("shops/new"), list.rows.get("shops/s-1"), list.rows.get("shops/s-2")],
    ["Ready", "Offline", undefined],
  );
  assert.ok(seen() > before, "who shows it is told");
  api.end();
  await settled();
  assert.equal(api.asked.at(-1)?.["resourceVersion"], "20", "a watch that ends is taken up where it was");
  stop.abort();
  api.end();
});

test("a hub that is gone leaves what was known to be seen, and says so; what went meanwhile goes when it is back", async () => {
  const api = new FakeApi();
  api.objects = [object("one", 1), object("two", 2)];
  const { list, stop } = start(api);
  await settled();
  api.isUp = false;
  api.end(new Error("the line broke"));
  await settled();
  assert.deepEqual(list.state, { kind: "lost", sinceMs: 5, why: "the line broke" });
  assert.equal(list.rows.size, 2);
  api.objects = [object("two", 3, "Offline")];
  api.isUp = true;
  await settled();
  assert.deepEqual(list.state, { kind: "live" });
  assert.deepEqual([...list.rows], [["shops/two", "Offline"]]);
  stop.abort();
  api.end();
});

test("a revision that is too old begins anew", async () => {
  const api = new FakeApi();
  api.objects = [object("one", 1)];
  const { list, stop } = start(api);
  await settled();
  api.objects = [object("other", 9)];
  api.say("ERROR", { metadata: {}, message: "too old resource version" });
  await settled();
  assert.deepEqual([...list.rows.keys()], ["shops/other"]);
  stop.abort();
  api.end();
});
