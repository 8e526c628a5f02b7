import type { Client, Stored } from "@cortado/client";
import type { Pod } from "@cortado/kinds";
import { events, persistentVolumeClaims, pods } from "@cortado/kinds/resources";
import { toMicroTime, toTime, type Clock } from "@cortado/std/clock";
import { nameSuffix, type Random } from "@cortado/std/random";
import type { Decision } from "../plan/plan.ts";

export type BindOptions = {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
};

/** Gives a pod to a node; first says so on claims that wait for their first consumer, so that their volume is made there. */
export async function bindPod(
  { pod, node }: Extract<Decision, { kind: "bind" }>,
  options: BindOptions,
): Promise<void> {
  const { client, signal } = options;
  const { name, namespace = "default", uid } = pod.metadata;
  for (const { persistentVolumeClaim: claim } of pod.spec?.volumes ?? [])
    if (claim !== undefined) {
      const body = { metadata: { annotations: { "volume.kubernetes.io/selected-node": node } } };
      await client.patch(persistentVolumeClaims, {
        name: claim.claimName,
        namespace,
        type: "merge",
        body,
        signal,
      });
    }
  const target = { apiVersion: "v1", kind: "Node", name: node };
  const binding = { apiVersion: "v1", kind: "Binding", metadata: { name, namespace, uid }, target };
  await client.createSub(pods, binding, { name, namespace, subresource: "binding", signal });
  const message = `Successfully assigned ${namespace}/${name} to ${node}`;
  await record(pod, { type: "Normal", reason: "Scheduled", message, action: "Binding" }, options);
}

/** Says on the pod, and as an Event, why it fits nowhere; once per reason. */
export async function markUnschedulable(
  { pod, message }: Extract<Decision, { kind: "wait" }>,
  options: BindOptions,
): Promise<void> {
  const { client, clock, signal } = options;
  const before = pod.status?.conditions?.find(({ type }) => type === "PodScheduled");
  if (before?.status === "False" && before.message === message) return;
  const condition = {
    type: "PodScheduled",
    status: "False",
    reason: "Unschedulable",
    message,
    lastTransitionTime: toTime(clock.nowMs()),
  };
  const { name, namespace = "default", uid } = pod.metadata;
  const body = { metadata: { uid }, status: { conditions: [condition] } };
  await client.patch(pods, { name, namespace, type: "strategic", body, subresource: "status", signal });
  await record(pod, { type: "Warning", reason: "FailedScheduling", message, action: "Scheduling" }, options);
}

type Happening = {
  readonly type: string;
  readonly reason: string;
  readonly message: string;
  readonly action: string;
};

async function record(
  pod: Stored<Pod>,
  happening: Happening,
  { client, clock, random, signal }: BindOptions,
): Promise<void> {
  const { name, namespace = "default", uid, resourceVersion } = pod.metadata;
  const event = {
    metadata: { name: `${name}.${nameSuffix(random, 16)}`, namespace },
    involvedObject: { apiVersion: "v1", kind: "Pod", name, namespace, uid, resourceVersion },
    ...happening,
    eventTime: toMicroTime(clock.nowMs()),
    reportingComponent: "default-scheduler",
    reportingInstance: "default-scheduler",
  };
  // An event that cannot be written must not undo a binding that stands.
  await client.create(events, event as never, { signal }).catch(() => undefined);
}
