import type { NodeCondition, NodeStatus } from "@cortado/kinds";
import { toTime } from "@cortado/std/clock";
import { NODE_IMAGES_MAX, PODS_MAX } from "../limits.ts";
import type { RuntimeHealth, RuntimeImage } from "../runtime/runtime.ts";
import type { Machine } from "./machine.ts";

/** The version this node claims; 1.36 is the API's, the rest is ours. */
export const kubeletVersion = "v1.36.0+cortado1";

export type Pressure = { readonly memory: boolean; readonly disk: boolean; readonly pids: boolean };

export type NodeStatusInput = {
  readonly machine: Machine;
  readonly nodeName: string;
  readonly runtimeVersion: string;
  readonly simulated: boolean;
  readonly health: RuntimeHealth;
  readonly pressure: Pressure;
  readonly images: readonly RuntimeImage[];
  readonly diskBytes: number;
  readonly written: NodeStatus | undefined;
  readonly nowMs: number;
  readonly apiPort: number | undefined;
  readonly podsMax?: number | undefined;
};

/** The whole status of the node. Pure. */
export function nodeStatus(input: NodeStatusInput): NodeStatus {
  const { machine, nodeName } = input;
  const capacity = {
    cpu: String(machine.cpus),
    memory: `${Math.floor(machine.memoryBytes / 1_024)}Ki`,
    "ephemeral-storage": `${Math.floor(input.diskBytes / 1_024)}Ki`,
    pods: String(input.podsMax ?? PODS_MAX),
  };
  return {
    addresses: [
      ...machine.addresses().map((address) => ({ type: "InternalIP" as const, address })),
      { type: "Hostname" as const, address: nodeName },
    ],
    capacity,
    allocatable: { ...capacity, "ephemeral-storage": String(Math.floor(input.diskBytes * 0.9)) },
    conditions: conditions(input),
    daemonEndpoints: { kubeletEndpoint: { Port: input.apiPort ?? 10_250 } },
    images: input.images
      .toSorted((first, second) => second.sizeBytes - first.sizeBytes || (first.id < second.id ? -1 : 1))
      .slice(0, NODE_IMAGES_MAX)
      .map((image) => ({ names: [...image.digests, ...image.tags].slice(0, 5), sizeBytes: image.sizeBytes })),
    nodeInfo: {
      architecture: machine.architecture,
      bootID: machine.bootId,
      containerRuntimeVersion: input.runtimeVersion,
      kernelVersion: machine.kernel,
      kubeProxyVersion: "",
      kubeletVersion,
      machineID: machine.machineId,
      operatingSystem: "linux",
      osImage: input.simulated ? `simulated (${machine.osImage})` : machine.osImage,
      systemUUID: machine.machineId,
    },
  };
}

type Draft = Pick<NodeCondition, "type" | "status" | "reason" | "message">;

function conditions({ health, pressure, simulated, written, nowMs }: NodeStatusInput): NodeCondition[] {
  const pressed = (
    type: string,
    on: boolean,
    words: { readonly reason: string; readonly good: string; readonly bad: string },
  ): Draft => ({
    type,
    status: on ? "True" : "False",
    reason: on ? `KubeletHas${words.reason}` : `KubeletHas${words.good}`,
    message: words.bad.replace("STATE", on ? "has" : "has no"),
  });
  const ready: Draft = health.ready
    ? {
        type: "Ready",
        status: "True",
        reason: "KubeletReady",
        message: simulated
          ? "this node is simulated: its pods are objects only, nothing runs"
          : "the node agent is posting ready status",
      }
    : { type: "Ready", status: "False", reason: "KubeletNotReady", message: health.message };
  const drafts: Draft[] = [
    pressed("MemoryPressure", pressure.memory, {
      reason: "InsufficientMemory",
      good: "SufficientMemory",
      bad: "the node STATE memory pressure",
    }),
    pressed("DiskPressure", pressure.disk, {
      reason: "DiskPressure",
      good: "NoDiskPressure",
      bad: "the node STATE disk pressure",
    }),
    pressed("PIDPressure", pressure.pids, {
      reason: "InsufficientPID",
      good: "SufficientPID",
      bad: "the node STATE process pressure",
    }),
    ready,
  ];
  return drafts.map((draft) => {
    const before = (written?.conditions ?? []).find((one) => one.type === draft.type);
    const since = before?.status === draft.status ? before.lastTransitionTime : undefined;
    return { ...draft, lastHeartbeatTime: toTime(nowMs), lastTransitionTime: since ?? toTime(nowMs) };
  });
}

/** True when something differs that a reader cares for: heartbeats alone do not. */
export function statusDiffers(before: NodeStatus | undefined, after: NodeStatus): boolean {
  return meaning(before ?? {}) !== meaning(after);
}

function meaning(status: NodeStatus): string {
  const { addresses, capacity, allocatable, nodeInfo, images, daemonEndpoints } = status;
  const said = (status.conditions ?? []).map(({ type, status: state, reason, message }) => [
    type,
    state,
    reason,
    message,
  ]);
  return JSON.stringify(
    [addresses, capacity, allocatable, nodeInfo, images, daemonEndpoints, said],
    sortKeys,
  );
}

function sortKeys(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([first], [second]) => (first < second ? -1 : 1)));
}
