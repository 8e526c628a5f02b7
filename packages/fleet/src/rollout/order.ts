import { NAMED_STORES_MAX } from "./limits.ts";
import type { RolloutStore } from "./model.ts";

/** Stores by key. What comes in order, as from a hub that keeps it, is not sorted again. */
export function inOrder(stores: readonly RolloutStore[]): readonly RolloutStore[] {
  for (let at = 1; at < stores.length; at += 1)
    if ((stores[at - 1] as RolloutStore).key > (stores[at] as RolloutStore).key)
      return stores.toSorted((one, other) => (one.key < other.key ? -1 : one.key > other.key ? 1 : 0));
  return stores;
}

/** Some stores by name with what they say: `store-042 (pod order-1: CrashLoopBackOff), store-104 and 7 more`. */
export function namesOf(stores: readonly RolloutStore[]): string {
  const named = stores.slice(0, NAMED_STORES_MAX).map(({ key, message }) => {
    const name = key.slice(key.indexOf("/") + 1);
    return message === "" ? name : `${name} (${message})`;
  });
  const more = stores.length - named.length;
  return `${named.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}
