import type { Client } from "@cortado/client";
import { startInformer, type Informer } from "@cortado/client/informer";
import { startLoop, type Loop, type LoopMetrics } from "@cortado/client/loop";
import type { Pod } from "@cortado/kinds";
import { pods } from "@cortado/kinds/resources";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import { hasReason } from "@cortado/std/status";
import { EVENT_LOOKS_MS, POD_WORKERS, RELIST_MS, RELIST_WITH_EVENTS_MS } from "../limits.ts";
import type { Runtime, RuntimeRow } from "../runtime/runtime.ts";
import { payloadSources } from "../volumes/payload.ts";
import { isTerminal, specOf } from "./pod.ts";
import { emptyView, newerPod, type PodRecord } from "./record.ts";
import type { PodRounds } from "./rounds.ts";

export type PodsPorts = {
  readonly client: Client;
  readonly runtime: Runtime;
  readonly rounds: PodRounds;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: LoopMetrics;
  readonly nodeName: string;
  readonly signal: AbortSignal;
};

/** Knows which pods this node has, hears of every change in the API and in the runtime, and has each looked at. */
export class Pods {
  readonly #ports: PodsPorts;
  readonly #informer: Informer<Pod>;
  readonly #loop: Loop;
  #eventsWork = false;
  #gathering: Disposable | undefined;
  #looks = 0;

  constructor(ports: PodsPorts) {
    this.#ports = ports;
    const { client, rounds, clock, log, metrics, signal, nodeName } = ports;
    this.#loop = startLoop({
      name: "pod_node",
      reconcile: (uid) => rounds.round(uid),
      workers: POD_WORKERS,
      clock,
      log,
      metrics,
      signal,
    });
    this.#informer = startInformer(client, pods, {
      fieldSelector: `spec.nodeName=${nodeName}`,
      clock,
      log,
      signal,
    });
  }

  /** Resolves when the API's pods are known and the runtime was listed once: from here on what is unknown is an orphan. */
  async start(): Promise<void> {
    await this.#informer.synced;
    this.#informer.subscribe(({ old, now }) => this.#noticed(old, now));
    await this.#relist();
    void this.#watchRuntime();
    void this.#relistForEver();
  }

  get records(): ReadonlyMap<string, PodRecord> {
    return this.#ports.rounds.records;
  }

  poke(uid: string): void {
    this.#loop.add(uid);
  }

  /** Resolves when no pod is being worked on. */
  idle(): Promise<void> {
    return this.#loop.idle();
  }

  /** An object changed that volumes are made of. */
  sourceChanged(kind: "ConfigMap" | "Secret", key: string): void {
    const name = key.slice(key.indexOf("/") + 1);
    const namespace = key.slice(0, key.indexOf("/"));
    for (const record of this.records.values()) {
      if (record.pod?.metadata.namespace !== namespace) continue;
      const uses = (specOf(record.pod).volumes ?? []).some((volume) =>
        payloadSources(volume).includes(`${kind}/${name}`),
      );
      if (uses) this.#refresh(record);
    }
  }

  /** Every volume of API objects is looked at: tokens grow old without anybody telling. */
  refreshVolumes(): void {
    for (const record of this.records.values())
      if (record.pod !== undefined && (specOf(record.pod).volumes ?? []).length > 0) this.#refresh(record);
  }

  #refresh(record: PodRecord): void {
    record.volumesStale = true;
    this.poke(record.uid);
  }

  #noticed(old: Parameters<typeof newerPod>[0], now: Parameters<typeof newerPod>[0]): void {
    const { rounds } = this.#ports;
    if (now !== undefined) {
      const { uid } = now.metadata;
      if (old !== undefined && old.metadata.uid !== uid) this.#gone(old.metadata.uid);
      const record = rounds.record(uid, now);
      const before = record.pod;
      record.pod = newerPod(record.pod, now);
      record.gone = false;
      // Our own status write comes back as news; it is none.
      if (
        before !== undefined &&
        before !== record.pod &&
        record.pod.metadata.resourceVersion === before.metadata.resourceVersion
      )
        return;
      if (labelsChanged(before, record.pod)) record.volumesStale = true;
      this.poke(uid);
    } else if (old !== undefined) this.#gone(old.metadata.uid);
  }

  #gone(uid: string): void {
    const record = this.records.get(uid);
    if (record === undefined) return;
    record.gone = true;
    record.viewStale = true;
    this.poke(uid);
  }

  async #watchRuntime(): Promise<void> {
    const { runtime, signal, clock, log } = this.#ports;
    while (!signal.aborted) {
      try {
        this.#eventsWork = true;
        await runtime.watch(() => this.#gather(), { signal });
      } catch (error) {
        this.#eventsWork = false;
        if (signal.aborted || hasReason(error, "NotImplemented")) return;
        log.warn("runtime's events broke off", { error });
      }
      await clock.sleep(RELIST_MS, { signal }).catch(() => undefined);
    }
  }

  #gather(): void {
    this.#looks = 0;
    if (this.#gathering === undefined) this.#armLook();
  }

  // A later event begins the row of looks anew.
  #armLook(): void {
    const waitMs = EVENT_LOOKS_MS[this.#looks];
    this.#looks += 1;
    this.#gathering =
      waitMs === undefined
        ? undefined
        : this.#ports.clock.after(waitMs, () => {
            this.#armLook();
            void this.#tryRelist();
          });
  }

  async #relistForEver(): Promise<void> {
    const { clock, signal } = this.#ports;
    while (!signal.aborted) {
      try {
        await clock.sleep(this.#eventsWork ? RELIST_WITH_EVENTS_MS : RELIST_MS, { signal });
      } catch {
        break;
      }
      await this.#tryRelist();
    }
    this.#gathering?.[Symbol.dispose]();
  }

  async #tryRelist(): Promise<void> {
    try {
      await this.#relist();
    } catch (error) {
      if (!this.#ports.signal.aborted) this.#ports.log.warn("runtime not listed", { error });
    }
  }

  async #relist(): Promise<void> {
    const rows = await this.#ports.runtime.rows(this.#ports);
    const byPod = Map.groupBy(rows, (row) => row.podUid);
    for (const [uid, of] of byPod) {
      if (uid === "") continue;
      const record = this.#ports.rounds.record(uid, undefined);
      if (differs(record, of)) this.#look(record);
    }
    // Pods that the runtime has nothing of any more.
    for (const record of this.records.values())
      if (!byPod.has(record.uid) && differs(record, [])) this.#look(record);
  }

  #look(record: PodRecord): void {
    record.viewStale = true;
    this.poke(record.uid);
  }
}

/** True when the rows are not what the record knows. */
function differs(record: PodRecord, rows: readonly RuntimeRow[]): boolean {
  const view = record.view ?? emptyView;
  const known = new Map<string, string>([
    ...view.sandboxes.map((one) => [one.id, one.ready ? "ready" : "notready"] as const),
    ...view.containers.map((one) => [one.id, one.phase] as const),
  ]);
  return known.size !== rows.length || rows.some((row) => known.get(row.id) !== row.phase);
}

function labelsChanged(before: PodRecord["pod"], now: PodRecord["pod"]): boolean {
  if (before === undefined || now === undefined || isTerminal(now.status?.phase)) return false;
  const text = (pod: NonNullable<PodRecord["pod"]>): string =>
    JSON.stringify([pod.metadata.labels, pod.metadata.annotations]);
  return text(before) !== text(now);
}
