import {
  again,
  done,
  newLoopMetrics,
  startLoop,
  type Loop,
  type Outcome as LoopOutcome,
} from "@cortado/client/loop";
import type { Informer } from "@cortado/client/informer";
import { bundles, type Bundle } from "@cortado/kinds/fleet";
import { newMetrics } from "@cortado/std/metrics";
import { hasReason, messageOf, StatusError } from "@cortado/std/status";
import type { RolloutStrategy } from "../../compile/bundle.ts";
import { nextGeneration, type RolloutPlan, type RolloutRecord } from "../../rollout/rollout.ts";
import { bundleProblem } from "../../rules/rules.ts";
import { nextRevision, type Core } from "../core.ts";
import { GENERATIONS_KEPT, ROLLOUT_EVERY_MS, ROUNDS_AT_ONCE, STATUS_GATHER_MS } from "../limits.ts";
import type { Cell } from "../state/cells.ts";
import { lookedAt, type StoreRow } from "../state/stores.ts";
import { REPO_LABEL } from "../sources/bundle-plan.ts";
import { shortId, toReport } from "../link/reports.ts";
import { writeOwnStatus } from "../status/own-status.ts";
import { bundleStatus } from "../status/bundle-status.ts";
import { clashingBundle } from "../reach/told-bundle.ts";
import { Copies, type CopyNames } from "../copies/copies.ts";
import { controlOf } from "./control.ts";
import { Needs } from "./needs.ts";
import { Look, Pace } from "./pace.ts";
import { plannedStore } from "./planned-store.ts";
import { copiesChanged, hasAll, loadRow, wantedOf, type BundleRow, type Known } from "./row.ts";
import { dropBeyond, dropCell } from "./drop.ts";
import { isHandedOver, predecessorOf, retire, successorOf } from "./replaced.ts";
import { keyOfBundle, rolloutOf } from "./record.ts";
import { tellTurn } from "./story.ts";
import { Generation, keepSource, sumOf, type GenerationParts, type Outcome } from "./generations.ts";

/** Brings bundles to stores: follows what is wanted, asks the plan who may have it, keeps that, and only then tells them. */
export class Rollouts {
  readonly #core: Core;
  readonly #parts: GenerationParts;
  readonly #informer: Informer<Bundle>;
  readonly #loop: Loop;
  readonly #rows: Map<string, BundleRow> = new Map();
  readonly #pace: Pace = new Pace();
  /** What stores are to tell of themselves. */
  readonly needs: Needs;

