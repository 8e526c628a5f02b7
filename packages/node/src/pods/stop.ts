import type { Container, LifecycleHandler } from "@cortado/kinds";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import { check, type CheckResult } from "../probes/check.ts";
import { GRACE_S } from "../limits.ts";
import { graceAnnotation, roleAnnotation } from "../runtime/labels.ts";
import type { PodView, Runtime, RuntimeContainer } from "../runtime/runtime.ts";
import { allContainers, specOf, type StoredPod } from "./pod.ts";

/** A process gets at least this long after its preStop hook (kubelet, minimumGracePeriodInSeconds). */
const GRACE_MIN_S = 2;

export type StopPorts = {
  readonly runtime: Runtime;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly killing: (container: RuntimeContainer, message: string) => void;
  readonly hookFailed: (container: RuntimeContainer, hook: "PreStop" | "PostStart", message: string) => void;
};

export type StopOptions = {
  readonly pod: StoredPod | undefined;
  readonly view: PodView;
  readonly graceS: number | undefined;
  readonly podIp: string;
};

/** Ends all of a pod: main containers together, then sidecars from the last to the first, then its sandboxes. */
export async function stopPod(options: StopOptions, ports: StopPorts): Promise<void> {
  const { view, pod } = options;
  const startMs = ports.clock.monotonicMs();
  const live = view.containers.filter((one) => one.phase === "running");
  const sidecars = live.filter((one) => one.annotations[roleAnnotation] === "sidecar");
  const others = live.filter((one) => !sidecars.includes(one));
  const leftS = (container: RuntimeContainer): number => {
    const whole = options.graceS ?? graceOf(container, pod);
    return Math.max(0, whole - (ports.clock.monotonicMs() - startMs) / 1_000);
  };
  await Promise.all(
    others.map((one) => stopContainer({ ...options, container: one, graceS: leftS(one) }, ports)),
  );
  const order = pod === undefined ? [] : allContainers(specOf(pod)).map(({ container }) => container.name);
  const reversed = sidecars.toSorted(
    (first, second) => order.indexOf(second.name) - order.indexOf(first.name),
  );
  for (const one of reversed) await stopContainer({ ...options, container: one, graceS: leftS(one) }, ports);
  await Promise.all(
    view.sandboxes.filter((one) => one.ready).map((one) => ports.runtime.stopSandbox(one.id, ports)),
  );
}

export function graceOf(container: RuntimeContainer, pod: StoredPod | undefined): number {
  const asked =
    pod?.metadata.deletionGracePeriodSeconds ??
    (pod === undefined ? undefined : specOf(pod).terminationGracePeriodSeconds);
  return asked ?? Number(container.annotations[graceAnnotation] ?? GRACE_S);
}

export type StopContainer = Omit<StopOptions, "graceS" | "view"> & {
  readonly container: RuntimeContainer;
  readonly graceS: number;
  readonly message?: string;
};

/** Ends one container: its hook first, then the signal, then by force. */
export async function stopContainer(
  { pod, container, graceS, podIp, message }: StopContainer,
  ports: StopPorts,
): Promise<void> {
  const startMs = ports.clock.monotonicMs();
  const spec =
    pod === undefined
      ? undefined
      : allContainers(specOf(pod)).find((one) => one.container.name === container.name)?.container;
  ports.killing(container, message ?? `Stopping container ${container.name}`);
  const hook = spec?.lifecycle?.preStop;
  if (hook !== undefined && spec !== undefined && graceS > 0) {
    const result = await runHook(
      { hook, container: spec, containerId: container.id, podIp, timeoutMs: graceS * 1_000 },
      ports,
    );
    if (!result.ok) ports.hookFailed(container, "PreStop", result.message);
  }
  const leftS =
    graceS === 0 ? 0 : Math.max(GRACE_MIN_S, graceS - (ports.clock.monotonicMs() - startMs) / 1_000);
  await ports.runtime.stopContainer(container.id, { graceS: Math.ceil(leftS), signal: ports.signal });
}

export type HookRun = {
  readonly hook: LifecycleHandler;
  readonly container: Container;
  readonly containerId: string;
  readonly podIp: string;
  readonly timeoutMs: number;
};

export async function runHook(
  run: HookRun,
  ports: Pick<StopPorts, "runtime" | "clock" | "signal">,
): Promise<CheckResult> {
  const { hook, timeoutMs } = run;
  if (hook.sleep !== undefined) {
    await ports.clock.sleep(Math.min(timeoutMs, hook.sleep.seconds * 1_000), ports);
    return { ok: true, message: "" };
  }
  return check(hook, run, { ...ports, timeoutMs });
}
