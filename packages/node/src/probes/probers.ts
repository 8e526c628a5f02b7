import type { Container, Probe } from "@cortado/kinds";
import { READINESS_EARLY_FIRST_MS } from "../limits.ts";
import type { ProbeView } from "../pods/plan.ts";
import { allContainers, specOf, type StoredPod } from "../pods/pod.ts";
import type { PodView } from "../runtime/runtime.ts";
import { check, type CheckPorts, type CheckResult, type CheckTarget } from "./check.ts";

export const probeKinds = ["startup", "liveness", "readiness"] as const;
export type ProbeKind = (typeof probeKinds)[number];

export type ProbersOptions = CheckPorts & {
  /** A probe changed its mind: the pod should be looked at. */
  readonly changed: (uid: string) => void;
  readonly failed: (pod: StoredPod, container: Container, kind: ProbeKind, message: string) => void;
};

type Watched = {
  readonly uid: string;
  readonly stop: AbortController;
  readonly probes: ReadonlyMap<ProbeKind, Probe>;
  startupPassed: boolean;
  startupFailed: boolean;
  live: boolean;
  ready: boolean;
};

/** Asks running containers how they are, each by its own probes, and remembers their answers. */
export class Probers {
  readonly #options: ProbersOptions;
  readonly #watched = new Map<string, Watched>();

  constructor(options: ProbersOptions) {
    this.#options = options;
  }

