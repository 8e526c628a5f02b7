import { done, startLoop, type Loop, type Outcome } from "@cortado/client/loop";
import { configMaps, serviceAccounts } from "@cortado/kinds/resources";
import { hasReason } from "@cortado/std/status";
import type { Context } from "../context.ts";
import { keysOf } from "../owned/wake.ts";

/** Gives each namespace its service account "default" and the ConfigMap with the cluster's certificate authority. */
export function startServiceAccountLoop(
  context: Context,
  options: { readonly clusterCa: () => string },
): Loop {
  const { caches } = context;
  const loop = startLoop({
    ...context,
    name: "serviceaccount",
    metrics: context.loopMetrics,
    workers: 2,
    keys: () => keysOf(caches.namespaces),
    reconcile: (namespace) => reconcile(namespace, context, options.clusterCa()),
  });
  caches.namespaces.subscribe(({ key }) => loop.add(key));
  caches.serviceAccounts.subscribe(
    ({ old, now }) => now === undefined && loop.add(old?.metadata.namespace ?? ""),
  );
  caches.configMaps.subscribe(({ old, now }) => loop.add((now ?? old)?.metadata.namespace ?? ""));
  return loop;
}

const rootCa = "kube-root-ca.crt";

async function reconcile(
  namespace: string,
  { caches, client, signal }: Context,
  clusterCa: string,
): Promise<Outcome> {
  const found = caches.namespaces.get(namespace);
  if (found === undefined || found.metadata.deletionTimestamp !== undefined) return done;
  if (caches.serviceAccounts.get(`${namespace}/default`) === undefined)
    await existing(() =>
      client.create(serviceAccounts, { metadata: { name: "default", namespace } }, { signal }),
    );
  const published = caches.configMaps.get(`${namespace}/${rootCa}`);
  const data = { "ca.crt": clusterCa };
  if (published === undefined) {
    const note = "Contains a CA bundle that can be used to verify the kube-apiserver.";
    const metadata = { name: rootCa, namespace, annotations: { "kubernetes.io/description": note } };
    await existing(() => client.create(configMaps, { metadata, data }, { signal }));
  } else if (published.data?.["ca.crt"] !== clusterCa)
    await client.patch(configMaps, { name: rootCa, namespace, type: "merge", body: { data }, signal });
  return done;
}

async function existing(create: () => Promise<unknown>): Promise<void> {
  try {
    await create();
  } catch (error) {
    if (!hasReason(error, "AlreadyExists")) throw error;
  }
}
