import type { Container } from "@cortado/kinds";
import { hashAnnotation } from "../runtime/labels.ts";
import type { PodView, RuntimeContainer, RuntimeSandbox } from "../runtime/runtime.ts";
import { containerHash, initContainers, specOf, type ContainerRole, type StoredPod } from "./pod.ts";

/** What the probes say of a running container; absent means that no such probe is there. */
export type ProbeView = {
  readonly startup?: "waiting" | "passed" | "failed";
  readonly live?: boolean;
  readonly ready?: boolean;
};

export type Observed = {
  readonly pod: StoredPod;
  readonly view: PodView;
  readonly probes: (containerId: string) => ProbeView;
  /** How long a container that ended must still wait; 0 when it may restart. */
  readonly restartWaitMs: (container: RuntimeContainer) => number;
  /** The pod must go: deleted, evicted, past its deadline, or its phase is terminal. */
  readonly stop: boolean;
};

export type Kill = { readonly container: RuntimeContainer; readonly message: string };
export type Start = {
  readonly container: Container;
  readonly role: ContainerRole;
  readonly attempt: number;
  readonly after: RuntimeContainer | undefined;
};

/** The next steps towards what the pod asks for. Applied in this order; then the pod is observed and planned again. */
export type Plan = {
  /** Ends every container and sandbox. */
  readonly stopAll: boolean;
  readonly newSandbox: { readonly attempt: number } | undefined;
  readonly remove: readonly RuntimeContainer[];
  readonly kill: readonly Kill[];
  readonly start: readonly Start[];
  /** When a restart is held back: after this long it is time to plan again. */
  readonly againMs: number | undefined;
};

const nothing: Plan = {
  stopAll: false,
  newSandbox: undefined,
  remove: [],
  kill: [],
  start: [],
  againMs: undefined,
};

/** Decides what to do for one pod. Pure. */
export function plan(observed: Observed): Plan {
  const { pod, view } = observed;
  const sandbox = currentSandbox(pod, view);
  const living =
    view.sandboxes.some((one) => one.ready) || view.containers.some((one) => one.phase === "running");
  if (observed.stop || isFinished(observed)) return { ...nothing, stopAll: living };
  if (sandbox === undefined) return planSandbox(observed);
  const draft = new Draft(observed, sandbox);
  const initsDone = draft.planInits();
  if (initsDone) draft.planMains();
  return draft.plan();
}

/** The newest sandbox when it can be used: ready, and with an address unless it shares the node's network. */
export function currentSandbox(pod: StoredPod, view: PodView): RuntimeSandbox | undefined {
  const newest = view.sandboxes[0];
  if (newest === undefined || !newest.ready) return undefined;
  if (specOf(pod).hostNetwork !== true && newest.ips.length === 0) return undefined;
  return newest;
}

/** True when no container will run again, by the restart policy. */
export function isFinished({ pod, view }: Pick<Observed, "pod" | "view">): boolean {
  const spec = specOf(pod);
  const policy = spec.restartPolicy ?? "Always";
  for (const { container, role } of initContainers(spec)) {
    const newest = newestOf(view, container.name);
    if (role === "init" && policy === "Never" && newest?.phase === "exited" && newest.exitCode !== 0)
      return true;
  }
  if (policy === "Always") return false;
  return spec.containers.every((container) => {
    const newest = newestOf(view, container.name);
    if (newest?.phase !== "exited") return false;
    return policy === "Never" || newest.exitCode === 0;
  });
}

export function newestOf(view: PodView, name: string): RuntimeContainer | undefined {
  return view.containers.find((one) => one.name === name);
}

function planSandbox({ pod, view }: Observed): Plan {
  const policy = specOf(pod).restartPolicy ?? "Always";
  const attempt = (view.sandboxes[0]?.attempt ?? -1) + 1;
  // A pod that runs once has had its run when its sandbox is lost after a container began (kubelet, podSandboxChanged).
  if (policy === "Never" && attempt > 0 && view.containers.length > 0) return { ...nothing, stopAll: true };
  return { ...nothing, newSandbox: { attempt } };
}

class Draft {
  readonly #observed: Observed;
  readonly #sandbox: RuntimeSandbox;
  readonly #remove: RuntimeContainer[] = [];
  readonly #kill: Kill[] = [];
  readonly #start: Start[] = [];
  #againMs: number | undefined;