  /** Begins with containers that run since the last look, and ends with those that do not. `ready` of adopted ones is kept. */
  sync(pod: StoredPod, view: PodView, podIp: string): void {
    const running = new Map(
      view.containers.filter((one) => one.phase === "running").map((one) => [one.id, one]),
    );
    const { uid } = pod.metadata;
    for (const [id, watched] of this.#watched)
      if (watched.uid === uid && !running.has(id)) this.#end(id, watched);
    if (pod.metadata.deletionTimestamp !== undefined) return;
    for (const [id, running_] of running) {
      if (this.#watched.has(id)) continue;
      const container = allContainers(specOf(pod)).find(
        (one) => one.container.name === running_.name,
      )?.container;
      if (container !== undefined)
        this.#begin({ pod, target: { container, containerId: id, podIp }, startedMs: running_.startedMs });
    }
  }

  view(containerId: string): ProbeView {
    const watched = this.#watched.get(containerId);
    if (watched === undefined) return {};
    const { probes } = watched;
    const startup = watched.startupPassed ? "passed" : watched.startupFailed ? "failed" : "waiting";
    return {
      ...(probes.has("startup") ? { startup } : {}),
      ...(probes.has("liveness") ? { live: watched.live } : {}),
      ...(probes.has("readiness") ? { ready: watched.ready } : {}),
    };
  }

  forget(uid: string): void {
    for (const [id, watched] of this.#watched) if (watched.uid === uid) this.#end(id, watched);
  }

  #end(id: string, watched: Watched): void {
    watched.stop.abort();
    this.#watched.delete(id);
  }

  #begin({ pod, target, startedMs }: Begin): void {
    const { startupProbe, livenessProbe, readinessProbe } = target.container;
    const all: readonly (readonly [ProbeKind, Probe | undefined])[] = [
      ["startup", startupProbe],
      ["liveness", livenessProbe],
      ["readiness", readinessProbe],
    ];
    const probes = new Map(
      all.flatMap(([kind, probe]) => (probe === undefined ? [] : [[kind, probe] as const])),
    );
    if (probes.size === 0) return;
    // A container that the API knows to be ready and that ran on while we were away stays so until a probe says otherwise.
    const written = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])];
    const before = written.find((one) => one.containerID?.endsWith(target.containerId) === true);
    const watched: Watched = {
      uid: pod.metadata.uid,
      stop: new AbortController(),
      probes,
      startupPassed: !probes.has("startup") || before?.started === true,
      startupFailed: false,
      live: true,
      ready: before?.ready === true,
    };
    this.#watched.set(target.containerId, watched);
    const signal = AbortSignal.any([this.#options.signal, watched.stop.signal]);
    const elapsedMs = Math.max(0, this.#options.clock.nowMs() - startedMs);
    for (const [kind, probe] of probes) {
      const loop = new ProbeLoop({
        pod,
        target,
        kind,
        probe,
        watched,
        signal,
        options: this.#options,
        elapsedMs,
      });
      void loop.run().catch(() => undefined); // ends by its signal
    }
  }
}

type Begin = { readonly pod: StoredPod; readonly target: CheckTarget; readonly startedMs: number };

type LoopOptions = {
  readonly pod: StoredPod;
  readonly target: CheckTarget;
  readonly kind: ProbeKind;
  readonly probe: Probe;
  readonly watched: Watched;
  readonly signal: AbortSignal;
  readonly options: ProbersOptions;
  readonly elapsedMs: number;
};

class ProbeLoop {
  readonly #o: LoopOptions;
  #successes = 0;
  #failures = 0;
  #earlyMs = READINESS_EARLY_FIRST_MS;

  constructor(options: LoopOptions) {
    this.#o = options;
  }

  async run(): Promise<void> {
    const { probe, kind, watched, signal, options } = this.#o;
    const { clock } = options;
    const delayMs = (probe.initialDelaySeconds ?? 0) * 1_000 - this.#o.elapsedMs;
    if (delayMs > 0) await clock.sleep(delayMs, { signal });
    while (!signal.aborted) {
      // Until a container has started, nobody asks whether it lives or is ready.
      if (kind === "startup" || watched.startupPassed) await this.#once();
      if (kind === "startup" && (watched.startupPassed || watched.startupFailed)) return;
      await clock.sleep(this.#pauseMs(), { signal });
    }
  }

  // A new container is mostly ready long before a period is over; asking earlier harms nobody, as it is not ready yet anyway.
  #pauseMs(): number {
    const { probe, kind, watched } = this.#o;
    const periodMs = (probe.periodSeconds ?? 10) * 1_000;
    if (kind === "startup" || (kind === "readiness" && !watched.startupPassed))
      return Math.min(periodMs, 1_000);
    if (kind !== "readiness" || watched.ready || this.#earlyMs >= periodMs) return periodMs;
    const pauseMs = this.#earlyMs;
    this.#earlyMs *= 2;
    return pauseMs;
  }

  #lastStartupMs: number | undefined;

  async #once(): Promise<void> {
    const { probe, kind, target, pod, options, signal } = this.#o;
    const startMs = options.clock.monotonicMs();
    const result = await check(probe, target, {
      ...options,
      signal,
      timeoutMs: (probe.timeoutSeconds ?? 1) * 1_000,
    });
    if (signal.aborted) return;
    if (result.ok) {
      this.#successes += 1;
      this.#failures = 0;
      if (this.#successes >= (probe.successThreshold ?? 1)) this.#settle(true);
      return;
    }
    this.#successes = 0;
    if (!this.#counts(startMs)) return;
    this.#failures += 1;
    this.#report(result, pod, target.container);
    const threshold = probe.failureThreshold ?? 3;
    if (this.#failures >= threshold || kind === "readiness") {
      if (kind !== "readiness" || this.#failures >= threshold) this.#settle(false);
    }
  }

  // A startup probe is asked every second so that a start is seen early, but only one failure a period counts against it.
  #counts(atMs: number): boolean {
    if (this.#o.kind !== "startup") return true;
    const periodMs = (this.#o.probe.periodSeconds ?? 10) * 1_000;
    if (this.#lastStartupMs !== undefined && atMs - this.#lastStartupMs < periodMs - 50) return false;
    this.#lastStartupMs = atMs;
    return true;
  }

  #report(result: CheckResult, pod: StoredPod, container: Container): void {
    const { kind, watched, options } = this.#o;
    // Early questions of a container that was never ready would be noise.
    if (kind === "readiness" && !watched.ready && this.#earlyMs < (this.#o.probe.periodSeconds ?? 10) * 1_000)
      return;
    options.failed(pod, container, kind, result.message);
  }

  #settle(good: boolean): void {
    const { kind, watched, options } = this.#o;
    const before = [watched.startupPassed, watched.startupFailed, watched.live, watched.ready].join();
    if (kind === "startup" && good) watched.startupPassed = true;
    if (kind === "startup" && !good) watched.startupFailed = true;
    if (kind === "liveness") watched.live = good;
    if (kind === "readiness") watched.ready = good;
    if (before !== [watched.startupPassed, watched.startupFailed, watched.live, watched.ready].join())
      options.changed(watched.uid);
  }
}
