import { createHash } from "node:crypto";
import { textAt, type Tree } from "@cortado/kinds/tree";

/** Who owns the fields that bundles set. */
export const FIELD_MANAGER = "fleet-agent";
/** The namespace of the agent's own Secrets when nobody says otherwise (Fleet's). */
export const AGENT_NAMESPACE = "cattle-fleet-system";
/** On every object that a bundle applied: the bundle's name. */
export const BUNDLE_ANNOTATION = "fleet.cortado.dev/bundle";
/** The same as a label, so that a watch sees only what bundles applied; a name may be too long for a label. */
export const OBJECTSET_LABEL = "fleet.cortado.dev/objectset";
/** On a namespace that the agent made for itself: it goes with the agent. */
export const MADE_ANNOTATION = "fleet.cortado.dev/made";
/** On the Secrets of `record.ts`. */
export const RECORD_LABEL = "fleet.cortado.dev/record";

/** Value of the objectset label. */
export function objectsetOf(bundle: string): string {
  return createHash("sha256").update(bundle).digest("hex").slice(0, 40);
}

/** Name of the bundle that an object says to belong to; empty: none. */
export function ownerOf(object: Tree): string {
  return textAt(object, "metadata", "annotations", BUNDLE_ANNOTATION);
}
