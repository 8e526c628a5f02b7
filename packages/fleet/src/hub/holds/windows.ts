import { again, done, newLoopMetrics, startLoop, type Loop, type Outcome } from "@cortado/client/loop";
import { keyOf, splitKey, startInformer, type Informer } from "@cortado/client/informer";
import { schedules, type ClusterSelection, type FleetSchedule } from "@cortado/kinds/fleet";
import { toTime } from "@cortado/std/clock";
import { newMetrics } from "@cortado/std/metrics";
import { hasReason, messageOf } from "@cortado/std/status";
import { sameTree } from "@cortado/kinds/tree";
import type { TargetMatch } from "../../compile/bundle.ts";
import { matchesCluster } from "../../compile/targets/match.ts";
import type { Client, Stored } from "@cortado/client";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Stores, StoreRow } from "../state/stores.ts";
import { withCondition } from "../status/summary.ts";
import { windowAt, type Window } from "./window.ts";

type Known = { readonly members: ReadonlySet<string>; readonly isOpen: boolean; readonly sinceMs: number };

export type StoreWindow = {
  readonly isScheduled: boolean;
  /** Some Schedule names it, and no window of one is open. */
  readonly isClosed: boolean;
  readonly schedules: readonly string[];
  /** Since when a window is open; 0: always. */
  readonly openSinceMs: number;
};

const always: StoreWindow = { isScheduled: false, isClosed: false, schedules: [], openSinceMs: 0 };

export type WindowPorts = {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly stores: Stores;
  /** The window of a store opened or closed. */
  readonly turned: (row: StoreRow) => void;
};

/**
 * When stores may get something new: a store that a Schedule names does nothing outside of its windows, and never holds up a rollout
 * meanwhile. One with several is free while any of them is open.
 */
export class Windows {
  readonly #ports: WindowPorts;
  readonly #informer: Informer<FleetSchedule>;
  readonly #known: Map<string, Known> = new Map();
  #loop: Loop | undefined;

  constructor(ports: WindowPorts) {
    this.#ports = ports;
    const { client, clock, log, signal } = ports;
    this.#informer = startInformer(client, schedules, { clock, log, signal });
  }

  get synced(): Promise<void> {
    return this.#informer.synced;
  }

  /** Begins once the rows of stores are there; resolves when every Schedule was looked at. */
  async begin(): Promise<void> {
    const { clock, log, signal } = this.#ports;
    const loop = startLoop({
      name: "fleet-schedule",
      reconcile: (key) => this.#round(key),
      keys: () => [...this.#informer.list()].map(keyOf),
      clock,
      log,
      metrics: newLoopMetrics(newMetrics()),
      signal,
    });
    this.#loop = loop;
    this.#informer.subscribe(({ key }) => loop.add(key));
    await loop.idle();
  }

  /** A store is another now: it may be of other Schedules. */
  look(namespace: string): void {
    for (const schedule of this.#informer.list())
      if (schedule.metadata.namespace === namespace) this.#loop?.add(keyOf(schedule));
  }

  of(store: string): StoreWindow {
    if (this.#known.size === 0) return always;
    const naming = [...this.#known].filter(([, { members }]) => members.has(store));
    if (naming.length === 0) return always;
    const open = naming.filter(([, { isOpen }]) => isOpen);
    return {
      isScheduled: true,
      isClosed: open.length === 0,
      schedules: naming.map(([key]) => splitKey(key).name),
      openSinceMs: Math.max(0, ...open.map(([, { sinceMs }]) => sinceMs)),
    };
  }

  async #round(key: string): Promise<Outcome> {
    const schedule = this.#informer.get(key);
    if (schedule === undefined || schedule.metadata.deletionTimestamp !== undefined) {
      this.#take(key, undefined);
      return done;
    }
    const nowMs = this.#ports.clock.nowMs();
    const members = this.#membersOf(schedule);
    let window: Window;
    try {
      window = windowAt(schedule.spec ?? {}, nowMs);
    } catch (error) {
      // Nobody knows when it would be open: it holds nobody back, and says so.
      this.#take(key, undefined);
      await this.#tell(schedule, {
        members,
        problem: `${messageOf(error)}. Until then it holds no cluster back`,
      });
      return { kind: "stalled", reason: messageOf(error) };
    }
    const before = this.#known.get(key);
    const sinceMs = before?.isOpen === window.isOpen ? before.sinceMs : nowMs;
    this.#take(key, { members, isOpen: window.isOpen, sinceMs });
    await this.#tell(schedule, { members, window });
    return window.turnsAtMs === undefined ? done : again(Math.max(1, window.turnsAtMs - nowMs));
  }

  #membersOf({ metadata, spec }: Stored<FleetSchedule>): ReadonlySet<string> {
    const wanted = (spec?.targets?.clusters ?? []) as readonly ClusterSelection[];
    return new Set(
      this.#ports.stores
        .inNamespace(metadata.namespace ?? "")
        .filter(({ facts }) => wanted.some((one) => matchesCluster(one as TargetMatch, facts)))
        .map((row) => row.key),
    );
  }

  #take(key: string, now: Known | undefined): void {
    const touched = new Set([...(this.#known.get(key)?.members ?? []), ...(now?.members ?? [])]);
    const before = new Map([...touched].map((store) => [store, this.of(store)]));
    if (now === undefined) this.#known.delete(key);
    else this.#known.set(key, now);
    for (const [store, was] of before) {
      const row = this.#ports.stores.get(store);
      const { isClosed, isScheduled } = this.of(store);
      if (row !== undefined && (was.isClosed !== isClosed || was.isScheduled !== isScheduled))
        this.#ports.turned(row);
    }
  }

  async #tell(
    { metadata, status }: Stored<FleetSchedule>,
    found: { readonly members: ReadonlySet<string>; readonly window?: Window; readonly problem?: string },
  ): Promise<void> {
    const { client, clock, signal } = this.#ports;
    const { members, window, problem = "" } = found;
    const ready = {
      type: "Ready",
      isTrue: problem === "",
      reason: problem === "" ? "" : "Invalid",
      message: problem,
    };
    const next = {
      active: window?.isOpen === true,
      ...(window?.nextStartMs === undefined ? {} : { nextStartTime: toTime(window.nextStartMs) }),
      matchingClusters: [...members].map((key) => splitKey(key).name).toSorted(),
      conditions: withCondition(status?.conditions, ready, clock.nowMs()),
    };
    if (sameTree(next, status)) return;
    const { name, namespace = "" } = metadata;
    const where = { name, namespace, subresource: "status", fieldManager: "cortado-hub", signal };
    await client
      .patch(schedules, { ...where, type: "merge", body: { status: next } })
      .catch((error: unknown) => {
        if (!hasReason(error, "NotFound")) throw error;
      });
  }
}
