import { startLoop, again, done, newLoopMetrics, type Loop, type Outcome } from "@cortado/client/loop";
import { backoffMs } from "@cortado/std/backoff";
import { newMetrics } from "@cortado/std/metrics";
import { hasReason, messageOf } from "@cortado/std/status";
import type { BundleReport, Desired, DesiredBundle, ResourceReport } from "../protocol/protocol.ts";
import { accountFor, clientAs } from "./accounts.ts";
import { applyBundle } from "./apply/apply.ts";
import { KindFinder } from "./apply/kind-finder.ts";
import { placeObjects, type Placed } from "./apply/place.ts";
import type { ApplyPorts } from "./apply/ports.ts";
import { removeBundle } from "./apply/prune.ts";
import { Records, type BundleRecord, type KeptBundle, type Wanted } from "./apply/record.ts";
import { ChunkDesk } from "./chunk-desk.ts";
import * as limits from "./limits.ts";
import { LiveObjects } from "./live.ts";
import { PodReasons } from "./pod-reasons.ts";
import type { AgentPorts } from "./ports.ts";
import { isDrifted, reportOf, resourcesOf, unmetDependency } from "./report.ts";

export type WorkOptions = {
  readonly ports: AgentPorts;
  readonly namespace: string;
  readonly signal: AbortSignal;
  /** A report is another than before; undefined: the bundle is gone from the store. */
  readonly reported: (name: string, report: BundleReport | undefined) => void;
};

type Job = {
  readonly name: string;
  wanted: Wanted | undefined;
  record: BundleRecord | undefined;
  /** Objects of the deployment id that is applied. */
  placed: readonly Placed[] | undefined;
  placedId: string;
  error: string;
  waiting: string;
  stalls: number;
  corrections: number;
  correctedMs: number;
  report: BundleReport | undefined;
};

/** The bundles of a store at work: applies, watches, corrects and reports each, with the hub or without it. */
export class BundleWork {
  readonly desk: ChunkDesk;
  readonly #options: WorkOptions;
  readonly #records: Records;
  readonly #finder: KindFinder;
  readonly #live: LiveObjects;
  readonly #reasons: PodReasons;
  readonly #jobs: Map<string, Job> = new Map();
  readonly #dirty: Set<string> = new Set();
  readonly #loop: Loop;
  #isFlushing = false;

