import type { RolloutStrategy } from "../compile/bundle.ts";
import { amountOf } from "./amount.ts";
import {
  AUTO_PARTITION_SIZE,
  AUTO_PARTITION_THRESHOLD,
  MAX_NEW,
  MAX_UNAVAILABLE,
  MAX_UNAVAILABLE_PARTITIONS,
} from "./limits.ts";
import { isOfPartition } from "./match.ts";
import { inOrder, namesOf } from "./order.ts";
import type { RolloutInput, RolloutPlan, RolloutRecord, RolloutStore, Wave } from "./model.ts";

type Partition = {
  readonly name: string;
  readonly stores: readonly RolloutStore[];
  readonly maxUnavailable: number;
};

/** One pass of Fleet's own algorithm over a Bundle (fleet.md 2.8), with its quirks. */
export function planStrictly(input: RolloutInput): RolloutPlan {
  const { record, control, gates, nowMs } = input;
  const stores = inOrder(input.stores);
  const parts = partitionsOf(input.strategy, stores);
  const isHeld = control.isPaused || gates.closed.length > 0;
  const pass = new Pass(input, stores);
  if (control.abort === record.generation) pass.goBack();
  else if (control.promote === record.generation && !isHeld) pass.releaseAll();
  else pass.run(parts, isHeld);
  const isComplete = stores.every((store) => store.ready === record.generation);
  const phase = phaseOf(input, isComplete);
  const held = gates.closed.map(({ name, reason }) => `${name}: ${reason}`).join("; ");
  const next: RolloutRecord = {
    ...record,
    base: isComplete && stores.length > 0 ? record.generation : record.base,
    open: pass.visited,
    phase,
    reason: phase === "Paused" ? "paused" : held,
  };
  return {
    record: next,
    release: pass.changes(),
    waves: parts.map((part) => waveOf(part, pass)),
    message: messageOf(pass, { phase, parts, held }),
    lookAgainAtMs: pass.isCutShort ? nowMs : undefined,
  };
}

function phaseOf({ record, control }: RolloutInput, isComplete: boolean): RolloutRecord["phase"] {
  if (control.abort === record.generation) return "Aborted";
  if (control.isPaused) return "Paused";
  return isComplete ? "Complete" : "Progressing";
}

/** What one look does to the stores. */
class Pass {
  readonly #released: Map<RolloutStore, number>;
  readonly #input: RolloutInput;
  readonly #stores: readonly RolloutStore[];
  readonly #maxUnavailable: number;
  readonly #maxUnavailablePartitions: number | string;
  #unavailable = 0;
  /** Partitions that were looked at before one was found that stops the rest. */
  visited = 0;
  /** There were more new stores than one pass makes. */
  isCutShort = false;

  constructor(input: RolloutInput, stores: readonly RolloutStore[]) {
    const { maxUnavailable = MAX_UNAVAILABLE, maxUnavailablePartitions = MAX_UNAVAILABLE_PARTITIONS } =
      input.strategy ?? {};
    this.#input = input;
    this.#stores = stores;
    this.#released = new Map(stores.map((store) => [store, store.released]));
    this.#maxUnavailable = amountOf(maxUnavailable, { count: stores.length, field: "maxUnavailable" });
    this.#maxUnavailablePartitions = maxUnavailablePartitions;
  }

