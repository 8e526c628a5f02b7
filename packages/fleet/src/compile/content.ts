import { createHash } from "node:crypto";
import type { Tree } from "@cortado/kinds/tree";
import type { ChunkRef, DeployOptions } from "../protocol/protocol.ts";
import type { BundleOptions } from "./bundle.ts";
import { canonicalJson } from "./canonical-json.ts";

/** One object, with its text. */
export type Chunk = ChunkRef & { readonly json: string };

/** What a variant is, as stores get it. */
export type Content = {
  /** `s-` and hex digits of SHA-256, 63 characters: the same for the same objects in the same order. */
  readonly manifestId: string;
  /** `MANIFEST:OPTIONS`. Options that only say how differences are judged do not count, so that no store is deployed anew for them. */
  readonly deploymentId: string;
  readonly options: DeployOptions;
  readonly chunks: readonly Chunk[];
};

const MANIFEST_ID_LENGTH = 63;

/** Rendered objects and merged options as content. Pure. */
export function toContent(objects: readonly Readonly<Tree>[], options: BundleOptions): Content {
  const chunks = objects.map((object): Chunk => {
    const json = canonicalJson(object);
    return { sha256: sha256(json), bytes: new TextEncoder().encode(json).length, json };
  });
  const manifestId = `s-${sha256(chunks.map((chunk) => chunk.sha256).join("\n"))}`.slice(
    0,
    MANIFEST_ID_LENGTH,
  );
  const deploy = deployOptions(options);
  return {
    manifestId,
    deploymentId: deploymentId(manifestId, deploy),
    options: deploy,
    chunks,
  };
}

/** Id of a manifest with options. */
export function deploymentId(manifestId: string, options: DeployOptions): string {
  const { diff: _diff, correctDrift: _correctDrift, ...counted } = options;
  return `${manifestId}:${sha256(canonicalJson(counted))}`;
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** What an agent has to know of merged options. */
export function deployOptions({ helm, ...options }: BundleOptions): DeployOptions {
  const { takeOwnership, timeoutSeconds, waitForJobs, force } = helm ?? {};
  const given: { readonly [Key in keyof DeployOptions]: DeployOptions[Key] | undefined } = {
    defaultNamespace: options.defaultNamespace,
    namespace: options.namespace,
    serviceAccount: options.serviceAccount,
    keepResources: options.keepResources,
    deleteNamespace: options.deleteNamespace,
    deleteCRDResources: options.deleteCRDResources,
    takeOwnership,
    correctDrift: options.correctDrift,
    namespaceLabels: options.namespaceLabels,
    namespaceAnnotations: options.namespaceAnnotations,
    diff: options.diff,
    ignore: options.ignore,
    timeoutSeconds,
    waitForJobs,
    force,
  };
  return Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  ) as DeployOptions;
}
