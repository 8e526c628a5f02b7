import type { Stored } from "@cortado/client";
import type { Container, Pod, PodSpec } from "@cortado/kinds";
import { milliCpu, quantity } from "../quantity.ts";

/** A pod as the API gave it; shared and frozen. */
export type StoredPod = Stored<Pod>;

export type ContainerRole = "init" | "sidecar" | "main";

export type RoledContainer = { readonly container: Container; readonly role: ContainerRole };

export function specOf(pod: StoredPod): PodSpec {
  return pod.spec ?? { containers: [] };
}

/** "NAME_NAMESPACE(UID)": how upstream names a pod in messages and folders. */
export function podText(pod: StoredPod): string {
  return `${pod.metadata.name}_${pod.metadata.namespace}(${pod.metadata.uid})`;
}

/** Init containers that restart always run beside the main ones (KEP-753). */
export function roleOf(spec: PodSpec, container: Container): ContainerRole {
  if (!(spec.initContainers ?? []).includes(container)) return "main";
  return container.restartPolicy === "Always" ? "sidecar" : "init";
}

export function initContainers(spec: PodSpec): readonly RoledContainer[] {
  return (spec.initContainers ?? []).map((container) => ({ container, role: roleOf(spec, container) }));
}

export function allContainers(spec: PodSpec): readonly RoledContainer[] {
  return [
    ...initContainers(spec),
    ...spec.containers.map((container) => ({ container, role: "main" as const })),
  ];
}

export type QosClass = "Guaranteed" | "Burstable" | "BestEffort";

/** Upstream's rule (pkg/apis/core/v1/helper/qos): all limits equal requests, some, or none. */
export function qosClass(spec: PodSpec): QosClass {
  let any = false;
  let guaranteed = true;
  for (const { container } of allContainers(spec)) {
    for (const name of ["cpu", "memory"] as const) {
      const limit = quantity(container.resources?.limits?.[name]);
      const request = quantity(container.resources?.requests?.[name] ?? container.resources?.limits?.[name]);
      if (limit > 0 || request > 0) any = true;
      if (limit <= 0 || request !== limit) guaranteed = false;
    }
  }
  if (!any) return "BestEffort";
  return guaranteed ? "Guaranteed" : "Burstable";
}

/** What a pod asks for, by the scheduler's rule: the larger of its init containers and the sum of the others. */
export function podRequest(spec: PodSpec, name: "cpu" | "memory"): number {
  const of = (container: Container): number => {
    const value = container.resources?.requests?.[name] ?? container.resources?.limits?.[name];
    return name === "cpu" ? milliCpu(value) : quantity(value);
  };
  const inits = initContainers(spec);
  const sidecars = inits
    .filter(({ role }) => role === "sidecar")
    .reduce((sum, { container }) => sum + of(container), 0);
  const main = spec.containers.reduce((sum, container) => sum + of(container), 0) + sidecars;
  const init = Math.max(
    0,
    ...inits.filter(({ role }) => role === "init").map(({ container }) => of(container)),
  );
  return Math.max(main, init + sidecars);
}

/** FNV-1a over the parts of a container that need a restart when they change; upstream restarts on a changed image only. */
export function containerHash(container: Container): string {
  let hash = 0x811c9dc5;
  for (const letter of JSON.stringify({ name: container.name, image: container.image })) {
    hash = Math.imul(hash ^ letter.charCodeAt(0), 0x01000193) >>> 0;
  }
  return hash.toString(16);
}

export function isTerminal(phase: string | undefined): boolean {
  return phase === "Succeeded" || phase === "Failed";
}