  constructor(options: WorkOptions) {
    const { ports, namespace, signal } = options;
    const { client, clock, log } = ports;
    this.#options = options;
    this.#records = new Records(client, { namespace });
    this.#finder = new KindFinder(client);
    this.#live = new LiveObjects({ client, clock, log, signal, changed: (name) => this.#mark(name) });
    this.#reasons = new PodReasons({ client, clock, signal, changed: (name) => this.#mark(name) });
    this.desk = new ChunkDesk({
      store: ports.chunks,
      log,
      changed: (names) => {
        for (const name of names) this.#loop.add(name);
      },
    });
    this.#loop = startLoop({
      name: "fleet-bundle",
      reconcile: (name) => this.#round(name),
      keys: () => this.#jobs.keys(),
      workers: limits.WORKERS,
      clock,
      log,
      metrics: newLoopMetrics(newMetrics()),
      signal,
    });
  }

  /** Takes up what the store knew when it stopped: nothing of it needs the hub. */
  async start(): Promise<void> {
    for (const kept of await this.#records.list(this.#options.signal)) await this.#resume(kept);
  }

  async #resume({ name, record, wanted, problem }: KeptBundle): Promise<void> {
    const job = this.#job(name);
    job.record = record;
    job.wanted = wanted;
    if (problem !== undefined) job.error = problem.message;
    if (wanted?.kind === "bundle") await this.desk.expect(name, wanted.bundle.chunks);
    this.#loop.add(name);
  }

  get reports(): readonly BundleReport[] {
    return [...this.#jobs.values()].flatMap(({ report }) => (report === undefined ? [] : [report]));
  }

  /** Deployment ids that are applied, by bundle. */
  get applied(): Readonly<Record<string, string>> {
    const ids = [...this.#jobs.values()].map(({ name, record }) => [name, record?.appliedId ?? ""] as const);
    return Object.fromEntries(ids.filter(([, id]) => id !== ""));
  }

  /** Resolves when all of it is on the store's disk; the work itself comes after. */
  async take(desired: Desired): Promise<void> {
    for (const bundle of desired.bundles) await this.#want(bundle.name, { kind: "bundle", bundle });
    for (const { name, keepResources } of desired.gone) await this.#wantGone(name, keepResources);
    if (!desired.full) return;
    const named = new Set([...desired.bundles.map(({ name }) => name), ...(desired.kept ?? [])]);
    for (const { name, wanted } of [...this.#jobs.values()]) {
      if (named.has(name) || wanted?.kind === "gone") continue;
      const keeps = wanted?.kind === "bundle" && wanted.bundle.options.keepResources === true;
      await this.#wantGone(name, keeps);
    }
  }

  async #wantGone(name: string, keepResources: boolean): Promise<void> {
    if (this.#jobs.has(name)) await this.#want(name, { kind: "gone", keepResources });
  }

  async #want(name: string, wanted: Wanted): Promise<void> {
    const job = this.#job(name);
    // A hub that tells all tells much that is known: it costs no write.
    if (JSON.stringify(job.wanted) !== JSON.stringify(wanted))
      await this.#records.writeWanted(name, wanted, this.#options.signal);
    // What it tells again it may have let go of: a bundle that went and came back while the store was dark, say.
    const { report } = job;
    if (wanted.kind === "bundle" && report?.wantedId === wanted.bundle.deploymentId)
      this.#options.reported(name, report);
    job.wanted = wanted;
    job.error = "";
    if (wanted.kind === "bundle") await this.desk.expect(name, wanted.bundle.chunks);
    this.#loop.add(name);
  }

  #job(name: string): Job {
    const found = this.#jobs.get(name);
    if (found !== undefined) return found;
    const job: Job = {
      name,
      wanted: undefined,
      record: undefined,
      placed: undefined,
      placedId: "",
      error: "",
      waiting: "",
      stalls: 0,
      corrections: 0,
      correctedMs: Number.NEGATIVE_INFINITY,
      report: undefined,
    };
    this.#jobs.set(name, job);
    return job;
  }

  async #round(name: string): Promise<Outcome> {
    const job = this.#jobs.get(name);
    if (job?.wanted === undefined) return done;
    const { wanted } = job;
    try {
      const outcome =
        wanted.kind === "gone"
          ? await this.#remove(job, wanted.keepResources)
          : await this.#bring(job, wanted.bundle);
      job.error = "";
      job.stalls = 0;
      this.#mark(name);
      return outcome;
    } catch (error) {
      if (this.#options.signal.aborted) throw error;
      // The wish may have changed meanwhile: then this is no longer what is wrong.
      if (job.wanted === wanted) job.error = messageOf(error);
      this.#mark(name);
      const isTheirs = hasReason(error, "Invalid", "BadRequest", "Conflict", "Forbidden");
      if (!isTheirs || wanted.kind === "gone") throw error;
      this.#options.ports.log.warn("bundle cannot be applied", { bundle: name, reason: messageOf(error) });
      job.stalls += 1;
      const { STALLED_FIRST_MS: firstMs, STALLED_MAX_MS: maxMs } = limits;
      return again(backoffMs(job.stalls - 1, { firstMs, maxMs }));
    }
  }

  /** Whether another bundle is to take over what this one has, and has not yet: until then nothing is deleted. */
  #isAwaited(name: string): boolean {
    return [...this.#jobs.values()].some(
      ({ wanted, record }) =>
        wanted?.kind === "bundle" &&
        wanted.bundle.replaces?.includes(name) === true &&
        record?.appliedId !== wanted.bundle.deploymentId,
    );
  }

  async #remove(job: Job, keepResources: boolean): Promise<Outcome> {
    const { signal } = this.#options;
    if (this.#isAwaited(job.name)) return again(limits.HANDOVER_MS);
    // Whose rights applied it is not known any more: the agent's own take it away, and only what the record names.
    await removeBundle({ name: job.name, keepResources }, this.#ownPorts, { signal });
    job.record = undefined;
    if (job.wanted?.kind !== "gone") return again(0);
    this.desk.forget(job.name);
    this.#live.forget(job.name);
    this.#jobs.delete(job.name);
    this.#options.reported(job.name, undefined);
    this.#wakeWaiting();
    return done;
  }

  async #bring(job: Job, bundle: DesiredBundle): Promise<Outcome> {
    const objects = await this.desk.objects(job.name);
    job.waiting = objects === undefined ? this.desk.waitingText(job.name) : "";
    if (objects === undefined) return done;
    const isApplied =
      job.record?.appliedId === bundle.deploymentId && job.record.generation === bundle.forceSyncGeneration;
    if (isApplied && job.placedId !== bundle.deploymentId) {
      const { name } = job;
      const { signal } = this.#options;
      const placing = { bundle: name, options: bundle.options, finder: this.#finder, signal };
      this.#watch(job, { placed: await placeObjects(objects, placing), id: bundle.deploymentId });
      return done;
    }
    if (bundle.paused) return done;
    if (isApplied && !this.#mayCorrect(job, bundle)) return done;
    job.waiting = isApplied ? "" : unmetDependency(bundle.dependsOn, this.#others(job.name));
    if (job.waiting !== "") return again(limits.DEPENDS_MS);
    await this.#apply(job, bundle, objects);
    return done;
  }

  async #apply(job: Job, bundle: DesiredBundle, objects: Parameters<typeof applyBundle>[0]["objects"]) {
    const { name, deploymentId, forceSyncGeneration, options } = bundle;
    const ports = await this.#portsFor(options.serviceAccount);
    const { signal } = this.#options;
    const { replaces = [] } = bundle;
    const work = { name, deploymentId, forceSyncGeneration, options, objects, replaces };
    const { record, placed } = await applyBundle(work, ports, { signal });
    job.record = record;
    this.#options.ports.log.info("bundle is applied", { bundle: name, deploymentId });
    this.#watch(job, { placed, id: deploymentId });
  }

  #watch(job: Job, { placed, id }: { readonly placed: readonly Placed[]; readonly id: string }): void {
    job.placed = placed;
    job.placedId = id;
    // A kind that may not be listed is told as "not seen yet"; the watch tries on.
    this.#live.watch(job.name, placed).then(
      () => this.#mark(job.name),
      () => undefined,
    );
  }

  #mayCorrect(job: Job, bundle: DesiredBundle): boolean {
    if (bundle.options.correctDrift?.enabled !== true || !isDrifted(this.#resources(job, bundle) ?? []))
      return false;
    const nowMs = this.#options.ports.clock.monotonicMs();
    if (nowMs - job.correctedMs > limits.DRIFT_FORGET_MS) job.corrections = 0;
    const waitMs = backoffMs(job.corrections, { firstMs: limits.DRIFT_FIRST_MS, maxMs: limits.DRIFT_MAX_MS });
    const leftMs = job.correctedMs + waitMs - nowMs;
    if (leftMs > 0) {
      this.#loop.addAfter(job.name, leftMs);
      return false;
    }
    job.corrections += 1;
    job.correctedMs = nowMs;
    this.#options.ports.log.info("drift is corrected", { bundle: job.name, times: job.corrections });
    return true;
  }

  async #portsFor(asked: string | undefined): Promise<ApplyPorts> {
    const account = await accountFor(asked, this.#options);
    return { ...this.#ownPorts, as: clientAs(account, this.#options) };
  }

  /** With the rights of the agent itself. */
  get #ownPorts(): ApplyPorts {
    const { client, clock, log } = this.#options.ports;
    return { client, as: client, finder: this.#finder, records: this.#records, clock, log };
  }

  #others(name: string) {
    return [...this.#jobs.values()].flatMap((job) => {
      if (job.name === name || job.wanted?.kind !== "bundle") return [];
      return [{ name: job.name, labels: job.wanted.bundle.labels, state: job.report?.state }];
    });
  }

  /** Undefined: its objects are not known yet. */
  #resources(job: Job, bundle: DesiredBundle): readonly ResourceReport[] | undefined {
    const { placed, placedId } = job;
    if (placed === undefined || placedId !== bundle.deploymentId) return undefined;
    return resourcesOf(placed, bundle, {
      liveOf: (one) => this.#live.of(one),
      whyOf: (one, live) => this.#reasons.of(job.name, one, live),
      ready: (one) => this.#reasons.forget(one),
    });
  }

  /** A report is made soon: many changes in a row become one. */
  #mark(name: string): void {
    this.#dirty.add(name);
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    this.#options.ports.clock.after(limits.STATUS_DELAY_MS, () => this.#report());
  }

  #report(): void {
    this.#isFlushing = false;
    if (this.#options.signal.aborted) return;
    let changes = 0;
    for (const name of this.#dirty) if (this.#reportOne(name)) changes += 1;
    this.#dirty.clear();
    if (changes > 0) this.#wakeWaiting();
  }

  #reportOne(name: string): boolean {
    const job = this.#jobs.get(name);
    if (job?.wanted?.kind !== "bundle") return false;
    const { bundle } = job.wanted;
    const resources = this.#resources(job, bundle);
    const { error, waiting } = job;
    const isUnread = job.record?.appliedId === bundle.deploymentId && job.placedId !== bundle.deploymentId;
    // Applied by an earlier process, and not looked at yet: saying Ready now would be a guess.
    if (isUnread && error === "" && waiting === "") return false;
    const appliedId = job.record?.appliedId ?? "";
    const report = reportOf({ bundle, appliedId, error, waiting, resources });
    if (bundle.options.correctDrift?.enabled === true && isDrifted(resources ?? [])) this.#loop.add(name);
    if (JSON.stringify(report) === JSON.stringify(job.report)) return false;
    job.report = report;
    this.#options.reported(name, report);
    return true;
  }

  #wakeWaiting(): void {
    for (const { name, waiting, wanted } of this.#jobs.values())
      if (waiting !== "" && wanted?.kind === "bundle" && wanted.bundle.dependsOn.length > 0)
        this.#loop.add(name);
  }
}