  constructor(observed: Observed, sandbox: RuntimeSandbox) {
    this.#observed = observed;
    this.#sandbox = sandbox;
  }

  plan(): Plan {
    return { ...nothing, remove: this.#remove, kill: this.#kill, start: this.#start, againMs: this.#againMs };
  }

  /** Init containers run one after the other; answers whether the main ones may run. */
  planInits(): boolean {
    const spec = specOf(this.#observed.pod);
    const mainsBegan = spec.containers.some((container) => this.#inSandbox(container.name) !== undefined);
    for (const { container, role } of initContainers(spec)) {
      const newest = this.#inSandbox(container.name);
      if (role === "sidecar") {
        this.#keepRunning(container, "sidecar", true);
        if (!mainsBegan && !this.#hasStarted(newest)) return false;
        continue;
      }
      if (mainsBegan || (newest?.phase === "exited" && newest.exitCode === 0)) continue;
      this.#keepRunning(container, "init", (spec.restartPolicy ?? "Always") !== "Never");
      return false;
    }
    return true;
  }

  planMains(): void {
    const spec = specOf(this.#observed.pod);
    const policy = spec.restartPolicy ?? "Always";
    for (const container of spec.containers) {
      const newest = newestOf(this.#observed.view, container.name);
      const again = policy === "Always" || (policy === "OnFailure" && newest?.exitCode !== 0);
      this.#keepRunning(container, "main", again);
    }
  }

  // A container of an earlier sandbox is over; here only its exit counts, for the policy above.
  #inSandbox(name: string): RuntimeContainer | undefined {
    return this.#observed.view.containers.find(
      (one) => one.name === name && one.sandboxId === this.#sandbox.id,
    );
  }

  #hasStarted(container: RuntimeContainer | undefined): boolean {
    if (container?.phase !== "running") return false;
    const { startup } = this.#observed.probes(container.id);
    return startup === undefined || startup === "passed";
  }

  #keepRunning(container: Container, role: ContainerRole, restart: boolean): void {
    const latest = newestOf(this.#observed.view, container.name);
    const newest = this.#inSandbox(container.name);
    if (newest === undefined) {
      if (latest === undefined || restart) this.#begin(container, role, latest);
      return;
    }
    switch (newest.phase) {
      case "running":
        this.#checkRunning(container, newest);
        return;
      case "exited":
        if (restart) this.#begin(container, role, newest);
        return;
      default: // created and never started, or lost track of: we were cut off between two calls
        this.#remove.push(newest);
        this.#start.push({ container, role, attempt: newest.attempt, after: this.#before(newest) });
    }
  }

  #before(container: RuntimeContainer): RuntimeContainer | undefined {
    return this.#observed.view.containers.find(
      (one) => one.name === container.name && one.attempt < container.attempt,
    );
  }

  #begin(container: Container, role: ContainerRole, after: RuntimeContainer | undefined): void {
    // What an earlier sandbox ended is not the container's fault.
    const waitMs =
      after === undefined || after.sandboxId !== this.#sandbox.id ? 0 : this.#observed.restartWaitMs(after);
    if (waitMs > 0) {
      this.#againMs = Math.min(this.#againMs ?? waitMs, waitMs);
      return;
    }
    this.#start.push({ container, role, attempt: this.#nextAttempt(container.name, after), after });
  }

  // Dead containers may have been collected; the API remembers how often there was a restart.
  #nextAttempt(name: string, after: RuntimeContainer | undefined): number {
    const { status } = this.#observed.pod;
    const written = [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])].find(
      (one) => one.name === name,
    );
    const began = written?.containerID !== undefined && written.containerID !== "";
    return Math.max(after === undefined ? 0 : after.attempt + 1, began ? written.restartCount + 1 : 0);
  }

  #checkRunning(container: Container, running: RuntimeContainer): void {
    const { live, startup } = this.#observed.probes(running.id);
    if (
      running.annotations[hashAnnotation] !== undefined &&
      running.annotations[hashAnnotation] !== containerHash(container)
    ) {
      this.#kill.push({
        container: running,
        message: `Container ${container.name} definition changed, will be restarted`,
      });
    } else if (live === false) {
      this.#kill.push({
        container: running,
        message: `Container ${container.name} failed liveness probe, will be restarted`,
      });
    } else if (startup === "failed") {
      this.#kill.push({
        container: running,
        message: `Container ${container.name} failed startup probe, will be restarted`,
      });
    }
  }
}
