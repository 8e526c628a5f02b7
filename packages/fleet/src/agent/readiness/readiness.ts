import { fieldOf, listAt, textAt, treeAt, type Tree } from "@cortado/kinds/tree";
import { groupVersionOf } from "../apply/kind-finder.ts";
import { conditionOf, conditionText, isReady, notReady, type Readiness } from "./conditions.ts";
import {
  daemonSetReadiness,
  deploymentReadiness,
  podReadiness,
  replicaSetReadiness,
  statefulSetReadiness,
} from "./workloads.ts";

export type ReadinessOptions = {
  /** Conditions that do not count: one that has all fields of an entry. */
  readonly ignore?: readonly Readonly<Record<string, string>>[];
  /** A Job that runs is not enough: it has to be complete (Helm's --wait-for-jobs). */
  readonly waitsForJobs?: boolean;
};

type Look = (object: Tree, options: ReadinessOptions) => Readiness;

const looks: Readonly<Record<string, Look>> = {
  "apps/Deployment": deploymentReadiness,
  "apps/ReplicaSet": replicaSetReadiness,
  "/ReplicationController": replicaSetReadiness,
  "apps/StatefulSet": statefulSetReadiness,
  "apps/DaemonSet": daemonSetReadiness,
  "batch/Job": jobReadiness,
  "/Pod": podReadiness,
  "/PersistentVolumeClaim": claimReadiness,
  "/Service": serviceReadiness,
  "/Namespace": () => isReady,
  "apiextensions.k8s.io/CustomResourceDefinition": definitionReadiness,
  "openfaas.com/Function": functionReadiness,
};

/** Is an object of a cluster ready? Pure; a kind without rules of its own is judged by its conditions, and without them is ready. */
export function readinessOf(object: Tree, options: ReadinessOptions = {}): Readiness {
  if (textAt(object, "metadata", "deletionTimestamp") !== "") return notReady("is being deleted");
  const seen = withoutIgnored(object, options.ignore ?? []);
  const generation = fieldOf(fieldOf(seen, "metadata"), "generation");
  const observed = fieldOf(fieldOf(seen, "status"), "observedGeneration");
  if (typeof generation === "number" && typeof observed === "number" && observed < generation)
    return notReady("its controller has not seen the latest change yet");
  const { group } = groupVersionOf(textAt(seen, "apiVersion"));
  const look = looks[`${group}/${textAt(seen, "kind")}`];
  return look === undefined ? conditionsReadiness(seen) : look(seen, options);
}

function withoutIgnored(object: Tree, ignore: readonly Readonly<Record<string, string>>[]): Tree {
  if (ignore.length === 0) return object;
  const isIgnored = (condition: unknown): boolean =>
    ignore.some((entry) => Object.entries(entry).every(([key, value]) => textAt(condition, key) === value));
  const conditions = listAt(object, "status", "conditions").filter((one) => !isIgnored(one));
  return { ...object, status: { ...treeAt(object, "status"), conditions } };
}

const badWhenFalse = new Set([
  "Ready",
  "Available",
  "Healthy",
  "Established",
  "Initialized",
  "Synced",
  "Reconciled",
  "Accepted",
  "Programmed",
  "ResolvedRefs",
]);
const badWhenTrue = new Set(["Failed", "Failure", "Stalled", "Degraded", "Error", "Reconciling"]);

function conditionsReadiness(object: Tree): Readiness {
  for (const condition of listAt(object, "status", "conditions")) {
    const [type, status] = [textAt(condition, "type"), textAt(condition, "status")];
    const isBad =
      (badWhenFalse.has(type) && (status === "False" || status === "Unknown")) ||
      (badWhenTrue.has(type) && status === "True");
    if (isBad) return notReady(conditionText(condition));
  }
  return isReady;
}

// A Job that runs is as it should be, unless its bundle waits for Jobs.
function jobReadiness(job: Tree, { waitsForJobs = false }: ReadinessOptions): Readiness {
  const failed = conditionOf(job, "Failed");
  if (textAt(failed, "status") === "True") return notReady(conditionText(failed));
  const complete = textAt(conditionOf(job, "Complete"), "status") === "True";
  if (waitsForJobs) return complete ? isReady : notReady("the Job is not complete yet");
  const started =
    textAt(job, "status", "startTime") !== "" || fieldOf(treeAt(job, "spec"), "suspend") === true;
  return complete || started ? isReady : notReady("the Job has not started");
}

function claimReadiness(claim: Tree): Readiness {
  const phase = textAt(claim, "status", "phase");
  return phase === "Bound"
    ? isReady
    : notReady(`the volume is ${phase === "" ? "not bound" : phase}, not Bound`);
}

function serviceReadiness(service: Tree): Readiness {
  if (textAt(service, "spec", "type") !== "LoadBalancer") return isReady;
  const hasAddress = listAt(service, "status", "loadBalancer", "ingress").length > 0;
  return hasAddress ? isReady : notReady("the load balancer has no address yet");
}

function definitionReadiness(definition: Tree): Readiness {
  const names = conditionOf(definition, "NamesAccepted");
  if (textAt(names, "status") === "False") return notReady(conditionText(names));
  const isServed = textAt(conditionOf(definition, "Established"), "status") === "True";
  return isServed ? isReady : notReady("the definition is not established yet");
}

// OpenFaaS' operator tells by "Healthy" whether replicas run, and "Ready" that the function was deployed; zero replicas are healthy.
function functionReadiness(object: Tree): Readiness {
  if (listAt(object, "status", "conditions").length === 0)
    return notReady("the function is not deployed yet");
  return conditionsReadiness(object);
}
