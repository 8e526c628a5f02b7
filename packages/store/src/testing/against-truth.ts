import assert from "node:assert/strict";
import { hasReason } from "@cortado/std/status";
import type { Random } from "@cortado/std/random";
import type { KeyValue, ListQuery, ListResult, Revision, Store, StoreEvent, Write } from "../store.ts";

type Change = { readonly revision: Revision; readonly write: Write };
type Answered<Answer> = { readonly from: Revision; readonly to: Revision; readonly answer: Answer };
type Got = Answered<KeyValue | undefined> & { readonly key: string };

export type TruthOptions = {
  readonly random: Random;
  readonly turns: number;
  readonly open: () => Promise<Store>;
  /** Called before each turn; answers whether what is under way may fail. */
  readonly disturb?: () => boolean;
  /** Called before the store is closed: nothing fails from then on. */
  readonly calm?: () => void;
};

const keys = Array.from({ length: 24 }, (_, at) => `/${at % 3 === 0 ? "a" : "b"}/${at}`);

/**
 * Reads, lists, watches and writes a store at random, many at once, and opens it again now and then; then holds every answer against
 * the one history that the writes which succeeded make.
 */
export async function holdAgainstTruth(options: TruthOptions): Promise<void> {
  const run = new Run(options);
  await run.go();
  run.check();
}

class Run {
  readonly #options: TruthOptions;
  readonly #changes: Change[] = [];
  readonly #got: Got[] = [];
  readonly #listed: { readonly query: ListQuery; readonly result: ListResult }[] = [];
  readonly #refused: (Answered<KeyValue | undefined> & { readonly write: Write })[] = [];
  readonly #told: { readonly after: Revision; readonly through: Revision; readonly events: StoreEvent[] }[] =
    [];
  #mayFail = false;
  #writes = 0;

  constructor(options: TruthOptions) {
    this.#options = options;
  }

  async go(): Promise<void> {
    const { random, turns, open, disturb, calm } = this.#options;
    for (let left = turns; left > 0;) {
      const store = await open();
      const stop = new AbortController();
      const watching = this.#watch(store, stop.signal);
      const underWay: Promise<void>[] = [];
      const round = Math.min(left, 20 + random.integer(100));
      left -= round;
      for (let turn = 0; turn < round; turn += 1) {
        this.#mayFail = disturb?.() ?? false;
        for (let act = random.integer(6); act >= 0; act -= 1) underWay.push(this.#act(store));
        if (random.integer(4) === 0 || disturb !== undefined) await Promise.all(underWay.splice(0));
        else await new Promise((resolve) => void setImmediate(resolve));
      }
      await Promise.all(underWay);
      calm?.();
      // Of the last write the watch is told too.
      while (watching.told() < store.revision) await new Promise((resolve) => void setImmediate(resolve));
      stop.abort();
      await watching.ended;
      await store[Symbol.asyncDispose]();
    }
  }

  #watch(store: Store, signal: AbortSignal): { readonly ended: Promise<void>; told(): Revision } {
    const after = store.revision;
    const events: StoreEvent[] = [];
    const told = (): Revision => events.at(-1)?.revision ?? after;
    const ended = (async () => {
      for await (const batch of store.watch({ prefix: "/", after, signal })) events.push(...batch);
      this.#told.push({ after, through: told(), events });
    })();
    return { ended, told };
  }

