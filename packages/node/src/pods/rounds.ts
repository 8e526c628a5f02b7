import { rm } from "node:fs/promises";
import type { Client } from "@cortado/client";
import { again, done, type Outcome } from "@cortado/client/loop";
import { pods } from "@cortado/kinds/resources";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import { hasReason, messageOf } from "@cortado/std/status";
import type { Cgroups } from "../cgroups/cgroups.ts";
import type { EventRecorder } from "../events/recorder.ts";
import { CRASH_BACKOFF_FIRST_MS, CRASH_BACKOFF_MAX_MS, CRASH_BACKOFF_RESET_MS, GRACE_S } from "../limits.ts";
import type { Probers } from "../probes/probers.ts";
import type { Runtime, RuntimeContainer } from "../runtime/runtime.ts";
import { BackOff, durationText } from "./back-off.ts";
import { podEvent } from "./pod-events.ts";
import { currentSandbox, plan, type Plan } from "./plan.ts";
import { isTerminal, podText, qosClass, specOf, type StoredPod } from "./pod.ts";
import { readLastWords } from "./last-words.ts";
import { isLiving, newExits, newRecord, type PodRecord } from "./record.ts";
import type { PodStarter } from "./starter.ts";
import { podStatus } from "./status.ts";
import { endedBefore, statusChange } from "./status-change.ts";
import { stopContainer, stopPod, type StopPorts } from "./stop.ts";

export type RoundsPorts = {
  readonly client: Client;
  readonly runtime: Runtime;
  readonly clock: Clock;
  readonly log: Log;
  readonly events: EventRecorder;
  readonly probers: Probers;
  readonly starter: PodStarter;
  readonly cgroups: Cgroups;
  readonly signal: AbortSignal;
  readonly hostIps: () => readonly string[];
};

/** Steps of one round before it gives way; a pod needs one for its sandbox and one for each init container. */
const STEPS_MAX = 50;

/** Brings pods to what they ask for, one round at a time: observes, plans, applies, and writes the status when it changed. */
export class PodRounds {
  readonly #ports: RoundsPorts;
  readonly #records = new Map<string, PodRecord>();
  readonly #backOff: BackOff;

