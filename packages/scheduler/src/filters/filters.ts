import type { Pod, Taint, Toleration } from "@cortado/kinds";
import { allocatable, requestsOf, used } from "../plan/snapshot.ts";
import type { Filter, FilterInput } from "./filter.ts";
import { matchesNodeTerms } from "./node-terms.ts";
import { podTermsRefuse } from "./pod-terms.ts";
import { spreadRefuses } from "./spread.ts";

/** In upstream's order: the first that refuses names the reason. */
export const filters: readonly Filter[] = [
  unschedulable,
  nodeName,
  taints,
  nodeAffinity,
  hostPorts,
  resources,
  volumes,
  spreadRefuses,
  podTermsRefuse,
];

function unschedulable({ pod, view }: FilterInput): string | undefined {
  const taint: Taint = { key: "node.kubernetes.io/unschedulable", effect: "NoSchedule" };
  if (view.node.spec?.unschedulable !== true || tolerates(pod, taint)) return undefined;
  return "node(s) were unschedulable";
}

function nodeName({ pod, view }: FilterInput): string | undefined {
  const wanted = pod.spec?.nodeName;
  return wanted === undefined || wanted === view.node.metadata.name
    ? undefined
    : "node(s) didn't match the requested node name";
}

function taints({ pod, view }: FilterInput): string | undefined {
  const hard = (view.node.spec?.taints ?? []).filter(({ effect }) => effect !== "PreferNoSchedule");
  const refused = hard.find((taint) => !tolerates(pod, taint));
  if (refused === undefined) return undefined;
  const value = refused.value === undefined || refused.value === "" ? "" : `: ${refused.value}`;
  return `node(s) had untolerated taint {${refused.key}${value}}`;
}

export function tolerates(pod: Pod, taint: Taint): boolean {
  return (pod.spec?.tolerations ?? []).some((toleration) => bears(toleration, taint));
}

function bears({ key, operator = "Equal", value = "", effect }: Toleration, taint: Taint): boolean {
  if (effect !== undefined && effect !== taint.effect) return false;
  if (key !== undefined && key !== "" && key !== taint.key) return false;
  return operator === "Exists" || (key !== undefined && value === (taint.value ?? ""));
}

function nodeAffinity({ pod, view }: FilterInput): string | undefined {
  const reason = "node(s) didn't match Pod's node affinity/selector";
  const labels = view.node.metadata.labels ?? {};
  for (const [name, value] of Object.entries(pod.spec?.nodeSelector ?? {}))
    if (labels[name] !== value) return reason;
  const required = pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return required === undefined || matchesNodeTerms(required.nodeSelectorTerms, view.node)
    ? undefined
    : reason;
}

function hostPorts({ pod, view }: FilterInput): string | undefined {
  const wanted = hostPortsOf(pod);
  if (wanted.length === 0) return undefined;
  const taken = view.pods.flatMap(hostPortsOf);
  const clash = wanted.some((one) => taken.some((other) => samePort(one, other)));
  return clash ? "node(s) didn't have free ports for the requested pod ports" : undefined;
}

type HostPort = { readonly ip: string; readonly port: number; readonly protocol: string };

function hostPortsOf(pod: Pod): readonly HostPort[] {
  const ports = (pod.spec?.containers ?? []).flatMap((container) => container.ports ?? []);
  return ports
    .filter(({ hostPort }) => hostPort !== undefined && hostPort > 0)
    .map(({ hostPort = 0, hostIP = "0.0.0.0", protocol = "TCP" }) => ({
      ip: hostIP,
      port: hostPort,
      protocol,
    }));
}

function samePort(one: HostPort, other: HostPort): boolean {
  const anyIp = one.ip === "0.0.0.0" || other.ip === "0.0.0.0" || one.ip === other.ip;
  return anyIp && one.port === other.port && one.protocol === other.protocol;
}

function resources({ pod, view }: FilterInput): string | undefined {
  const free = allocatable(view.node);
  const taken = used(view);
  for (const [name, amount] of Object.entries(requestsOf(pod))) {
    if (amount === 0 || amount <= (free[name] ?? 0) - (taken[name] ?? 0)) continue;
    return name === "pods" ? "Too many pods" : `Insufficient ${name}`;
  }
  return undefined;
}

/** A bound local volume ties its pod to the volume's node. */
function volumes({ pod, view, snapshot }: FilterInput): string | undefined {
  for (const { persistentVolumeClaim: claim } of pod.spec?.volumes ?? []) {
    if (claim === undefined) continue;
    const found = snapshot.claims(`${pod.metadata.namespace}/${claim.claimName}`);
    if (found === undefined) return `persistentvolumeclaim "${claim.claimName}" not found`;
    if (found.metadata.deletionTimestamp !== undefined)
      return `persistentvolumeclaim "${claim.claimName}" is being deleted`;
    const volume = found.spec?.volumeName === undefined ? undefined : snapshot.volumes(found.spec.volumeName);
    const terms = volume?.spec?.nodeAffinity?.required?.nodeSelectorTerms;
    if (terms !== undefined && !matchesNodeTerms(terms, view.node))
      return "node(s) didn't match PersistentVolume's node affinity";
  }
  return undefined;
}
