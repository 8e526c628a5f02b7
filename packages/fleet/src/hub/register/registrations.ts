import { clusterRegistrations, clusters, type ClusterRegistration } from "@cortado/kinds/fleet";
import { hasReason } from "@cortado/std/status";
import type { Core } from "../core.ts";
import type { ClusterKey } from "../ports.ts";
import { writeOwnStatus } from "../status/own-status.ts";
import { sha256Of } from "../sources/blobs.ts";

/**
 * Writes down who joined, as upstream does: one ClusterRegistration for each store, granted, and gone with its Cluster. It is for people to
 * read: a store is let in by its row and its key.
 */
export async function noteRegistration(
  core: Core,
  cluster: ClusterKey,
  wanted: { readonly clientId: string; readonly labels: Readonly<Record<string, string>> },
): Promise<void> {
  const { ports, signal } = core;
  const { client, random } = ports;
  const { namespace, name: clusterName } = cluster;
  const name = `request-${sha256Of(`${clusterName}/${wanted.clientId}`).slice(0, 12)}`;
  const known = core.stores.get(`${namespace}/${clusterName}`)?.uid;
  const uid = known ?? (await client.get(clusters, { ...cluster, signal })).metadata.uid;
  const owner = { apiVersion: "fleet.cattle.io/v1alpha1", kind: "Cluster", name: clusterName, uid };
  const spec: ClusterRegistration["spec"] = {
    clientID: wanted.clientId,
    clientRandom: Buffer.from(random.bytes(8)).toString("hex"),
    clusterLabels: { ...wanted.labels },
  };
  const metadata = { name, namespace, ownerReferences: [owner] };
  const where = { namespace, name, fieldManager: "cortado-hub", signal };
  try {
    await client.create(clusterRegistrations, { metadata, spec }, where);
  } catch (error) {
    if (!hasReason(error, "AlreadyExists")) throw error;
    await client.patch(clusterRegistrations, { ...where, type: "merge", body: { metadata, spec } });
  }
  await writeOwnStatus(core, clusterRegistrations, {
    namespace,
    name,
    fields: { clusterName, granted: true },
  });
}
