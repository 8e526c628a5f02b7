import type { Stored } from "@cortado/client";
import type { Cluster } from "@cortado/kinds/fleet";
import {
  clusterRoleBindings,
  configMaps,
  deployments,
  namespaces,
  secrets,
  serviceAccounts,
  type ResourceType,
} from "@cortado/kinds/resources";
import { textAt, type Tree } from "@cortado/kinds/tree";
import { hasReason, messageOf, StatusError, toStatusError } from "@cortado/std/status";
import { AGENT_NAMESPACE } from "../../agent/apply/marks.ts";
import { agentObjects, type ManifestOptions } from "../../agent/manifest.ts";
import type { Core } from "../core.ts";
import { IMPORT_MS_MAX } from "../limits.ts";

/** Keys of the Secret under which a kubeconfig is: Fleet's, and what people take for one. */
const keys = ["value", "config"] as const;

const types: Readonly<Record<string, ResourceType>> = {
  Namespace: namespaces,
  ServiceAccount: serviceAccounts,
  ClusterRoleBinding: clusterRoleBindings,
  Secret: secrets,
  ConfigMap: configMaps,
  Deployment: deployments,
};

export type Install = { readonly cluster: Stored<Cluster>; readonly token: string };

/**
 * Puts the agent into the cluster that a Cluster's kubeconfig names, as `cortado fleet agent install` prints it; may be repeated.
 * @throws StatusError that names the Secret, its key, or what the cluster said
 */
export async function installAgent(
  core: Core,
  { cluster, token }: Install,
): Promise<{ readonly namespace: string }> {
  const { ports, options } = core;
  if (ports.reachCluster === undefined || options.agentImage === "")
    throw new StatusError(
      "NotImplemented",
      "spec.kubeConfigSecret wants an agent installed, and this hub has no image for it; start it with --agent-image IMAGE, or run cortado fleet agent install beside the cluster",
    );
  const { text, hub, about } = await readSecret(core, cluster);
  const wanted = wishOf(cluster, { token, hub, image: options.agentImage });
  using reached = await ports.reachCluster(text, about);
  const patience = new AbortController();
  using _limit = ports.clock.after(IMPORT_MS_MAX, () =>
    patience.abort(new StatusError("Timeout", `it does not answer within ${IMPORT_MS_MAX / 1_000} s`)),
  );
  const signal = AbortSignal.any([core.signal, patience.signal]);
  for (const body of agentObjects(wanted)) {
    const [kind, name] = [textAt(body, "kind"), textAt(body, "metadata", "name")];
    const namespace = textAt(body, "metadata", "namespace");
    const where = { name, ...(namespace === "" ? {} : { namespace }), fieldManager: "cortado-hub", signal };
    const type = types[kind];
    if (type === undefined) throw new Error(`an agent has no ${kind}`);
    try {
      await reached.client.patch(type, { ...where, type: "apply", force: true, body });
    } catch (error) {
      if (core.signal.aborted) throw error;
      const cause = patience.signal.aborted ? patience.signal.reason : error;
      const { reason } = toStatusError(cause);
      throw new StatusError(reason, `the cluster of ${about}: ${kind} ${name}: ${messageOf(cause)}`, {
        cause,
      });
    }
  }
  return { namespace: wanted.namespace ?? AGENT_NAMESPACE };
}

async function readSecret(
  { ports, options, signal }: Core,
  { metadata, spec }: Stored<Cluster>,
): Promise<{ readonly text: string; readonly hub: string; readonly about: string }> {
  const namespace = spec?.kubeConfigSecretNamespace || (metadata.namespace ?? "");
  const name = spec?.kubeConfigSecret ?? "";
  const about = `Secret ${namespace}/${name}`;
  const found = await ports.client.get(secrets, { namespace, name, signal }).catch((error: unknown) => {
    if (!hasReason(error, "NotFound")) throw error;
    throw new StatusError("NotFound", `${about}, which spec.kubeConfigSecret names, is not there; make it`);
  });
  const read = (key: string): string => Buffer.from(found.data?.[key] ?? "", "base64").toString("utf8");
  const key = keys.find((one) => read(one) !== "");
  if (key === undefined)
    throw new StatusError(
      "Invalid",
      `${about} has no kubeconfig under key ${keys.join(" or ")}; put it there`,
    );
  return { text: read(key), hub: read("apiServerURL") || options.url, about: `${about}, key ${key}` };
}

/** What the Cluster says of its agent. Its labels are there already: the agent brings none. */
function wishOf(
  { metadata, spec = {} }: Stored<Cluster>,
  { token, hub, image }: Pick<ManifestOptions, "token" | "hub" | "image">,
): ManifestOptions {
  const { agentNamespace = "", privateRepoURL = "" } = spec;
  const pod = {
    env: spec.agentEnvVars as readonly Tree[] | undefined,
    resources: spec.agentResources as Tree | undefined,
    tolerations: spec.agentTolerations as readonly Tree[] | undefined,
    affinity: spec.agentAffinity as Tree | undefined,
    imagePullSecrets: spec.agentPullSecrets as readonly Tree[] | undefined,
    hostNetwork: spec.hostNetwork === true ? true : undefined,
  };
  const given = Object.fromEntries(Object.entries(pod).filter(([, value]) => value !== undefined));
  return {
    image: privateRepoURL === "" ? image : `${privateRepoURL.replace(/\/+$/, "")}/${image}`,
    hub,
    token,
    name: metadata.name ?? "",
    labels: {},
    pod: given as NonNullable<ManifestOptions["pod"]>,
    ...(agentNamespace === "" ? {} : { namespace: agentNamespace }),
  };
}
