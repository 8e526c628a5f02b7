import { createHash } from "node:crypto";
import { namespaces } from "@cortado/kinds/resources";
import type { Stored } from "@cortado/client";
import type { LabelSelector, Namespace } from "@cortado/kinds";
import { selects } from "@cortado/kinds/label-selector";
import { hasReason, StatusError } from "@cortado/std/status";
import { about, type ApplyPorts, type BundleToApply } from "./ports.ts";
import { FIELD_MANAGER } from "./marks.ts";
import type { Placed } from "./place.ts";
import type { BundleRecord } from "./record.ts";

/** Is there anything to be done for the namespace of a bundle? Not for one that has only objects of other places. */
export function needsNamespace(placed: readonly Placed[], record: BundleRecord): boolean {
  return record.marksNamespace || placed.some(({ item }) => item.namespace === record.namespace);
}

type Target = { readonly bundle: BundleToApply; readonly record: BundleRecord };

/** Makes the namespace that a bundle goes into, with the labels and annotations that the bundle gives it and no longer those it gave. */
export async function applyNamespace(
  { bundle, record }: Target,
  ports: ApplyPorts,
  signal: AbortSignal,
): Promise<void> {
  const name = record.namespace;
  const item = { apiVersion: "v1", kind: "Namespace", namespace: "", name };
  try {
    const found = await find(name, ports, signal);
    checkAllowed(bundle, name, found);
    if (!record.marksNamespace && found !== undefined) return;
    const { namespaceLabels: labels = {}, namespaceAnnotations: annotations = {} } = bundle.options;
    const body = { apiVersion: "v1", kind: "Namespace", metadata: { name, labels, annotations } };
    // Each bundle has a name of its own here: two may give labels to one namespace.
    const fieldManager = `${FIELD_MANAGER}-${createHash("sha256").update(bundle.name).digest("hex").slice(0, 16)}`;
    await ports.as.patch(namespaces, { name, type: "apply", fieldManager, force: true, body, signal });
  } catch (error) {
    throw about(item, error);
  }
}

/** What the hub's Policies and GitRepoRestrictions say of it; only here its labels are known. */
function checkAllowed({ options }: BundleToApply, name: string, found: Stored<Namespace> | undefined): void {
  const { createNamespace, allowedTargetNamespaceSelector: selector } = options;
  if (found === undefined && (createNamespace === false || selector !== undefined))
    throw new StatusError(
      "Forbidden",
      `namespace ${name} is not there, and ${createNamespace === false ? "a Policy forbids to create it" : "a GitRepoRestriction wants labels of it"}; create it in this cluster`,
    );
  if (selector === undefined || found === undefined) return;
  if (!selects(selector as LabelSelector, found.metadata.labels))
    throw new StatusError(
      "Forbidden",
      `namespace ${name} does not have the labels that GitRepoRestriction allowedTargetNamespaceSelector wants; label it in this cluster, or choose another`,
    );
}

async function find(
  name: string,
  { as }: ApplyPorts,
  signal: AbortSignal,
): Promise<Stored<Namespace> | undefined> {
  try {
    return await as.get(namespaces, { name, signal });
  } catch (error) {
    if (hasReason(error, "NotFound")) return undefined;
    throw error;
  }
}
