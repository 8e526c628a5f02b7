import type { Container, ContainerState, ContainerStatus, PodCondition, PodStatus } from "@cortado/kinds";
import { toTime } from "@cortado/std/clock";
import { restartCountAnnotation } from "../runtime/labels.ts";
import type { PodView, RuntimeContainer } from "../runtime/runtime.ts";
import { currentSandbox, newestOf, type ProbeView } from "./plan.ts";
import { initContainers, isTerminal, qosClass, specOf, type ContainerRole, type StoredPod } from "./pod.ts";

/** Why a container is not running yet, in upstream's words: ErrImagePull, CrashLoopBackOff, … */
export type Problem = { readonly reason: string; readonly message: string };

export type StatusInput = {
  readonly pod: StoredPod;
  readonly view: PodView;
  readonly nowMs: number;
  readonly runtimeName: string;
  readonly hostIps: readonly string[];
  readonly probes: (containerId: string) => ProbeView;
  readonly problem: (name: string) => Problem | undefined;
  /** Message that a container left behind when it ended. */
  readonly lastWords: (container: RuntimeContainer) => string | undefined;
  /** Set when the pod was ended from outside: evicted, or past its deadline. */
  readonly ended: { readonly reason: string; readonly message: string } | undefined;
  /** Every container is down, as far as the node is concerned. */
  readonly stopped: boolean;
};

/** The whole status of a pod, from what runs. Pure. */
export function podStatus(input: StatusInput): PodStatus {
  const { pod } = input;
  const spec = specOf(pod);
  const inits = initContainers(spec);
  const initStatuses = inits.map(({ container, role }) => containerStatus(input, container, role));
  const statuses = spec.containers.map((container) => containerStatus(input, container, "main"));
  const phase = podPhase(input, initStatuses, statuses);
  const sandbox = currentSandbox(pod, input.view);
  const ips =
    spec.hostNetwork === true
      ? sandbox === undefined
        ? []
        : input.hostIps
      : (sandbox?.ips ?? keptIps(input));
  const done = isTerminal(phase);
  return {
    phase,
    startTime: pod.status?.startTime ?? toTime(input.nowMs),
    qosClass: pod.status?.qosClass ?? qosClass(spec),
    ...(input.hostIps[0] === undefined
      ? {}
      : { hostIP: input.hostIps[0], hostIPs: input.hostIps.map((ip) => ({ ip })) }),
    ...(ips[0] === undefined ? {} : { podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) }),
    conditions: conditions({ input, initStatuses, statuses, done, hasSandbox: sandbox !== undefined }),
    ...(initStatuses.length === 0 ? {} : { initContainerStatuses: initStatuses }),
    containerStatuses: statuses,
    ...(input.ended ?? {}),
  };
}

// While a pod ends, and after, its address is still asked for, by those who drain it or read its logs.
function keptIps({ pod, view }: StatusInput): readonly string[] {
  const ends = pod.metadata.deletionTimestamp !== undefined || isTerminal(pod.status?.phase);
  if (view.sandboxes.length > 0 && !view.sandboxes.some((one) => one.ready) && !ends) return [];
  return (pod.status?.podIPs ?? []).map(({ ip }) => ip);
}

function containerStatus(input: StatusInput, container: Container, role: ContainerRole): ContainerStatus {
  const { view, pod } = input;
  const newest = newestOf(view, container.name);
  const written = writtenStatus(pod, container.name);
  const problem = input.problem(container.name);
  const previous =
    newest === undefined
      ? undefined
      : view.containers.find((one) => one.name === container.name && one.id !== newest.id);
  const base = {
    name: container.name,
    image: newest?.image || written?.image || container.image || "",
    imageID: newest?.imageRef || written?.imageID || "",
    restartCount: newest === undefined ? (written?.restartCount ?? 0) : restartCount(newest),
    ...identity(input, newest, written),
  };
  const last =
    previous === undefined ? keptLast(written, newest) : { terminated: terminated(input, previous) };
  const lastState = last === undefined || Object.keys(last).length === 0 ? {} : { lastState: last };
  if (newest === undefined || newest.phase === "created" || newest.phase === "unknown") {
    // A container that the API has seen and the runtime has not was taken away by force, or by a collector.
    const lost =
      written?.state?.terminated ?? (written?.state?.running === undefined ? undefined : lostState(written));
    if (input.stopped && lost !== undefined)
      return { ...base, ready: false, started: false, ...lastState, state: { terminated: lost } };
    const waiting = problem ?? {
      reason: initsDone(input) || role !== "main" ? "ContainerCreating" : "PodInitializing",
      message: "",
    };
    return { ...base, ready: false, started: false, ...lastState, state: { waiting: withoutEmpty(waiting) } };
  }
  if (newest.phase === "running") return { ...base, ...running(input, newest, role), ...lastState };
  const state: ContainerState = { terminated: terminated(input, newest) };
  if (problem !== undefined && !input.stopped)
    return {
      ...base,
      ready: false,
      started: false,
      lastState: state,
      state: { waiting: withoutEmpty(problem) },
    };
  // A finished init container is "ready": that is how upstream says it did its work.
  return { ...base, ready: role === "init" && newest.exitCode === 0, started: false, ...lastState, state };
}

