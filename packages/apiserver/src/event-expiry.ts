import { every, type Clock } from "@cortado/std/clock";
import { messageOf } from "@cortado/std/status";
import type { Log } from "@cortado/std/log";
import type { Store } from "@cortado/store";
import { decodeJson } from "@cortado/wire/json";
import { textAt } from "@cortado/kinds/tree";
import { EVENT_MS, EVENT_SWEEP_ITEMS, EVENT_SWEEP_MS } from "./limits.ts";
import { breathe } from "./verbs/read.ts";

type Expiring = { readonly store: Store; readonly clock: Clock; readonly log: Log };

/** Forgets events after an hour (kube-apiserver, --event-ttl). */
export function expireEvents(ports: Expiring): Disposable {
  let isSweeping = false;
  return every(ports.clock, EVENT_SWEEP_MS, () => {
    if (isSweeping) return;
    isSweeping = true;
    void sweep(ports)
      .catch((error: unknown) =>
        ports.log.warn("old events could not be removed", { error: messageOf(error) }),
      )
      .finally(() => (isSweeping = false));
  });
}

async function sweep({ store, clock }: Expiring): Promise<void> {
  const { items } = await store.list({ prefix: "/registry/core/events/" });
  const before = clock.nowMs() - EVENT_MS;
  for (const [index, item] of items.entries()) {
    const event = decodeJson(item.value);
    const told =
      textAt(event, "series", "lastObservedTime") ||
      textAt(event, "lastTimestamp") ||
      textAt(event, "eventTime") ||
      textAt(event, "metadata", "creationTimestamp");
    const isOld = !(Date.parse(told) > before);
    if (isOld)
      await store.write({
        kind: "delete",
        key: item.key,
        expect: { kind: "modified", revision: item.modified },
      });
    if (index % EVENT_SWEEP_ITEMS === EVENT_SWEEP_ITEMS - 1) await breathe();
  }
}
