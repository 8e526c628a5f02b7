import type { Clock } from "@cortado/std/clock";
import { messageOf } from "@cortado/std/status";
import type { Log } from "@cortado/std/log";
import type { Store } from "@cortado/store";
import { decodeJson } from "@cortado/wire/json";
import type { Tree } from "@cortado/kinds/tree";

export type Followed = {
  readonly prefix: string;
  /** The object as it is now, by its key; told for each one at the start. */
  put(key: string, object: Tree): void;
  gone(key: string): void;
};

export type Following = {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
};

/** Between two tries after the watch broke. */
const AGAIN_MS = 1_000;

/** Keeps something in memory true to a prefix of the store. Resolves when the present state has been told. */
export async function follow({ store, clock, log, signal }: Following, followed: Followed): Promise<void> {
  const known = new Set<string>();
  const load = async (): Promise<AsyncIterable<readonly StoreEventLike[]>> => {
    const { items, revision } = await store.list({ prefix: followed.prefix });
    const now = new Set(items.map((item) => item.key));
    for (const key of known) if (!now.has(key)) followed.gone(key);
    known.clear();
    for (const item of items) {
      known.add(item.key);
      followed.put(item.key, decodeJson(item.value) as Tree);
    }
    return store.watch({ prefix: followed.prefix, after: revision, signal });
  };
  const run = async (first: AsyncIterable<readonly StoreEventLike[]>): Promise<void> => {
    let events = first;
    while (!signal.aborted) {
      try {
        for await (const batch of events) for (const event of batch) tell(event, { followed, known });
        if (signal.aborted) return;
      } catch (error) {
        if (signal.aborted) return;
        log.warn("a watch of the store broke; reading again", {
          prefix: followed.prefix,
          error: messageOf(error),
        });
        await clock.sleep(AGAIN_MS, { signal }).catch(() => undefined);
      }
      if (!signal.aborted) events = await load();
    }
  };
  const first = await load();
  void run(first).catch((error: unknown) =>
    log.error("the server lost sight of its store", { prefix: followed.prefix, error }),
  );
}

type StoreEventLike = { readonly kind: "put" | "delete"; readonly key: string; readonly value: Uint8Array };

function tell(
  event: StoreEventLike,
  { followed, known }: { readonly followed: Followed; readonly known: Set<string> },
): void {
  if (event.kind === "delete") {
    known.delete(event.key);
    followed.gone(event.key);
    return;
  }
  known.add(event.key);
  followed.put(event.key, decodeJson(event.value) as Tree);
}
