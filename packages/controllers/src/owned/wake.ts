import { type Informer, keyOf } from "@cortado/client/informer";
import type { Loop } from "@cortado/client/loop";
import type { KubeObject } from "@cortado/kinds";

/** Asks for a round of whatever controller of `kind` owns an object that changed. */
export function wakeOwners<Kind extends KubeObject>(cache: Informer<Kind>, kind: string, loop: Loop): void {
  cache.subscribe(({ old, now }) => {
    for (const object of [old, now])
      for (const owner of object?.metadata.ownerReferences ?? [])
        if (owner.kind === kind && owner.controller === true)
          loop.add(ownerKey(object?.metadata.namespace, owner.name));
  });
}

function ownerKey(namespace: string | undefined, name: string): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

/** Keys of a cache, for a loop's full scan. */
export function* keysOf<Kind extends KubeObject>(cache: Informer<Kind>): Iterable<string> {
  for (const object of cache.list()) yield keyOf(object);
}