  run(parts: readonly Partition[], isHeld: boolean): void {
    const { generation } = this.#input.record;
    const partitionsMax = amountOf(this.#maxUnavailablePartitions, {
      count: parts.length,
      field: "maxUnavailablePartitions",
    });
    const maxNew = this.#input.strategy?.maxNew ?? MAX_NEW;
    let made = 0;
    let badPartitions = 0;
    this.#unavailable = this.#stores.filter((store) => store.released > 0 && isUnavailable(store)).length;
    for (const part of parts) {
      this.visited += 1;
      let unavailable = part.stores.filter((store) => store.released > 0 && isUnavailable(store)).length;
      for (const store of part.stores) {
        const released = this.#released.get(store) ?? 0;
        if (released === generation) continue;
        if (released === 0 && made >= maxNew) {
          this.isCutShort = !isHeld;
          continue;
        }
        if (released === 0) made += 1;
        const isBad = isUnavailable(store);
        const fits = this.#unavailable < this.#maxUnavailable && unavailable < part.maxUnavailable;
        if (isHeld || (!fits && !isBad)) continue;
        if (!isBad) {
          this.#unavailable += 1;
          unavailable += 1;
        }
        this.#released.set(store, generation);
      }
      const behind = part.stores.filter((store) => store.ready !== generation).length;
      if (behind > part.maxUnavailable) badPartitions += 1;
      if (badPartitions > partitionsMax) return;
    }
  }

  releaseAll(): void {
    for (const store of this.#stores) this.#released.set(store, this.#input.record.generation);
  }

  goBack(): void {
    const { base } = this.#input.record;
    if (base > 0) for (const store of this.#stores) this.#released.set(store, base);
  }

  releasedOf(store: RolloutStore): number {
    return this.#released.get(store) ?? 0;
  }

  changes(): RolloutPlan["release"] {
    return this.#stores.flatMap((store) => {
      const generation = this.releasedOf(store);
      return generation === store.released ? [] : [{ key: store.key, generation }];
    });
  }

  get behind(): readonly RolloutStore[] {
    return this.#stores.filter((store) => store.ready !== this.#input.record.generation);
  }
}

/** Applied is not what was released, or it is not ready. A store that is new has applied nothing. */
function isUnavailable(store: RolloutStore): boolean {
  return store.released === 0 || store.ready !== store.released;
}

function partitionsOf(
  strategy: RolloutStrategy | undefined,
  stores: readonly RolloutStore[],
): readonly Partition[] {
  const { partitions = [], maxUnavailable = MAX_UNAVAILABLE } = strategy ?? {};
  const make = (name: string, of: readonly RolloutStore[], most: number | string): Partition => ({
    name,
    stores: of,
    maxUnavailable: amountOf(most, { count: of.length, field: "maxUnavailable" }),
  });
  if (partitions.length > 0)
    return partitions.map((partition, at) => {
      const of = stores.filter((store) => isOfPartition(partition, store));
      return make(partition.name ?? `Partition ${at}`, of, partition.maxUnavailable ?? maxUnavailable);
    });
  const { autoPartitionSize: size = AUTO_PARTITION_SIZE, autoPartitionThreshold: from } = strategy ?? {};
  const threshold = from ?? AUTO_PARTITION_THRESHOLD;
  const isWhole = threshold <= 0 || stores.length < threshold || (typeof size === "number" && size <= 0);
  const step = isWhole ? 0 : amountOf(size, { count: stores.length, field: "autoPartitionSize" });
  if (step <= 0) return [make("All", stores, maxUnavailable)];
  const parts: Partition[] = [];
  for (let start = 0; start < stores.length; start += step) {
    const end = Math.min(stores.length, start + step);
    parts.push(make(`Partition ${start} - ${end}`, stores.slice(start, end), maxUnavailable));
  }
  return parts;
}

function waveOf({ name, stores }: Partition, pass: Pass): Wave {
  let [ready, dark, waiting] = [0, 0, 0];
  for (const store of stores) {
    if (!store.isHeard) dark += 1;
    if (store.ready > 0 && store.ready === pass.releasedOf(store)) ready += 1;
    else if (store.isHeard) waiting += 1;
  }
  return { name, stores: stores.length, ready, dark, waiting };
}

function messageOf(
  pass: Pass,
  { phase, parts, held }: { phase: RolloutRecord["phase"]; parts: readonly Partition[]; held: string },
): string {
  if (phase === "Complete") return "every store runs it";
  if (phase === "Aborted") return "given up; stores go back to the last complete one";
  if (phase === "Paused") return "paused: nothing is released";
  if (held !== "") return `held back by ${held}`;
  const at = `partition ${pass.visited} of ${parts.length}`;
  return `${at}: waiting for ${namesOf(pass.behind)}`;
}