// When the one before was collected, the API still has its end.
function keptLast(
  written: ContainerStatus | undefined,
  newest: RuntimeContainer | undefined,
): ContainerState | undefined {
  const ended = written?.state?.terminated;
  if (ended === undefined || newest === undefined || ended.containerID?.endsWith(newest.id) === true)
    return written?.lastState;
  return { terminated: ended };
}

function running(
  input: StatusInput,
  container: RuntimeContainer,
  role: ContainerRole,
): Pick<ContainerStatus, "ready" | "started" | "state"> {
  const probes = input.probes(container.id);
  const started = probes.startup === undefined || probes.startup === "passed";
  return {
    ready: role !== "init" && started && probes.ready !== false,
    started,
    state: { running: { startedAt: toTime(container.startedMs) } },
  };
}

function terminated(
  input: StatusInput,
  container: RuntimeContainer,
): NonNullable<ContainerState["terminated"]> {
  const message = input.lastWords(container) ?? container.message;
  return {
    exitCode: container.exitCode,
    reason: container.reason || (container.exitCode === 0 ? "Completed" : "Error"),
    startedAt: toTime(container.startedMs),
    finishedAt: toTime(container.finishedMs),
    containerID: `${input.runtimeName}://${container.id}`,
    ...(message === "" ? {} : { message }),
  };
}

function lostState(written: ContainerStatus): NonNullable<ContainerState["terminated"]> {
  return {
    exitCode: 137,
    reason: "ContainerStatusUnknown",
    message: "The container could not be located when the pod was terminated",
    ...(written.containerID === undefined ? {} : { containerID: written.containerID }),
  };
}

function identity(
  input: StatusInput,
  newest: RuntimeContainer | undefined,
  written: ContainerStatus | undefined,
): { containerID?: string } {
  if (newest !== undefined) return { containerID: `${input.runtimeName}://${newest.id}` };
  return written?.containerID === undefined ? {} : { containerID: written.containerID };
}

function restartCount(container: RuntimeContainer): number {
  const text = container.annotations[restartCountAnnotation];
  return text === undefined ? container.attempt : Number(text);
}

function writtenStatus(pod: StoredPod, name: string): ContainerStatus | undefined {
  const { containerStatuses = [], initContainerStatuses = [] } = pod.status ?? {};
  return [...containerStatuses, ...initContainerStatuses].find((one) => one.name === name);
}

function initsDone({ pod, view, probes }: StatusInput): boolean {
  return initContainers(specOf(pod)).every(({ container, role }) => {
    const newest = newestOf(view, container.name);
    if (role === "init") return newest?.phase === "exited" && newest.exitCode === 0;
    const startup = newest === undefined ? "waiting" : probes(newest.id).startup;
    return newest?.phase === "running" && (startup === undefined || startup === "passed");
  });
}

// Upstream's getPhase, in its order.
function podPhase(
  input: StatusInput,
  inits: readonly ContainerStatus[],
  mains: readonly ContainerStatus[],
): NonNullable<PodStatus["phase"]> {
  const { pod } = input;
  const written = pod.status?.phase;
  if (isTerminal(written)) return written as NonNullable<PodStatus["phase"]>;
  if (input.ended !== undefined) return "Failed";
  const policy = specOf(pod).restartPolicy ?? "Always";
  const regular = inits.filter((_status, at) => initContainers(specOf(pod))[at]?.role === "init");
  if (policy === "Never" && regular.some((one) => (one.state?.terminated?.exitCode ?? 0) !== 0))
    return "Failed";
  const isRunning = mains.some((one) => one.state?.running !== undefined);
  const ended = mains.filter((one) => endOf(one) !== undefined);
  const waiting =
    mains.length - ended.length - mains.filter((one) => one.state?.running !== undefined).length;
  if (waiting > 0 || mains.length === 0) return written === "Running" && isRunning ? "Running" : "Pending";
  if (isRunning) return "Running";
  if (input.stopped && pod.metadata.deletionTimestamp !== undefined)
    return ended.every((one) => endOf(one)?.exitCode === 0) ? "Succeeded" : "Failed";
  if (policy === "Always") return "Running";
  if (ended.every((one) => one.state?.terminated?.exitCode === 0)) return "Succeeded";
  return policy === "Never" ? "Failed" : "Running";
}

