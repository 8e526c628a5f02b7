import type {
  Bundle,
  BundleDeployment,
  BundleWave,
  Cluster,
  FleetCondition,
  GitRepo,
} from "@cortado/kinds/fleet";
import type { ApiObject } from "./api.ts";

/** What a table shows of one object; `words` is what a filter looks through, in lower case. */
type Common = {
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  readonly words: string;
  readonly state: string;
  readonly message: string;
};

export type StoreRow = Common & {
  readonly labels: readonly string[];
  /** "2/2" */
  readonly bundles: string;
  /** Milliseconds since 1970; 0: never. */
  readonly lastSeenMs: number;
  /** Since when it is dark; 0: it is not. */
  readonly offlineSinceMs: number;
  readonly version: string;
  readonly kubernetes: string;
  readonly deploymentNamespace: string;
};

export type RepoRow = Common & {
  readonly repo: string;
  readonly branch: string;
  readonly commit: string;
  readonly deployments: string;
  readonly stores: string;
};

export type BundleRow = Common & {
  /** "2/2" */
  readonly stores: string;
  readonly repo: string;
  readonly phase: string;
  readonly waves: readonly BundleWave[];
  readonly generation: number;
};

export type DeploymentRow = Common & { readonly bundle: string };

export type AlertRow = Common & {
  readonly store: string;
  readonly topic: string;
  readonly text: string;
  readonly atMs: number;
};

export function toStoreRow(object: ApiObject): StoreRow {
  const { metadata, status = {} } = object as unknown as Cluster;
  const { agent = {}, conditions, display = {} } = status;
  const labels = Object.entries(metadata.labels ?? {}).map(([name, value]) => `${name}=${value}`);
  const offline = condition(conditions, "Offline");
  const isDark = offline?.status === "True";
  const state = display.state ?? "WaitCheckIn";
  const version = agent.version ?? "";
  const kubernetes = agent.kubernetes ?? "";
  return {
    ...common(object, state, isDark ? offline.message : condition(conditions, "Ready")?.message),
    words: lower(object, state, version, kubernetes, ...labels),
    labels,
    bundles: display.readyBundles ?? "",
    lastSeenMs: timeOf(agent.lastSeen),
    offlineSinceMs: isDark ? timeOf(agent.lastSeen) || timeOf(offline.lastTransitionTime) : 0,
    version,
    kubernetes,
    deploymentNamespace: status.namespace ?? "",
  };
}

export function toRepoRow(object: ApiObject): RepoRow {
  const { spec, status = {} } = object as unknown as GitRepo;
  const { display = {}, conditions } = status;
  const stalled = condition(conditions, "Stalled");
  const isStalled = stalled?.status === "True";
  const state = isStalled ? "Stalled" : (display.state ?? "NotReady");
  const branch = spec.revision ?? spec.branch ?? "master";
  return {
    ...common(object, state, isStalled ? stalled.message : condition(conditions, "Ready")?.message),
    words: lower(object, state, spec.repo, branch, status.commit ?? ""),
    repo: spec.repo,
    branch,
    commit: status.commit ?? "",
    deployments: display.readyBundleDeployments ?? "",
    stores: `${status.readyClusters ?? 0}/${status.desiredReadyClusters ?? 0}`,
  };
}

export function toBundleRow(object: ApiObject): BundleRow {
  const { metadata, status = {} } = object as unknown as Bundle;
  const { display = {}, conditions, rollout } = status;
  const state = display.state || "Ready";
  const repo = metadata.labels?.["fleet.cattle.io/repo-name"] ?? "";
  const phase = rollout?.phase ?? "";
  // A rollout that is through has nothing to tell that the state does not.
  const story = phase === "Complete" ? "" : (rollout?.message ?? "");
  const problem = condition(conditions, "Ready")?.message ?? "";
  // The condition of a halted rollout tells its story, too.
  const isTold = problem.includes(story);
  return {
    ...common(object, state, [isTold ? "" : story, problem].filter((text) => text !== "").join("; ")),
    words: lower(object, state, repo, phase),
    stores: display.readyClusters ?? "",
    repo,
    phase,
    waves: rollout?.waves ?? [],
    generation: rollout?.generation ?? 0,
  };
}

export function toDeploymentRow(object: ApiObject): DeploymentRow {
  const { status = {} } = object as unknown as BundleDeployment;
  const { display, conditions } = status as {
    readonly display?: { readonly state?: string };
    readonly conditions?: readonly FleetCondition[];
  };
  const state = display?.state ?? "";
  const bundle = object.metadata.name;
  return {
    ...common(object, state, condition(conditions, "Ready")?.message),
    words: lower(object, state),
    bundle,
  };
}

export function toAlertRow(object: ApiObject): AlertRow {
  const { spec = {} } = object as unknown as { readonly spec?: Readonly<Record<string, string>> };
  const { store = "", topic = "", text = "", at = "" } = spec;
  return {
    ...common(object, "Warning", text),
    words: lower(object, store, topic, text),
    store,
    topic,
    text,
    atMs: timeOf(at) || timeOf(object.metadata.creationTimestamp),
  };
}

function common({ metadata }: ApiObject, state: string, message: string | undefined): Omit<Common, "words"> {
  const { name, namespace = "" } = metadata;
  return { key: `${namespace}/${name}`, namespace, name, state, message: message ?? "" };
}

function lower({ metadata }: ApiObject, ...words: readonly string[]): string {
  return [metadata.name, metadata.namespace ?? "", ...words].join(" ").toLowerCase();
}

function condition(
  conditions: readonly FleetCondition[] | undefined,
  type: string,
): FleetCondition | undefined {
  return conditions?.find((one) => one.type === type);
}

function timeOf(text: string | undefined): number {
  return text === undefined ? 0 : Date.parse(text) || 0;
}
