import type { Container } from "@cortado/kinds";
import type { EventRecorder, Happening } from "../events/recorder.ts";
import type { PullEvents } from "../images/puller.ts";
import { durationText } from "./back-off.ts";
import { specOf, type StoredPod } from "./pod.ts";

export type PodHappening = Pick<Happening, "type" | "reason" | "message"> & { readonly container?: string };

/** An event about a pod, or about one of its containers. */
export function podEvent(pod: StoredPod, { container, ...happening }: PodHappening): Happening {
  const { name, namespace = "default", uid } = pod.metadata;
  const inits = (specOf(pod).initContainers ?? []).some((one) => one.name === container);
  const fieldPath =
    container === undefined
      ? {}
      : { fieldPath: `spec.${inits ? "initContainers" : "containers"}{${container}}` };
  return { ...happening, involved: { apiVersion: "v1", kind: "Pod", name, namespace, uid, ...fieldPath } };
}

/** Tells that a probe failed. */
export function probeFailed(
  events: EventRecorder,
): (pod: StoredPod, container: Container, kind: string, message: string) => void {
  return (pod, container, kind, message) => {
    const text = `${kind[0]?.toUpperCase()}${kind.slice(1)} probe failed: ${message}`;
    events.record(
      podEvent(pod, { type: "Warning", reason: "Unhealthy", message: text, container: container.name }),
    );
  };
}

/** Tells how pulls go. */
export function pullEvents(events: EventRecorder): PullEvents {
  const quoted = (container: { readonly image?: string }): string => JSON.stringify(container.image ?? "");
  return {
    pulling: (pod, container) =>
      events.record(
        podEvent(pod, {
          type: "Normal",
          reason: "Pulling",
          message: `Pulling image ${quoted(container)}`,
          container: container.name,
        }),
      ),
    pulled: (pod, container, { tookMs, sizeBytes }) => {
      const message =
        tookMs === undefined
          ? `Container image ${quoted(container)} already present on machine`
          : `Successfully pulled image ${quoted(container)} in ${durationText(tookMs)}. Image size: ${sizeBytes} bytes.`;
      events.record(podEvent(pod, { type: "Normal", reason: "Pulled", message, container: container.name }));
    },
    failed: (pod, container, problem) => {
      const message =
        problem.reason === "ErrImageNeverPull"
          ? problem.message
          : `Failed to pull image ${quoted(container)}: ${problem.message}`;
      events.record(
        podEvent(pod, {
          type: "Warning",
          reason: problem.reason === "ErrImageNeverPull" ? problem.reason : "Failed",
          message,
          container: container.name,
        }),
      );
      events.record(
        podEvent(pod, {
          type: "Warning",
          reason: "Failed",
          message: `Error: ${problem.reason}`,
          container: container.name,
        }),
      );
    },
    waits: (pod, container) => {
      const message = `Back-off pulling image ${quoted(container)}`;
      events.record(podEvent(pod, { type: "Normal", reason: "BackOff", message, container: container.name }));
    },
  };
}