  async #act(store: Store): Promise<void> {
    const mayFail = this.#mayFail;
    try {
      const what = this.#options.random.integer(10);
      if (what < 3) await this.#get(store);
      else if (what < 5) await this.#list(store);
      else await this.#write(store);
    } catch (error) {
      const isSaid = hasReason(error, "ServiceUnavailable", "InsufficientStorage");
      assert.ok(mayFail && isSaid, `nothing else fails: ${String(error)}`);
    }
  }

  #key(): string {
    return keys[this.#options.random.integer(keys.length)] as string;
  }

  async #get(store: Store): Promise<void> {
    const [key, from] = [this.#key(), store.revision];
    const answer = await store.get(key);
    this.#got.push({ key, from, to: store.revision, answer });
  }

  async #list(store: Store): Promise<void> {
    const { random } = this.#options;
    const back = random.integer(30);
    const at = Math.max(store.compacted, store.revision - back) as Revision;
    const query: ListQuery = {
      prefix: ["/", "/a/", "/b/"][random.integer(3)] as string,
      ...(random.integer(2) === 0 ? {} : { limit: 1 + random.integer(10) }),
      ...(random.integer(3) === 0 ? { after: this.#key() } : {}),
      ...(random.integer(2) === 0 ? {} : { at }),
    };
    const now = store.revision;
    const result = await store.list(query);
    assert.equal(result.revision, query.at ?? now);
    this.#listed.push({ query, result });
  }

  async #write(store: Store): Promise<void> {
    const key = this.#key();
    const from = store.revision;
    const write = await this.#aWrite(store, key);
    const result = await store.write(write);
    if (result.written) this.#changes.push({ revision: result.revision, write });
    else this.#refused.push({ write, from, to: store.revision, answer: result.current });
  }

  async #aWrite(store: Store, key: string): Promise<Write> {
    const { random } = this.#options;
    this.#writes += 1;
    const value = new TextEncoder().encode(`${this.#writes}`.padEnd(1 + random.integer(120), "."));
    const what = random.integer(10);
    if (what === 0) return { kind: "delete", key, expect: { kind: "anything" } };
    if (what === 1) return { kind: "put", key, value, expect: { kind: "absent" } };
    if (what < 4) return { kind: "put", key, value, expect: { kind: "anything" } };
    if (what === 4) return { kind: "put", key, value, expect: { kind: "anything" }, volatile: true };
    const found = await store.get(key);
    const expect =
      found === undefined
        ? ({ kind: "absent" } as const)
        : ({ kind: "modified", revision: found.modified } as const);
    return { kind: "put", key, value, expect };
  }

  check(): void {
    const history = new Answers(this.#changes);
    for (const { key, from, to, answer } of this.#got)
      assert.ok(history.wasEver(key, { from, to }, answer), `a read of ${key} between ${from} and ${to}`);
    for (const { write, from, to, answer } of this.#refused)
      assert.ok(
        history.wasEver(write.key, { from, to }, answer),
        `what ${write.key} was when it was refused`,
      );
    for (const { query, result } of this.#listed)
      assert.deepEqual(result, history.list(query, result.revision));
    for (const { after, through, events } of this.#told)
      assert.deepEqual(
        events,
        history.events.filter(({ revision }) => revision > after && revision <= through),
      );
    assert.ok(
      this.#got.length > 0 && this.#listed.length > 0 && history.events.length > 0,
      "something was done",
    );
  }
}

/** What a store must answer, made in the plainest way. */
class Answers {
  readonly events: readonly StoreEvent[];
  readonly #states: { readonly revision: number; readonly values: ReadonlyMap<string, KeyValue> }[] = [
    { revision: 0, values: new Map() },
  ];

  constructor(changes: readonly Change[]) {
    this.events = changes
      .toSorted((one, other) => one.revision - other.revision)
      .map((change) => this.#take(change));
  }

  #take({ revision, write }: Change): StoreEvent {
    const { key } = write;
    const values = new Map(this.#states.at(-1)?.values);
    const previous = values.get(key);
    const created = previous?.created ?? revision;
    const value = write.kind === "put" ? write.value : (previous as KeyValue).value;
    if (write.kind === "put") values.set(key, { key, value, modified: revision, created });
    else values.delete(key);
    this.#states.push({ revision, values });
    return { kind: write.kind, key, value, revision, created, previous };
  }

  wasEver(
    key: string,
    { from, to }: { readonly from: number; readonly to: number },
    answer: KeyValue | undefined,
  ): boolean {
    const first = this.#states.findLastIndex(({ revision }) => revision <= from);
    const last = this.#states.findLastIndex(({ revision }) => revision <= to);
    return this.#states.slice(first, last + 1).some(({ values }) => isSame(values.get(key), answer));
  }

  list({ prefix, after = "", limit = Number.POSITIVE_INFINITY }: ListQuery, at: Revision): ListResult {
    const values =
      this.#states.findLast(({ revision }) => revision <= at)?.values ?? new Map<string, KeyValue>();
    const all = [...values.values()]
      .filter(({ key }) => key.startsWith(prefix) && key > after)
      .toSorted((one, other) => (one.key < other.key ? -1 : 1));
    const items = all.slice(0, limit);
    return { items, revision: at, remaining: all.length - items.length };
  }
}

function isSame(one: KeyValue | undefined, other: KeyValue | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  return (
    one.modified === other.modified &&
    one.created === other.created &&
    Buffer.compare(one.value, other.value) === 0
  );
}
