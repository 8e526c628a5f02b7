import type { Client } from "@cortado/client";
import {
  clusterRoleBindings,
  configMaps,
  deployments,
  namespaces,
  pods,
  secrets,
  serviceAccounts,
} from "@cortado/kinds/resources";
import type { Clock } from "@cortado/std/clock";
import { hasReason, StatusError } from "@cortado/std/status";
import { KindFinder } from "./apply/kind-finder.ts";
import {
  AGENT_NAMESPACE,
  BUNDLE_ANNOTATION,
  FIELD_MANAGER,
  MADE_ANNOTATION,
  OBJECTSET_LABEL,
  ownerOf,
} from "./apply/marks.ts";
import { itemText } from "./apply/place.ts";
import { whereOf } from "./apply/ports.ts";
import { Records } from "./apply/record.ts";
import { ENDED_LOOK_MS, ENDED_MS_MAX } from "./limits.ts";

/** Name of everything that `cortado fleet agent install` makes. */
export const AGENT_NAME = "cortado-fleet-agent";

export type UninstallOptions = {
  readonly client: Client;
  readonly namespace?: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
};

/**
 * Takes the agent out of a cluster and leaves it as it was found: every object that bundles brought stays as it is, without our marks; the
 * agent, its Secrets and its namespace go, the last only when we made it and nobody else uses it. May be repeated.
 * @throws StatusError when an object cannot be freed: then the Secrets stay, and it can be tried again
 */
export async function uninstallAgent(options: UninstallOptions): Promise<readonly string[]> {
  const { client, signal, namespace = AGENT_NAMESPACE } = options;
  const lines: string[] = [];
  if (await remove(client, deployments, { name: AGENT_NAME, namespace }, signal)) {
    await podsEnded(options, namespace);
    lines.push(`the agent's Deployment ${namespace}/${AGENT_NAME} is removed`);
  }
  const records = new Records(client, { namespace });
  const kept = await records.list(signal);
  const unread = kept.find((one) => one.problem !== undefined);
  if (unread?.problem !== undefined) throw unread.problem;
  let freed = 0;
  for (const { name, record } of kept)
    for (const item of record?.owned ?? [])
      if (await free(client, { bundle: name, item }, signal)) freed += 1;
  lines.push(`${freed} objects of ${kept.length} bundles stay and are nobody's now`);
  await client.deleteCollection(secrets, { namespace, labelSelector: "fleet.cortado.dev/record", signal });
  const identity = await remove(client, secrets, { name: "fleet-agent", namespace }, signal);
  for (const type of [secrets, configMaps, serviceAccounts])
    await remove(client, type, { name: AGENT_NAME, namespace }, signal);
  await remove(client, clusterRoleBindings, { name: AGENT_NAME }, signal);
  if (identity)
    lines.push("the store's key is removed: the hub will not hear of it again; delete its Cluster there");
  lines.push(await leaveNamespace(client, namespace, signal));
  return lines;
}

type Found = { readonly bundle: string; readonly item: Parameters<typeof whereOf>[0] };

/** Takes our marks off an object that is still the bundle's. */
async function free(client: Client, { bundle, item }: Found, signal: AbortSignal): Promise<boolean> {
  const type = await new KindFinder(client).find(item, signal);
  if (type === undefined) return false;
  try {
    const live = await client.get(type, { ...whereOf(item), signal });
    if (ownerOf(live as unknown as Parameters<typeof ownerOf>[0]) !== bundle) return false;
    const metadata = { annotations: { [BUNDLE_ANNOTATION]: null }, labels: { [OBJECTSET_LABEL]: null } };
    await client.patch(type, {
      ...whereOf(item),
      type: "merge",
      fieldManager: FIELD_MANAGER,
      body: { metadata },
      signal,
    });
    return true;
  } catch (error) {
    if (hasReason(error, "NotFound")) return false;
    throw new StatusError("ServiceUnavailable", `${itemText(item)} cannot be freed; try again`, {
      cause: error,
    });
  }
}

async function remove(
  client: Client,
  type: Parameters<Client["delete"]>[0],
  where: { readonly name: string; readonly namespace?: string },
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await client.delete(type, { ...where, propagationPolicy: "Background", signal });
    return true;
  } catch (error) {
    if (hasReason(error, "NotFound")) return false;
    throw error;
  }
}

/** An agent that still runs would write its Secrets again. */
async function podsEnded({ client, clock, signal }: UninstallOptions, namespace: string): Promise<void> {
  const labelSelector = `app.kubernetes.io/name=${AGENT_NAME}`;
  for (let waitedMs = 0; waitedMs < ENDED_MS_MAX; waitedMs += ENDED_LOOK_MS) {
    if ((await client.list(pods, { namespace, labelSelector, signal })).items.length === 0) return;
    await clock.sleep(ENDED_LOOK_MS, { signal });
  }
  throw new StatusError(
    "Timeout",
    `the agent's pod in ${namespace} does not end; look at it, then try again`,
  );
}

async function leaveNamespace(client: Client, namespace: string, signal: AbortSignal): Promise<string> {
  const found = await client.get(namespaces, { name: namespace, signal }).catch((error: unknown) => {
    if (hasReason(error, "NotFound")) return undefined;
    throw error;
  });
  if (found === undefined) return `namespace ${namespace} is not there`;
  if (found.metadata.annotations?.[MADE_ANNOTATION] !== "true")
    return `namespace ${namespace} was there before, and stays`;
  const guests = [
    ...(await client.list(secrets, { namespace, signal })).items,
    ...(await client.list(configMaps, { namespace, signal })).items,
    ...(await client.list(pods, { namespace, signal })).items,
  ].filter((one) => one.metadata.name !== "kube-root-ca.crt");
  if (guests.length > 0)
    return `namespace ${namespace} stays, as it holds ${guests
      .slice(0, 3)
      .map((one) => one.metadata.name)
      .join(", ")}, which ${guests.length === 1 ? "is" : "are"} not ours`;
  await remove(client, namespaces, { name: namespace }, signal);
  return `namespace ${namespace} is removed`;
}