function endOf(status: ContainerStatus): ContainerState["terminated"] {
  return (
    status.state?.terminated ??
    (status.state?.waiting === undefined ? undefined : status.lastState?.terminated)
  );
}

type ConditionInput = {
  readonly input: StatusInput;
  readonly initStatuses: readonly ContainerStatus[];
  readonly statuses: readonly ContainerStatus[];
  readonly done: boolean;
  readonly hasSandbox: boolean;
};

function conditions({ input, initStatuses, statuses, done, hasSandbox }: ConditionInput): PodCondition[] {
  const { pod } = input;
  const written = pod.status?.conditions ?? [];
  const phaseDone = done ? { reason: "PodCompleted" } : {};
  const initialized = done || initsDone(input);
  const succeeded = done && statuses.every((one) => one.state?.terminated?.exitCode === 0);
  const unready = [
    ...statuses,
    ...initStatuses.filter((_one, at) => initContainers(specOf(pod))[at]?.role === "sidecar"),
  ]
    .filter((one) => !one.ready)
    .map((one) => one.name);
  const notReady = {
    reason: "ContainersNotReady",
    message: `containers with unready status: [${unready.join(" ")}]`,
  };
  const containersReady = unready.length === 0 && !done;
  const gates = (specOf(pod).readinessGates ?? []).filter(
    ({ conditionType }) => written.find((one) => one.type === conditionType)?.status !== "True",
  );
  const ready = containersReady && gates.length === 0;
  const pending = initStatuses.filter((one) => !one.ready).map((one) => one.name);
  const incomplete = {
    reason: "ContainersNotInitialized",
    message: `containers with incomplete status: [${pending.join(" ")}]`,
  };
  const gateText = gates.map(
    ({ conditionType }) => `corresponding condition of pod readiness gate "${conditionType}" does not exist.`,
  );
  const ours: Omit<PodCondition, "lastTransitionTime">[] = [
    { type: "PodReadyToStartContainers", status: hasSandbox && !done ? "True" : "False" },
    {
      type: "Initialized",
      status: initialized ? "True" : "False",
      ...(initialized ? (succeeded ? phaseDone : {}) : incomplete),
    },
    {
      type: "Ready",
      status: ready ? "True" : "False",
      ...readyReason({ ready, done, containersReady, notReady, gateText }),
    },
    {
      type: "ContainersReady",
      status: containersReady ? "True" : "False",
      ...(containersReady ? {} : done ? phaseDone : notReady),
    },
  ];
  if (!written.some((one) => one.type === "PodScheduled"))
    ours.push({ type: "PodScheduled", status: "True" });
  const names = new Set(ours.map((one) => one.type));
  const others = written.filter((one) => !names.has(one.type));
  return [...ours.map((one) => stamped(one, written, input.nowMs)), ...others];
}

type ReadyInput = {
  readonly ready: boolean;
  readonly done: boolean;
  readonly containersReady: boolean;
  readonly notReady: Problem;
  readonly gateText: readonly string[];
};

function readyReason({ ready, done, containersReady, notReady, gateText }: ReadyInput): Partial<Problem> {
  if (ready) return {};
  if (done) return { reason: "PodCompleted" };
  return containersReady ? { reason: "ReadinessGatesNotReady", message: gateText.join(", ") } : notReady;
}

function stamped(
  condition: Omit<PodCondition, "lastTransitionTime">,
  written: readonly PodCondition[],
  nowMs: number,
): PodCondition {
  const before = written.find((one) => one.type === condition.type);
  const since = before?.status === condition.status ? before.lastTransitionTime : undefined;
  return { ...condition, lastTransitionTime: since ?? toTime(nowMs) };
}

function withoutEmpty(problem: Problem): { reason: string; message?: string } {
  return problem.message === "" ? { reason: problem.reason } : { ...problem };
}
