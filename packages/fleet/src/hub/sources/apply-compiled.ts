import type { Client, Stored } from "@cortado/client";
import { bundles, gitRepos, type Bundle } from "@cortado/kinds/fleet";
import { hasReason, StatusError } from "@cortado/std/status";
import { sameTree } from "@cortado/kinds/tree";
import type { Compiled, CompiledBundle } from "../../compile/bundle.ts";
import { INLINE_FILES_BYTES_MAX, WRITE_ATTEMPTS_MAX } from "../limits.ts";
import type { Applied, ClusterKey } from "../ports.ts";
import type { Blobs } from "./blobs.ts";
import { toResources } from "./bundle-files.ts";
import {
  COMMIT_LABEL,
  PATH_ANNOTATION,
  planBundles,
  REPLACED_BY_ANNOTATION,
  REPLACES_ANNOTATION,
  REPO_LABEL,
  WARNINGS_ANNOTATION,
  warningsAnnotation,
} from "./bundle-plan.ts";

export type ApplyOptions = {
  readonly client: Client;
  /** Where files go that are too many for an object; durable before the Bundle names them. */
  readonly blobs: Blobs;
  readonly gitRepo: ClusterKey;
  readonly compiled: Compiled;
  readonly commit: string;
  readonly signal: AbortSignal;
};

/**
 * Makes Bundles of what a repository compiled to; may be repeated at any time, and writes only what differs. Bundles that are
 * refused (their name is another's) are among the kept, with the reason.
 * @throws StatusError "Conflict" when the GitRepo is being deleted or is gone: its bundles are not brought back
 */
export async function applyCompiled(options: ApplyOptions): Promise<Applied> {
  const { client, gitRepo, compiled, signal } = options;
  await checkAlive(options);
  const { items } = await client.list(bundles, { namespace: gitRepo.namespace, signal });
  const known = new Map(items.map((bundle) => [bundle.metadata.name, bundle]));
  const plan = planBundles(gitRepo, compiled, items);
  const made: string[] = [];
  const changed: string[] = [];
  const replaced = new Map(plan.renamed.map(({ from, to }) => [to, from]));
  for (const bundle of plan.put) {
    const outcome = await putBundleAgain(options, withReplaced(bundle, replaced), known.get(bundle.name));
    if (outcome === "made") made.push(bundle.name);
    if (outcome === "changed") changed.push(bundle.name);
  }
  for (const { from, to } of plan.renamed) await markReplaced(options, { from, to });
  for (const name of plan.remove) await removeBundle(options, name, known.get(name));
  return { made, changed, removed: plan.remove, kept: [...plan.kept, ...plan.refused] };
}

async function checkAlive({ client, gitRepo, signal }: ApplyOptions): Promise<void> {
  const about = `GitRepo ${gitRepo.namespace}/${gitRepo.name}`;
  try {
    const found = await client.get(gitRepos, { ...gitRepo, signal });
    if (found.metadata.deletionTimestamp === undefined) return;
  } catch (error) {
    if (!hasReason(error, "NotFound")) throw error;
  }
  throw new StatusError("Conflict", `${about} is deleted; its bundles are not applied`);
}

function withReplaced(bundle: CompiledBundle, replaced: ReadonlyMap<string, string>): CompiledBundle {
  const from = replaced.get(bundle.name);
  if (from === undefined) return bundle;
  return { ...bundle, annotations: { ...bundle.annotations, [REPLACES_ANNOTATION]: from } };
}

/** It is removed by its rollout, once the other has its place in every store. */
async function markReplaced(
  { client, gitRepo, signal }: ApplyOptions,
  { from, to }: { readonly from: string; readonly to: string },
): Promise<void> {
  const where = { namespace: gitRepo.namespace, name: from, signal };
  const body = { metadata: { annotations: { [REPLACED_BY_ANNOTATION]: to } } };
  await client.patch(bundles, { ...where, type: "merge", body }).catch((error: unknown) => {
    if (!hasReason(error, "NotFound")) throw error;
  });
}

/** The hub writes a Bundle's status at any time: that is no reason to wait for the next look at the repository. */
async function putBundleAgain(
  options: ApplyOptions,
  bundle: CompiledBundle,
  known: Stored<Bundle> | undefined,
): ReturnType<typeof putBundle> {
  const { client, gitRepo, signal } = options;
  let current = known;
  for (let attempt = 1; ; attempt += 1)
    try {
      return await putBundle(options, bundle, current);
    } catch (error) {
      if (!hasReason(error, "Conflict") || attempt === WRITE_ATTEMPTS_MAX) throw error;
      current = await client.get(bundles, { namespace: gitRepo.namespace, name: bundle.name, signal });
    }
}

async function putBundle(
  { client, blobs, gitRepo, commit, signal }: ApplyOptions,
  bundle: CompiledBundle,
  current: Stored<Bundle> | undefined,
): Promise<"made" | "changed" | "same"> {
  const metadata = {
    name: bundle.name,
    namespace: gitRepo.namespace,
    labels: { ...bundle.labels, [REPO_LABEL]: gitRepo.name, [COMMIT_LABEL]: commit },
    annotations: {
      ...bundle.annotations,
      [PATH_ANNOTATION]: bundle.path,
      ...warningsAnnotation(bundle.warnings),
    },
  };
  const spec = { ...bundle.spec, ...(await filesOf(bundle, blobs)) } as unknown as NonNullable<
    Bundle["spec"]
  >;
  if (current === undefined) {
    await client.create(bundles, { metadata, spec }, { signal, fieldManager: "cortado-hub" });
    return "made";
  }
  // What people add to a Bundle (the control of its rollout) stays.
  const labels = { ...current.metadata.labels, ...metadata.labels };
  const {
    [REPLACED_BY_ANNOTATION]: _back,
    [WARNINGS_ANNOTATION]: _old,
    ...kept
  } = current.metadata.annotations ?? {};
  const annotations = { ...kept, ...metadata.annotations };
  const next = {
    ...current,
    metadata: { ...current.metadata, labels, annotations },
    spec: withDefaults(spec),
  };
  if (sameTree(JSON.parse(JSON.stringify(next)), JSON.parse(JSON.stringify(current)))) return "same";
  await client.update(bundles, next, { signal, fieldManager: "cortado-hub" });
  return "changed";
}

/** As the definition fills it in, so that an unchanged bundle is seen to be one. */
function withDefaults(spec: NonNullable<Bundle["spec"]>): NonNullable<Bundle["spec"]> {
  return { targetCustomizationMode: "FirstMatch", ...spec };
}

async function filesOf(
  { files }: CompiledBundle,
  blobs: Blobs,
): Promise<Pick<NonNullable<Bundle["spec"]>, "resources" | "contentsId">> {
  const resources = toResources(files);
  const size = files.reduce((sum, file) => sum + file.content.byteLength, 0);
  if (size <= INLINE_FILES_BYTES_MAX) return { resources };
  const sha256 = await blobs.put(new TextEncoder().encode(JSON.stringify(resources)));
  return { contentsId: `s-${sha256}` };
}

async function removeBundle(
  { client, gitRepo, signal }: ApplyOptions,
  name: string,
  current: Stored<Bundle> | undefined,
): Promise<void> {
  // Only the one that the plan saw: another that came under its name since is not ours to remove.
  const preconditions = current === undefined ? {} : { preconditions: { uid: current.metadata.uid } };
  try {
    await client.delete(bundles, { name, namespace: gitRepo.namespace, signal, ...preconditions });
  } catch (error) {
    if (!hasReason(error, "NotFound")) throw error;
  }
}