  constructor(ports: RoundsPorts) {
    this.#ports = ports;
    this.#backOff = new BackOff({
      firstMs: CRASH_BACKOFF_FIRST_MS,
      maxMs: CRASH_BACKOFF_MAX_MS,
      resetMs: CRASH_BACKOFF_RESET_MS,
      clock: ports.clock,
    });
  }

  get records(): ReadonlyMap<string, PodRecord> {
    return this.#records;
  }

  /** The record of a pod, made when it is new. */
  record(uid: string, pod: StoredPod | undefined): PodRecord {
    const known = this.#records.get(uid);
    if (known !== undefined) return known;
    const made = newRecord(uid, pod);
    this.#records.set(uid, made);
    return made;
  }

  async round(uid: string): Promise<Outcome> {
    const record = this.#records.get(uid);
    if (record === undefined) return done;
    let made: Plan | undefined;
    for (let step = 0; step < STEPS_MAX; step += 1) {
      await this.#observe(record);
      made = this.#plan(record);
      if (isNothing(made)) break;
      const waits = await this.#apply(record, made);
      if (waits !== undefined) {
        await this.#observe(record);
        await this.#writeStatus(record);
        return waits;
      }
    }
    await this.#refreshVolumes(record);
    await this.#writeStatus(record);
    await this.#finish(record);
    const deadlineMs = this.#deadlineLeftMs(record);
    const waitMs = Math.min(made?.againMs ?? Number.POSITIVE_INFINITY, deadlineMs);
    return Number.isFinite(waitMs) ? again(Math.max(1, waitMs)) : done;
  }

  /** Ends a pod from outside: eviction. Its status says why. */
  end(uid: string, why: { readonly reason: string; readonly message: string }): void {
    const record = this.#records.get(uid);
    if (record !== undefined) record.ended ??= why;
  }

  async #observe(record: PodRecord): Promise<void> {
    const { runtime, clock, signal, probers } = this.#ports;
    if (record.viewStale) {
      record.viewStale = false;
      try {
        record.view = await runtime.pod(record.uid, { signal });
      } catch (error) {
        record.viewStale = true;
        throw error;
      }
    }
    for (const container of newExits(record)) {
      record.exitSeenMs.set(container.id, clock.monotonicMs());
      if (record.pod !== undefined && runtime.logs === "files") {
        const words = await readLastWords(container, this.#ports.starter.paths(record.pod, container));
        if (words !== "") record.lastWords.set(container.id, words);
      }
    }
    if (record.pod === undefined) return;
    this.#refuseEphemeral(record, record.pod);
    probers.sync(record.pod, record.view, this.#podIp(record));
    if (this.#deadlineLeftMs(record) <= 0)
      record.ended ??= {
        reason: "DeadlineExceeded",
        message: "Pod was active on the node longer than the specified deadline",
      };
  }

  #refuseEphemeral(record: PodRecord, pod: StoredPod): void {
    for (const { name } of specOf(pod).ephemeralContainers ?? []) {
      if (record.refused.has(name)) continue;
      record.refused.add(name);
      const message = `ephemeral container ${name} is not started: this node does not offer them; use kubectl exec, or a pod of its own`;
      this.#ports.events.record(podEvent(pod, { type: "Warning", reason: "Failed", message }));
    }
  }

  #plan(record: PodRecord): Plan {
    const { pod, view } = record;
    if (pod === undefined)
      return {
        stopAll: isLiving(view),
        newSandbox: undefined,
        remove: [],
        kill: [],
        start: [],
        againMs: undefined,
      };
    const stop =
      record.gone ||
      pod.metadata.deletionTimestamp !== undefined ||
      record.ended !== undefined ||
      isTerminal(pod.status?.phase);
    return plan({
      pod,
      view,
      probes: (id) => this.#ports.probers.view(id),
      restartWaitMs: (container) => this.#restartWaitMs(record, container),
      stop,
    });
  }

  /** Answers an outcome when the rest has to wait for something. */
  async #apply(record: PodRecord, made: Plan): Promise<Outcome | undefined> {
    record.viewStale = true;
    if (made.stopAll) {
      await stopPod(
        { pod: record.pod, view: record.view, graceS: this.#graceS(record), podIp: this.#podIp(record) },
        this.#stopPorts(record),
      );
      return undefined;
    }
    const pod = record.pod as StoredPod;
    if (made.newSandbox !== undefined) {
      record.volumes = await this.#ports.starter.startSandbox(pod, made.newSandbox.attempt);
      return undefined;
    }
    for (const container of made.remove) await this.#ports.runtime.removeContainer(container.id, this.#ports);
    for (const { container, message } of made.kill) {
      const graceS = specOf(pod).terminationGracePeriodSeconds ?? GRACE_S;
      await stopContainer(
        { pod, container, graceS, podIp: this.#podIp(record), message },
        this.#stopPorts(record),
      );
    }
    return this.#startAll(record, made);
  }

  async #startAll(record: PodRecord, made: Plan): Promise<Outcome | undefined> {
    const pod = record.pod as StoredPod;
    let waits: Outcome | undefined;
    for (const { container, role, attempt, after } of made.start) {
      const key = `${record.uid}/${container.name}`;
      record.volumes ??= await this.#ports.starter.mount(pod, this.#podIps(record));
      const sandbox = currentSandbox(pod, record.view);
      if (sandbox === undefined) break;
      const result = await this.#ports.starter.startContainer({
        pod,
        container,
        role,
        attempt,
        sandbox,
        volumes: record.volumes,
      });
      if (result.kind === "started") {
        record.problems.delete(container.name);
        if (after !== undefined && after.sandboxId === sandbox.id)
          this.#backOff.next(key, record.exitSeenMs.get(after.id) ?? this.#ports.clock.monotonicMs());
        continue;
      }
      if (result.kind === "problem") record.problems.set(container.name, result.problem);
      else record.problems.delete(container.name);
      // A pull tells its end by itself; what else went wrong is tried again after a while.
      const next = result.kind === "problem" ? again(result.againMs) : done;
      waits = soonest(waits, next);
    }
    return waits;
  }

  #restartWaitMs(record: PodRecord, container: RuntimeContainer): number {
    const key = `${record.uid}/${container.name}`;
    const failedMs = record.exitSeenMs.get(container.id) ?? this.#ports.clock.monotonicMs();
    const waitMs = this.#backOff.remainingMs(key, failedMs);
    if (waitMs <= 0) {
      if (record.problems.get(container.name)?.reason === "CrashLoopBackOff")
        record.problems.delete(container.name);
      return 0;
    }
    const pod = record.pod as StoredPod;
    const text = durationText(this.#backOff.waitMs(key));
    const known = record.problems.get(container.name);
    const message = `back-off ${text} restarting failed container=${container.name} pod=${podText(pod)}`;
    if (known?.message !== message) {
      record.problems.set(container.name, { reason: "CrashLoopBackOff", message });
      const told = `Back-off restarting failed container ${container.name} in pod ${podText(pod)}`;
      this.#ports.events.record(
        podEvent(pod, { type: "Warning", reason: "BackOff", message: told, container: container.name }),
      );
    }
    return waitMs;
  }

  async #refreshVolumes(record: PodRecord): Promise<void> {
    if (!record.volumesStale || record.pod === undefined || !isLiving(record.view)) return;
    record.volumesStale = false;
    try {
      await this.#ports.starter.refresh(record.pod, this.#podIps(record));
    } catch (error) {
      const message = messageOf(error);
      this.#ports.events.record(podEvent(record.pod, { type: "Warning", reason: "FailedMount", message }));
    }
  }

  async #writeStatus(record: PodRecord): Promise<void> {
    const { pod } = record;
    if (pod === undefined || record.gone) return;
    const { client, runtime, clock, probers, hostIps, signal } = this.#ports;
    const status = podStatus({
      pod,
      view: record.view,
      nowMs: clock.nowMs(),
      runtimeName: runtime.version.split("://")[0] ?? "containerd",
      hostIps: hostIps(),
      probes: (id) => probers.view(id),
      problem: (name) => record.problems.get(name),
      lastWords: (container) => record.lastWords.get(container.id),
      ended: record.ended ?? endedBefore(pod),
      stopped:
        !isLiving(record.view) &&
        (record.ended !== undefined ||
          pod.metadata.deletionTimestamp !== undefined ||
          isTerminal(pod.status?.phase)),
    });
    const change = statusChange(pod.status ?? {}, status);
    if (change === undefined) return;
    const { name, namespace = "", uid } = pod.metadata;
    try {
      const body = { metadata: { uid }, status: change };
      record.pod = await client.patch(pods, {
        name,
        namespace,
        type: "merge",
        subresource: "status",
        body,
        signal,
      });
    } catch (error) {
      // Gone, or another pod has its name by now: the watch will say so.
      if (!hasReason(error, "NotFound", "Conflict")) throw error;
    }
  }

  async #finish(record: PodRecord): Promise<void> {
    const { pod } = record;
    if (isLiving(record.view)) return;
    if (pod !== undefined && !record.gone) {
      if (pod.metadata.deletionTimestamp !== undefined) await this.#release(record, pod);
      return;
    }
    const { runtime, probers, signal } = this.#ports;
    for (const sandbox of record.view.sandboxes) await runtime.removeSandbox(sandbox.id, { signal });
    for (const container of record.view.containers) await runtime.removeContainer(container.id, { signal });
    await this.#clean(record);
    if (pod !== undefined && runtime.logs === "files")
      await rm(this.#ports.starter.logFolder(pod), { recursive: true, force: true });
    probers.forget(record.uid);
    this.#backOff.forget(`${record.uid}/`);
    this.#ports.starter.forget(record.uid);
    this.#records.delete(record.uid);
  }

  // The volumes go before the object does: who waits for the deletion may at once use what was mounted.
  async #release(record: PodRecord, pod: StoredPod): Promise<void> {
    await this.#clean(record);
    const { name, namespace = "", uid } = pod.metadata;
    try {
      const where = { name, namespace, gracePeriodSeconds: 0, preconditions: { uid } };
      await this.#ports.client.delete(pods, { ...where, signal: this.#ports.signal });
    } catch (error) {
      if (!hasReason(error, "NotFound", "Conflict")) throw error;
    }
  }

  async #clean(record: PodRecord): Promise<void> {
    if (record.cleaned) return;
    await this.#ports.starter.clean(record.uid);
    const qos = record.pod === undefined ? "BestEffort" : qosClass(specOf(record.pod));
    await this.#ports.cgroups.removePod({ uid: record.uid, qos });
    record.cleaned = true;
  }

  #stopPorts(record: PodRecord): StopPorts {
    const tell = (container: RuntimeContainer, reason: string, message: string): void => {
      if (record.pod === undefined) return;
      const type = reason === "Killing" ? "Normal" : "Warning";
      this.#ports.events.record(podEvent(record.pod, { type, reason, message, container: container.name }));
    };
    return {
      ...this.#ports,
      killing: (container, message) => tell(container, "Killing", message),
      hookFailed: (container, hook, message) =>
        tell(container, `Failed${hook}Hook`, `${hook}Hook failed: ${message}`),
    };
  }

  #graceS(record: PodRecord): number | undefined {
    if (record.pod === undefined || record.gone) return undefined;
    if (record.ended?.reason === "Evicted") return 0;
    return record.pod.metadata.deletionGracePeriodSeconds ?? undefined;
  }

  #deadlineLeftMs({ pod, ended }: PodRecord): number {
    const seconds = pod === undefined ? undefined : specOf(pod).activeDeadlineSeconds;
    const start = pod?.status?.startTime;
    if (seconds === undefined || start === undefined || ended !== undefined || isTerminal(pod?.status?.phase))
      return Number.POSITIVE_INFINITY;
    return Date.parse(start) + seconds * 1_000 - this.#ports.clock.nowMs();
  }

  #podIps(record: PodRecord): readonly string[] {
    if (record.pod !== undefined && specOf(record.pod).hostNetwork === true) return this.#ports.hostIps();
    return record.view.sandboxes.find((one) => one.ready)?.ips ?? [];
  }

  #podIp(record: PodRecord): string {
    return this.#podIps(record)[0] ?? "127.0.0.1";
  }
}

function isNothing(made: Plan): boolean {
  return (
    !made.stopAll &&
    made.newSandbox === undefined &&
    made.remove.length + made.kill.length + made.start.length === 0
  );
}

function soonest(first: Outcome | undefined, second: Outcome): Outcome {
  if (first === undefined || first.kind !== "again")
    return first?.kind === "done" && second.kind === "again" ? second : (first ?? second);
  return second.kind === "again" && second.afterMs < first.afterMs ? second : first;
}
