import { clusterRegistrationTokens } from "@cortado/kinds/fleet";
import { secrets } from "@cortado/kinds/resources";
import { hasReason } from "@cortado/std/status";
import type { Core } from "../core.ts";
import { IMPORT_TOKEN_TTL } from "../limits.ts";
import type { ClusterKey } from "../ports.ts";
import type { StoreRow } from "../state/stores.ts";

export type ImportToken = {
  /** Empty: its Secret is being made. */
  readonly text: string;
  /** There was none: what was installed with the one before it can no longer register. */
  readonly isNew: boolean;
};

/** A token for the agent of one Cluster, good for half a day; it goes with the Cluster. */
export async function importToken(core: Core, { cluster, uid }: StoreRow): Promise<ImportToken> {
  const { ports, signal } = core;
  const { namespace, name: owner } = cluster;
  const name = nameOf(owner);
  const where = { namespace, name, signal };
  const token = await ports.client.get(clusterRegistrationTokens, where).catch(undefinedIfAbsent);
  const isNew = token === undefined;
  if (isNew) {
    // One of an earlier token would be taken for its own, and swept away soon after.
    await ports.client.delete(secrets, where).catch(undefinedIfAbsent);
    const ownerReferences = [{ apiVersion: "fleet.cattle.io/v1alpha1", kind: "Cluster", name: owner, uid }];
    await ports.client.create(
      clusterRegistrationTokens,
      { metadata: { namespace, name, ownerReferences }, spec: { ttl: IMPORT_TOKEN_TTL } },
      { signal, fieldManager: "cortado-hub" },
    );
  }
  const secret = await ports.client.get(secrets, where).catch(undefinedIfAbsent);
  return { text: Buffer.from(secret?.data?.["token"] ?? "", "base64").toString("utf8"), isNew };
}

/** The agent has its key: nobody needs the token any more. */
export async function dropImportToken(core: Core, { namespace, name }: ClusterKey): Promise<void> {
  const { ports, signal } = core;
  const where = { namespace, name: nameOf(name), signal };
  await ports.client.delete(clusterRegistrationTokens, where).catch(undefinedIfAbsent);
}

function undefinedIfAbsent(error: unknown): undefined {
  if (!hasReason(error, "NotFound")) throw error;
}

function nameOf(cluster: string): string {
  return `import-${cluster}`;
}