  constructor(
    core: Core,
    parts: Omit<GenerationParts, "copies">,
    more: {
      readonly informer: Informer<Bundle>;
      readonly ready: Promise<unknown>;
    },
  ) {
    this.#core = core;
    this.needs = new Needs(core, this.#rows);
    const copies = new Copies({
      ...core.ports,
      signal: core.signal,
      changed: (namespace, name) => this.#copiesChanged(namespace, name),
    });
    this.#parts = { ...parts, copies };
    this.#informer = more.informer;
    const { clock, log } = core.ports;
    this.#loop = startLoop({
      name: "fleet-rollout",
      reconcile: (key) => this.#round(key),
      keys: () => new Set([...this.#rows.keys(), ...[...this.#informer.list()].map(keyOfBundle)]),
      workers: ROUNDS_AT_ONCE,
      ready: more.ready,
      clock,
      log,
      metrics: newLoopMetrics(newMetrics()),
      signal: core.signal,
    });
  }

  look(key: string, afterMs: number): void {
    if (afterMs <= 0) this.#loop.add(key);
    else this.#loop.addAfter(key, Math.max(afterMs, this.#pace.ms));
  }

  /** A store fell silent, or is heard again: no news for a bundle that it and all others have, and on a morning most are such. */
  turned(key: string, cell: Cell): void {
    const rests = !this.#core.options.isStrict && hasAll(this.#rows.get(key), cell);
    if (!rests) this.look(key, ROLLOUT_EVERY_MS);
  }

  /** Resolves when no bundle waits to be looked at. */
  idle(): Promise<void> {
    return this.#loop.idle();
  }

  /** Every bundle of a namespace was looked at: what a store has beside its cells is gone. */
  isComplete(namespace: string): boolean {
    return this.#areLooked((bundle) => this.#core.reach.of(bundle).includes(namespace));
  }

  /** Whether all bundles were looked at: only then is it known what is needed. */
  get isWhole(): boolean {
    return this.#areLooked(() => true);
  }

  #areLooked(isMeant: (bundle: Bundle) => boolean): boolean {
    const isLooked = (one: Bundle): boolean => this.#rows.get(keyOfBundle(one))?.isLooked === true;
    return [...this.#informer.list()].every((one) => isLooked(one) || !isMeant(one));
  }

  /** Where the generations that some store may run were made from. */
  *entries(): Iterable<{ readonly source: string }> {
    for (const row of this.#rows.values()) yield* row.entries;
  }

  hasGeneration(bundle: string, sum: string): boolean {
    return this.#rows.get(bundle)?.entries.some((entry) => entry.sum === sum) === true;
  }

  #copiesChanged(namespace: string, name: CopyNames[number]): void {
    for (const row of this.#rows.values())
      if (row.namespace === namespace && copiesChanged(row, name)) this.look(row.key, STATUS_GATHER_MS);
  }

  /** A store is gone. */
  forget(row: StoreRow): void {
    for (const bundle of this.#rows.values()) {
      bundle.released.delete(row.index);
      for (const generation of bundle.opened.values()) generation.forget(row);
    }
  }

  async #round(key: string): Promise<LoopOutcome> {
    const bundle = this.#informer.get(key);
    const known = this.#rows.get(key);
    const isGone = bundle === undefined || bundle.metadata.deletionTimestamp !== undefined;
    if (known !== undefined && (isGone || known.uid !== bundle.metadata.uid)) this.#remove(known);
    if (isGone) return done;
    const row = this.#rows.get(key) ?? this.#load(key, bundle);
    const problem = await this.#begin(row, bundle);
    if (row.record === undefined) {
      row.isLooked = true;
      for (const store of this.#core.stores.all()) lookedAt(store, row.key);
      await this.#write(row, bundle, { plan: undefined, problem });
      return done;
    }
    const look = new Look(this.#core.ports.clock);
    const stores = await this.#stores(row, bundle, look);
    row.isLooked = true;
    const { problem: wrong } = controlOf(bundle);
    const planned = this.#plan(row, bundle, { record: row.record, stores });
    const why = problem ?? wrong ?? planned.problem ?? (row.clash === "" ? undefined : row.clash);
    const { plan } = planned;
    if (plan !== undefined) this.#take(row, plan, stores);
    this.#pace.took(key, look);
    await this.#write(row, bundle, { plan, problem: why });
    const behind = stores.filter((store) => !this.#isSettled(row, store));
    for (const store of behind) await this.#release(row, store);
    const predecessor = predecessorOf(bundle);
    if (predecessor !== undefined) this.look(predecessor, 0);
    if (stores.length === 0 && this.#successor(bundle) !== undefined) {
      await retire(this.#core, bundle);
      return done;
    }
    // The states are others now.
    if (behind.length > 0) await this.#write(row, bundle, { plan, problem: why });
    if (plan?.lookAgainAtMs === undefined) return done;
    return again(Math.max(1, plan.lookAgainAtMs - this.#core.ports.clock.nowMs()));
  }

  #plan(
    row: BundleRow,
    bundle: Bundle,
    { record, stores }: { readonly record: RolloutRecord; readonly stores: readonly Known[] },
  ): { readonly plan: RolloutPlan | undefined; readonly problem: string | undefined } {
    const { ports, options } = this.#core;
    try {
      const plan = ports.plan({
        record,
        stores: stores.flatMap(({ row: store, cell, outcome }) => {
          if (outcome.kind === "none" || outcome.kind === "failed") return [];
          const variant = outcome.kind === "variant" ? outcome.variant : undefined;
          const released = this.#releasedOf(row, store);
          return [plannedStore(this.#core, row, { row: store, cell, released, variant })];
        }),
        strategy: bundle.spec?.["rolloutStrategy"] as RolloutStrategy | undefined,
        control: controlOf(bundle),
        gates: ports.gates?.({ namespace: row.namespace, name: row.name }) ?? { closed: [] },
        isStrict: options.isStrict,
        deadlineMs: options.waveDeadlineMs,
        nowMs: ports.clock.nowMs(),
      });
      return { plan, problem: undefined };
    } catch (error) {
      if (!hasReason(error, "Invalid")) throw error;
      return { plan: undefined, problem: messageOf(error) };
    }
  }

  #load(key: string, bundle: Bundle): BundleRow {
    const row = loadRow(key, bundle);
    this.#rows.set(key, row);
    return row;
  }

  /** Begins a generation when what is wanted is another. Answers why it could not; then what was wanted before stays. */
  async #begin(row: BundleRow, bundle: Bundle): Promise<string | undefined> {
    const sum = sumOf(bundle.spec ?? {});
    const last = row.entries.find(({ generation }) => generation === row.record?.generation);
    try {
      const refused = this.#refused(bundle);
      if (refused !== undefined) throw new StatusError("Forbidden", refused);
      if (last?.sum === sum) {
        await this.#open(row, last.generation);
        return undefined;
      }
      const source = await keepSource(this.#parts.blobs, bundle);
      const record = nextGeneration(row.record);
      const entry = { generation: record.generation, source, sum };
      const opened = await Generation.open(row, this.#parts, entry);
      // Who is not listed may run the base: until now that was said of the stores that are known, too.
      row.opened.set(entry.generation, opened);
      row.entries = [...row.entries, entry];
      row.record = record;
      row.newcomers.clear();
      return undefined;
    } catch (error) {
      if (this.#core.signal.aborted) throw error;
      return messageOf(error);
    }
  }

  /** What the rules of its namespace forbid does not begin; what ran before stays. */
  #refused(bundle: Bundle): string | undefined {
    const { namespace = "", labels } = bundle.metadata;
    return bundleProblem(bundle, this.#core.rules.of(namespace), labels?.[REPO_LABEL] !== undefined);
  }

  async #open(row: BundleRow, generation: number): Promise<Generation | undefined> {
    const known = row.opened.get(generation);
    const entry = row.entries.find((one) => one.generation === generation);
    if (known !== undefined || entry === undefined) return known;
    const opened = await Generation.open(row, this.#parts, entry);
    row.opened.set(generation, opened);
    return opened;
  }

  /** The stores of the newest generation; those that it does not name lose the bundle. */
  async #stores(row: BundleRow, bundle: Bundle, look: Look): Promise<readonly Known[]> {
    const { cells, bundles: index, reach } = this.#core;
    const newest = row.record?.generation ?? 0;
    const generation = await look.waitFor(this.#open(row, newest).catch(() => undefined));
    const number = index.numberOf(row.key);
    const known: Known[] = [];
    row.clash = "";
    const successor = this.#successor(bundle);
    const cellsBefore = cells.size;
    const within = reach.of(bundle).flatMap((namespace) => this.#core.stores.inNamespace(namespace));
    dropBeyond(this.#core, row, new Set(within.map((store) => store.index)));
    for (const store of within) {
      const before = cells.find(store.index, number);
      // Most are known: waiting for each would cost a turn of the queue for each.
      const outcome: Outcome = generation?.known(store) ??
        (await look.waitFor(generation?.outcomeFor(store))) ?? {
          kind: "failed",
          message: `generation ${newest} is not at this hub; apply its repository again`,
        };
      if (lookedAt(store, row.key)) store.connected?.tellDesired();
      const clash = outcome.kind === "none" ? undefined : clashingBundle(this.#core, store, row.key);
      if (clash !== undefined)
        row.clash = `Cluster ${store.key} has Bundle ${clash} of the same name, which comes first; rename one of them`;
      const isAway = successor !== undefined && isHandedOver(this.#core, store, successor);
      if (outcome.kind === "none" || clash !== undefined || isAway) {
        if (before !== 0) dropCell(this.#core, row, store, before);
        row.released.delete(store.index);
        continue;
      }
      const cell = before === 0 ? cells.add(store.index, number) : before;
      const isOther = cells.setWanted(cell, wantedOf(outcome));
      if (outcome.kind === "waits") store.connected?.tellDesired();
      if (before === 0) {
        if (row.written !== "") row.newcomers.add(store.key);
        // What all stores run already is not released to it once more: it is told now.
        if (await this.#settle(row, { row: store, cell, outcome })) store.connected?.tellDesired();
      }
      if (before === 0 || isOther) void this.#core.writeStore(store, { isLazy: true }).catch(() => undefined);
      known.push({ row: store, cell, outcome });
    }
    if (cells.size !== cellsBefore) this.#lookAtNamesakes(row);
    return known;
  }

  /** The Bundle that takes this one's place, once it is known what stores that one is for. */
  #successor(bundle: Bundle): string | undefined {
    const key = successorOf(bundle);
    return key !== undefined && this.#rows.get(key)?.isLooked === true ? key : undefined;
  }

  /** Of Bundles of one name a store has one: who comes or goes changes who that is. */
  #lookAtNamesakes(row: BundleRow): void {
    for (const one of this.#informer.list())
      if (one.metadata.name === row.name && one.metadata.namespace !== row.namespace)
        this.look(keyOfBundle(one), STATUS_GATHER_MS);
  }

  #releasedOf(row: BundleRow, store: StoreRow): number {
    return row.released.get(store.index) ?? row.record?.base ?? 0;
  }

  /** Takes the plan over; stores that it does not name are kept at what they may run. */
  #take(row: BundleRow, plan: RolloutPlan, stores: readonly Known[]): void {
    const byKey = new Map(plan.release.map(({ key, generation }) => [key, generation]));
    const released = new Map<number, number>();
    for (const { row: store } of stores) {
      const generation = byKey.get(store.key) ?? this.#releasedOf(row, store);
      if (generation !== plan.record.base) released.set(store.index, generation);
    }
    row.released = released;
    row.record = plan.record;
    const { generation, base } = plan.record;
    const needed = new Set([generation, base, ...released.values()]);
    const recent = row.entries.slice(-GENERATIONS_KEPT);
    row.entries = row.entries.filter((entry) => needed.has(entry.generation) || recent.includes(entry));
    for (const opened of row.opened.keys()) if (!needed.has(opened)) row.opened.delete(opened);
  }

  async #release(row: BundleRow, known: Known): Promise<void> {
    const isChanged = await this.#settle(row, known);
    if (!isChanged) return;
    known.row.connected?.tellDesired();
    void this.#core.writeStore(known.row, { isLazy: true }).catch(() => undefined);
  }

  /** Whether a cell has what its store may run, as far as that is told without waiting. */
  #isSettled(row: BundleRow, { row: store, cell, outcome }: Known): boolean {
    const generation = this.#releasedOf(row, store);
    if (generation === 0) return true;
    const isNewest = generation === row.record?.generation;
    const wanted = isNewest ? outcome : row.opened.get(generation)?.known(store);
    if (wanted?.kind !== "variant") return isNewest;
    return this.#core.cells.isReleased(cell, { variant: wanted.variant.number, generation });
  }

  /** Lets a cell have what its store may run; what cannot be told now leaves it as it is. Answers whether it changed. */
  async #settle(row: BundleRow, { row: store, cell, outcome }: Known): Promise<boolean> {
    const { cells, variants } = this.#core;
    const generation = this.#releasedOf(row, store);
    if (generation === 0) return false;
    const isNewest = generation === row.record?.generation;
    const older = isNewest ? undefined : await this.#open(row, generation).catch(() => undefined);
    const wanted = isNewest ? outcome : await older?.outcomeFor(store);
    if (wanted?.kind === "waits") store.connected?.tellDesired();
    if (wanted?.kind !== "variant") return false;
    const now = cells.read(cell);
    const { number: variant, deploymentId } = wanted.variant;
    if (now.released === variant && now.generation === generation) return false;
    const isSame = now.released === variant;
    const revision = isSame ? cells.changedAt(cell) : nextRevision(this.#core, store);
    cells.release(cell, { variant, generation, revision });
    const report = store.status.reports?.find((one) => one.bundle === row.name);
    if (report !== undefined) {
      const isApplied = report.applied === shortId(deploymentId);
      cells.report(cell, toReport(report), isApplied ? variant : variants.numberOf(row.key, report.applied));
    }
    return !isSame;
  }

  #remove(row: BundleRow): void {
    const { cells, stores, bundles: index } = this.#core;
    for (const store of stores.all()) lookedAt(store, row.key);
    const number = index.find(row.key);
    for (const cell of number === undefined ? [] : [...cells.ofBundle(number)]) {
      const store = stores.at(cells.read(cell).cluster);
      if (store !== undefined) dropCell(this.#core, row, store, cell);
    }
    index.remove(row.key);
    this.#pace.forget(row.key);
    this.#rows.delete(row.key);
    this.#lookAtNamesakes(row);
  }

  async #write(
    row: BundleRow,
    bundle: Bundle,
    { plan, problem }: { readonly plan: RolloutPlan | undefined; readonly problem: string | undefined },
  ): Promise<void> {
    const rollout = plan === undefined ? undefined : rolloutOf(row, plan, bundle);
    const status = bundleStatus(this.#core, { key: row.key, bundle, rollout, problem });
    const text = JSON.stringify(status);
    if (text === row.written) return;
    const { namespace, name } = row;
    try {
      await writeOwnStatus(this.#core, bundles, { namespace, name, fields: status });
      row.written = text;
      if (rollout !== undefined) await tellTurn(this.#core, row, { bundle, rollout });
    } catch (error) {
      if (!hasReason(error, "NotFound")) throw error;
    }
  }
}
