import type { Client, Stored } from "@cortado/client";
import { again, done, startLoop, type Loop, type Outcome } from "@cortado/client/loop";
import type { Namespace } from "@cortado/kinds";
import { pods, type ResourceType } from "@cortado/kinds/resources";
import { hasReason } from "@cortado/std/status";
import type { Context } from "../context.ts";
import { listedResources } from "../discovery.ts";
import { keysOf } from "../owned/wake.ts";

const finalizer = "kubernetes";

/** Empties a namespace that is being deleted, pods first, and then lets it go. */
export function startNamespaceLoop(context: Context): Loop {
  const { caches } = context;
  const loop = startLoop({
    ...context,
    name: "namespace",
    metrics: context.loopMetrics,
    keys: () => keysOf(caches.namespaces),
    reconcile: (key) => reconcile(key, context),
  });
  caches.namespaces.subscribe(({ key, now }) => {
    if (now?.metadata.deletionTimestamp !== undefined) loop.add(key);
  });
  return loop;
}

async function reconcile(name: string, context: Context): Promise<Outcome> {
  const { caches, client, signal } = context;
  const namespace = caches.namespaces.get(name);
  if (namespace?.metadata.deletionTimestamp === undefined) return done;
  if (!(namespace.spec?.finalizers ?? []).includes(finalizer)) return done;
  // Pods first (upstream's ordered deletion): what they use, secrets and policies, must outlive them.
  if ((await empty(client, pods, { namespace: name, signal })) > 0) return again(250);
  let left = 0;
  for (const resource of await listedResources(client, signal))
    if (resource.namespaced && resource.plural !== "pods")
      left += await empty(client, resource, { namespace: name, signal });
  if (left > 0) return again(500);
  await letGo(namespace, context);
  return done;
}

/** Deletes all of a kind in a namespace; answers how many are still there. */
async function empty(
  client: Client,
  resource: ResourceType,
  options: { readonly namespace: string; readonly signal: AbortSignal },
): Promise<number> {
  try {
    const { items } = await client.list(resource, options);
    if (items.length === 0) return 0;
    await client.deleteCollection(resource, options);
    return (await client.list(resource, options)).items.length;
  } catch (error) {
    if (hasReason(error, "NotFound", "MethodNotAllowed")) return 0; // a kind that went away, or cannot be listed
    throw error;
  }
}

async function letGo(namespace: Stored<Namespace>, { client, signal }: Context): Promise<void> {
  const { name, resourceVersion } = namespace.metadata;
  const finalizers = (namespace.spec?.finalizers ?? []).filter((one) => one !== finalizer);
  const body = {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name, resourceVersion },
    spec: { finalizers },
  };
  await client.raw({ method: "PUT", path: `/api/v1/namespaces/${name}/finalize`, query: {}, body, signal });
}
