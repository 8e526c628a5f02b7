import type { Stored, Unkinded } from "@cortado/client";
import type { KubeObject, LabelSelector, OwnerReference, Pod, PodTemplateSpec } from "@cortado/kinds";
import { selects } from "@cortado/kinds/label-selector";

/** The reference that makes `owner` the one controller of an object. */
export function controllerReference(
  owner: Stored<KubeObject>,
  of: { readonly apiVersion: string; readonly kind: string },
): OwnerReference {
  const { name, uid } = owner.metadata;
  return { ...of, name, uid, controller: true, blockOwnerDeletion: true };
}

/** A pod from a template, owned by `owner`; without `name` the server makes one up. */
export function podFromTemplate(
  template: PodTemplateSpec,
  options: {
    readonly namespace: string;
    readonly owner: OwnerReference;
    readonly name?: string;
    readonly labels?: Record<string, string>;
  },
): Unkinded<Pod> {
  const { owner, namespace, name } = options;
  const labels = { ...template.metadata?.labels, ...options.labels };
  const { annotations, finalizers } = template.metadata ?? {};
  return {
    metadata: {
      namespace,
      ...(name === undefined ? { generateName: `${owner.name}-` } : { name }),
      labels,
      ...(annotations === undefined ? {} : { annotations }),
      ...(finalizers === undefined ? {} : { finalizers }),
      ownerReferences: [owner],
    },
    ...(template.spec === undefined ? {} : { spec: template.spec }),
  };
}

export function isReady(pod: Pod): boolean {
  return (
    pod.status?.conditions?.some((condition) => condition.type === "Ready" && condition.status === "True") ??
    false
  );
}

/** Ready, and for at least `minReadySeconds`. */
export function isAvailable(
  pod: Pod,
  options: { readonly minReadySeconds: number; readonly nowMs: number },
): boolean {
  return isReady(pod) && availableInMs(pod, options) <= 0;
}

/** Milliseconds until a ready pod becomes available. */
export function availableInMs(
  pod: Pod,
  options: { readonly minReadySeconds: number; readonly nowMs: number },
): number {
  const ready = pod.status?.conditions?.find((condition) => condition.type === "Ready");
  const sinceMs = Date.parse(ready?.lastTransitionTime ?? "") || options.nowMs;
  return sinceMs + options.minReadySeconds * 1_000 - options.nowMs;
}

/** Neither finished nor on its way out. */
export function isActive(pod: Pod): boolean {
  const { phase } = pod.status ?? {};
  return phase !== "Succeeded" && phase !== "Failed" && pod.metadata.deletionTimestamp === undefined;
}

export function isTerminating(object: KubeObject): boolean {
  return object.metadata.deletionTimestamp !== undefined;
}

/** Objects with no controller that this selector would select: upstream's controllers adopt them. */
export function orphansFor<Kind extends KubeObject>(
  objects: Iterable<Stored<Kind>>,
  selector: LabelSelector | undefined,
): readonly Stored<Kind>[] {
  return [...objects].filter(
    (object) =>
      !isTerminating(object) &&
      !(object.metadata.ownerReferences ?? []).some((owner) => owner.controller === true) &&
      selects(selector, object.metadata.labels),
  );
}

/** The JSON patch that adopts an orphan, provided that it is still the one that was seen. */
export function adoption(orphan: Stored<KubeObject>, owner: OwnerReference): readonly unknown[] {
  const test = { op: "test", path: "/metadata/uid", value: orphan.metadata.uid };
  const owners = [...(orphan.metadata.ownerReferences ?? []), owner];
  return [test, { op: "add", path: "/metadata/ownerReferences", value: owners }];
}

/** The order in which pods are ended first: not running, then not ready, then newest (kubernetes, pkg/controller, ActivePods). */
export function byUselessness(one: Pod, other: Pod): number {
  const rank = (pod: Pod): number => {
    if (pod.spec?.nodeName === undefined) return 0;
    if (pod.status?.phase !== "Running") return 1;
    return isReady(pod) ? 3 : 2;
  };
  const cost = (pod: Pod): number =>
    Number(pod.metadata.annotations?.["controller.kubernetes.io/pod-deletion-cost"] ?? 0);
  return (
    rank(one) - rank(other) ||
    cost(one) - cost(other) ||
    (other.metadata.creationTimestamp ?? "").localeCompare(one.metadata.creationTimestamp ?? "")
  );
}
