import type { Happening } from "../events/recorder.ts";
import { specOf, type StoredPod } from "./pod.ts";

export type PodHappening = Pick<Happening, "type" | "reason" | "message"> & { readonly container?: string };

/** An event about a pod, or about one of its containers. */
export function podEvent(pod: StoredPod, { container, ...happening }: PodHappening): Happening {
  const { name, namespace = "default", uid } = pod.metadata;
  const inits = (specOf(pod).initContainers ?? []).some((one) => one.name === container);
  const fieldPath = container === undefined ? {} : { fieldPath: `spec.${inits ? "initContainers" : "containers"}{${container}}` };
  return { ...happening, involved: { apiVersion: "v1", kind: "Pod", name, namespace, uid, ...fieldPath } };
}
