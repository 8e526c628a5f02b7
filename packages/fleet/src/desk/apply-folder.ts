import type { Client } from "@cortado/client";
import { bundles, type Bundle } from "@cortado/kinds/fleet";
import { hasReason, StatusError } from "@cortado/std/status";
import { yamlText } from "@cortado/wire/yaml";
import type { Compiled, CompiledBundle } from "../compile/bundle.ts";
import { toResources } from "../hub/sources/bundle-files.ts";
import { PATH_ANNOTATION, REPO_LABEL, warningsAnnotation } from "../hub/sources/bundle-plan.ts";

/** Who brought a Bundle, when it was no GitRepo. */
export const APPLIED_LABEL = "fleet.cortado.dev/applied-as";

export type ApplyFolder = { readonly name: string; readonly namespace: string };

/** The Bundles of a folder as objects. */
export function toBundles(compiled: Compiled, as: ApplyFolder): readonly Bundle[] {
  return compiled.bundles.map((bundle) => toBundle(bundle, as));
}

function toBundle(
  { name, path, labels, annotations, spec, files, warnings }: CompiledBundle,
  as: ApplyFolder,
): Bundle {
  return {
    apiVersion: "fleet.cattle.io/v1alpha1",
    kind: "Bundle",
    metadata: {
      name,
      namespace: as.namespace,
      labels: { ...labels, [APPLIED_LABEL]: as.name },
      annotations: { ...annotations, [PATH_ANNOTATION]: path, ...warningsAnnotation(warnings) },
    },
    spec: { ...spec, resources: toResources(files) } as unknown as NonNullable<Bundle["spec"]>,
  };
}

/** As `kubectl apply -f -` takes them. */
export function bundlesText(list: readonly Bundle[]): string {
  return list.map((one) => `---\n${yamlText(one)}`).join("");
}

/**
 * Writes the Bundles of a folder to a hub, by server-side apply. Bundles that an earlier folder of this name brought and this one does not
 * have stay, and are named: who means it deletes them.
 * @throws StatusError "Conflict" for a name that a GitRepo's Bundle has; "Invalid" as the hub says
 */
export async function applyBundles(
  client: Client,
  list: readonly Bundle[],
  { as, signal }: { readonly as: ApplyFolder; readonly signal: AbortSignal },
): Promise<readonly string[]> {
  const { namespace } = as;
  for (const { metadata } of list) {
    const { name = "" } = metadata;
    const found = await client.get(bundles, { namespace, name, signal }).catch((error: unknown) => {
      if (hasReason(error, "NotFound")) return undefined;
      throw error;
    });
    const repo = found?.metadata.labels?.[REPO_LABEL];
    if (repo !== undefined)
      throw new StatusError(
        "Conflict",
        `Bundle ${namespace}/${name} is of GitRepo ${repo}; push to its repository, or give this one another name`,
      );
  }
  const lines: string[] = [];
  for (const body of list) {
    const { name = "" } = body.metadata;
    const where = { namespace, name, fieldManager: "cortado-fleet-apply", signal };
    await client.patch(bundles, { ...where, type: "apply", force: true, body });
    lines.push(`bundle ${namespace}/${name} applied`);
  }
  const wanted = new Set(list.map((one) => one.metadata.name));
  const labelSelector = `${APPLIED_LABEL}=${as.name}`;
  const { items } = await client.list(bundles, { namespace, labelSelector, signal });
  for (const { metadata } of items)
    if (!wanted.has(metadata.name))
      lines.push(
        `bundle ${namespace}/${metadata.name} is no longer in the folder and stays; to remove it: kubectl delete bundle ${metadata.name} -n ${namespace}`,
      );
  return lines;
}
