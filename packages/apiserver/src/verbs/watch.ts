import { parseRevision, type Revision, type StoreEvent } from "@cortado/store";
import type { Tree } from "@cortado/kinds/tree";
import { toStatusError } from "@cortado/std/status";
import type { Call } from "../server.ts";
import { badRequest } from "../errors.ts";
import { BOOKMARK_MS, WATCH_MS_MIN } from "../limits.ts";
import { readSelection, selected, selectsAll, type Selection } from "../selectors.ts";
import { objectOf, prefixOf, storedOf, type StoredObject } from "../storage/records.ts";
import type { Change, Outcome } from "./outcome.ts";
import { breathe, listMany } from "./read.ts";

/** Changes from a revision on, or the present state as additions and then the changes. */
export async function watchMany(call: Call): Promise<Outcome> {
  const { query, kind } = call;
  const plan = readPlan(call);
  const selection = readWatchSelection(call);
  const start = plan.wantsState ? await listMany({ ...call, query: withoutPaging(query) }) : undefined;
  const after = start?.kind === "list" ? start.revision : plan.after;
  // A revision that is forgotten is said at once, as an answer and not as an event, so that reflectors list again.
  const items = start?.kind === "list" ? start.items : [];
  const source = { ...plan, kind, selection, items, after };
  return { kind: "watch", changes: changesOf(call, source) };
}

type Plan = {
  readonly wantsState: boolean;
  readonly after: Revision;
  readonly sendsInitialEnd: boolean;
  readonly sendsBookmarks: boolean;
  readonly endsMs: number;
};

function readPlan(call: Call): Plan {
  const { query, server } = call;
  const version = query.get("resourceVersion") ?? "";
  const initial = query.get("sendInitialEvents");
  const match = query.get("resourceVersionMatch") ?? "";
  const bookmarks = query.get("allowWatchBookmarks");
  const sendsBookmarks = bookmarks === "true" || bookmarks === "1";
  if (initial !== null && match !== "NotOlderThan")
    throw badRequest("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
  if (initial === null && match !== "")
    throw badRequest("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
  const wantsState =
    initial === null ? version === "" || version === "0" : initial === "true" || initial === "1";
  const asked = version === "" || version === "0" ? server.store.revision : parseRevision(version);
  const seconds = Number(query.get("timeoutSeconds") ?? "0");
  const endsMs = seconds > 0 ? seconds * 1_000 : WATCH_MS_MIN + server.random.integer(WATCH_MS_MIN);
  return {
    wantsState,
    after: asked,
    sendsInitialEnd: wantsState && initial !== null && sendsBookmarks,
    sendsBookmarks,
    endsMs,
  };
}

// A watch of one object by its name is a watch with a field selector.
function readWatchSelection(call: Call): Selection {
  const selection = readSelection(call.query, call.kind);
  if (call.info.name === "") return selection;
  return {
    ...selection,
    fields: [...selection.fields, { field: "metadata.name", isEqual: true, value: call.info.name }],
  };
}

function withoutPaging(query: URLSearchParams): URLSearchParams {
  const plain = new URLSearchParams(query);
  for (const name of ["limit", "continue", "resourceVersionMatch"]) plain.delete(name);
  return plain;
}

type Source = Plan & {
  readonly kind: Call["kind"];
  readonly selection: Selection;
  readonly items: readonly StoredObject[];
  readonly after: Revision;
};

async function* changesOf(call: Call, source: Source): AsyncGenerator<Change, void, void> {
  const { server } = call;
  const ending = new AbortController();
  const signal = AbortSignal.any([call.signal, ending.signal]);
  const deadline = server.clock.after(source.endsMs, () => ending.abort());
  const events = server.store
    .watch({ prefix: prefixOf(source.kind, call.info.namespace), after: source.after, signal })
    [Symbol.asyncIterator]();
  let pending: Promise<IteratorResult<readonly StoreEvent[]>> | undefined;
  try {
    for (const [index, stored] of source.items.entries()) {
      yield { type: "ADDED", stored };
      if (index % 500 === 499) await breathe();
    }
    if (source.sendsInitialEnd) yield { type: "BOOKMARK", revision: source.after, isInitialEnd: true };
    while (!signal.aborted) {
      pending ??= events.next();
      const next = await nextOrBookmark(call, { pending, signal, sendsBookmarks: source.sendsBookmarks });
      if (next.kind === "bookmark") {
        yield { type: "BOOKMARK", revision: next.revision, isInitialEnd: false };
        continue;
      }
      pending = undefined;
      if (next.result.done === true) return;
      for (const event of next.result.value) {
        const change = changeOf(event, source);
        if (change !== undefined) yield change;
      }
    }
  } catch (error) {
    if (signal.aborted) return;
    yield { type: "ERROR", status: toStatusError(error).toStatus() };
  } finally {
    deadline[Symbol.dispose]();
    ending.abort();
    pending?.catch(() => undefined);
    await events.return?.();
  }
}

type Next =
  | { readonly kind: "events"; readonly result: IteratorResult<readonly StoreEvent[]> }
  | { readonly kind: "bookmark"; readonly revision: Revision };

type Waiting = {
  readonly pending: Promise<IteratorResult<readonly StoreEvent[]>>;
  readonly signal: AbortSignal;
  readonly sendsBookmarks: boolean;
};

async function nextOrBookmark(call: Call, { pending, sendsBookmarks }: Waiting): Promise<Next> {
  const events = pending.then((result): Next => ({ kind: "events", result }));
  if (!sendsBookmarks) return events;
  let timer: Disposable | undefined;
  const bookmark = new Promise<Next>((resolve) => {
    timer = call.server.clock.after(BOOKMARK_MS, () => {
      // The store tells a commit to its watchers before anybody can read the revision, so after one more turn with no
      // event everything up to this revision has been told.
      const { revision } = call.server.store;
      setImmediate(() => resolve({ kind: "bookmark", revision }));
    });
  });
  try {
    return await Promise.race([events, bookmark]);
  } finally {
    timer?.[Symbol.dispose]();
  }
}

function changeOf(event: StoreEvent, { kind, selection }: Source): Change | undefined {
  const now: StoredObject = { bytes: event.value, revision: event.revision };
  if (selectsAll(selection)) {
    if (event.kind === "delete") return { type: "DELETED", stored: now };
    return { type: event.previous === undefined ? "ADDED" : "MODIFIED", stored: now };
  }
  const isNow = event.kind === "put" && selected(objectOf(now, kind), selection, kind);
  const before = event.previous === undefined ? undefined : storedOf(event.previous);
  const wasBefore =
    event.kind === "delete"
      ? matchesDeleted(now, before, { kind, selection })
      : before !== undefined && selected(objectOf(before, kind), selection, kind);
  if (isNow) return { type: wasBefore ? "MODIFIED" : "ADDED", stored: now };
  if (!wasBefore) return undefined;
  // A watcher that loses sight of an object gets its last state as it saw it, at the revision of the change.
  const last = event.kind === "delete" || before === undefined ? now.bytes : before.bytes;
  return { type: "DELETED", stored: { bytes: last, revision: event.revision } };
}

function matchesDeleted(
  now: StoredObject,
  before: StoredObject | undefined,
  { kind, selection }: Pick<Source, "kind" | "selection">,
): boolean {
  return selected(objectOf(before ?? now, kind) as Tree, selection, kind);
}
