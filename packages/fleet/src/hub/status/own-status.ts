import type { ResourceType } from "@cortado/kinds/resources";
import type { Bundle, Cluster, ClusterRegistration } from "@cortado/kinds/fleet";
import type { Tree } from "@cortado/kinds/tree";
import type { Core } from "../core.ts";
import type { ClusterKey } from "../ports.ts";

type Owned = Bundle | Cluster | ClusterRegistration;

/** Writes fields of a status that is the hub's alone; resolves when they are durable. @throws StatusError "NotFound" */
export async function writeOwnStatus<Kind extends Owned>(
  { ports, signal }: Core,
  { group, version, plural }: ResourceType<Kind>,
  { namespace, name, fields }: ClusterKey & { readonly fields: NonNullable<Kind["status"]> },
): Promise<void> {
  signal.throwIfAborted();
  const what = { group, version, plural, namespace, name };
  await ports.writeOwnStatus({ ...what, manager: "cortado-hub", fields: { ...fields } as Tree });
}
