import { amountOf } from "./amount.ts";
import { TWO_WAVES_STORES_MAX, WAVE_SHARES } from "./limits.ts";
import { isOfPartition } from "./match.ts";
import type { DrawnWaves, RolloutInput, RolloutStore } from "./model.ts";

export type DrawnWave = {
  readonly name: string;
  /** Heard stores that may be unready when the next wave opens. */
  readonly tolerated: number;
};

export type Drawing = {
  readonly waves: readonly DrawnWave[];
  /** Index of the wave of each store, in the order of the stores. */
  readonly waveOf: readonly number[];
  readonly drawn: DrawnWaves;
};

/** Which store is of which wave; the same for as long as a generation lasts. `stores` are in order. */
export function drawWaves(input: RolloutInput): Drawing {
  const partitions = input.strategy?.partitions ?? [];
  return partitions.length > 0 ? byPartitions(input) : bySize(input);
}

function bySize(input: RolloutInput): Drawing {
  const { stores, record } = input;
  const kept = record.drawn?.generation === record.generation ? record.drawn : undefined;
  const drawn = kept === undefined ? drawAnew(input) : withCanary(input, kept);
  const last = drawn.bounds.length + 1;
  const waveOf = stores.map((store) => {
    if (store.key === drawn.canary) return 0;
    return isLate(store, input) ? last : 1 + boundOf(drawn.bounds, store.key);
  });
  const names = ["canary", ...drawn.bounds.map((_, at) => `wave ${at + 2}`), "rest"];
  // Of a single store there is no rest.
  const used = stores.length === 1 ? names.slice(0, 1) : stores.length === 0 ? [] : names;
  return { waves: used.map((name) => ({ name, tolerated: 0 })), waveOf, drawn };
}

/** New here: it gets what is complete at once and the rest last. */
function isLate(store: RolloutStore, { record }: RolloutInput): boolean {
  return store.isNew ?? (store.released === 0 && record.base > 0 && record.base !== record.generation);
}

function boundOf(bounds: readonly string[], key: string): number {
  const at = bounds.findIndex((bound) => key <= bound);
  return at < 0 ? bounds.length : at;
}

function drawAnew({ stores, record }: RolloutInput): DrawnWaves {
  const { generation } = record;
  const canary = chooseCanary(stores, record.base)?.key ?? "";
  const others = stores.filter(({ key }) => key !== canary);
  if (stores.length <= TWO_WAVES_STORES_MAX) return { generation, canary, bounds: [] };
  const bounds: string[] = [];
  let end = 0;
  for (const share of WAVE_SHARES) {
    end += Math.ceil(stores.length * share);
    const bound = others[end - 1]?.key;
    if (bound === undefined || end >= others.length) break;
    bounds.push(bound);
  }
  return { generation, canary, bounds };
}

/** A canary that went dark before it could tell leaves its place to one that is heard. */
function withCanary({ stores, record }: RolloutInput, drawn: DrawnWaves): DrawnWaves {
  if (record.open > 1 || record.base === record.generation) return drawn;
  const canary = stores.find(({ key }) => key === drawn.canary);
  if (canary !== undefined && (canary.isHeard || canary.ready === record.generation)) return drawn;
  const other = chooseCanary(stores, record.base);
  return other?.isHeard === true || canary === undefined ? { ...drawn, canary: other?.key ?? "" } : drawn;
}

/** The first by key of those that are heard and run well; else of those that are heard; else of all. */
function chooseCanary(stores: readonly RolloutStore[], base: number): RolloutStore | undefined {
  const heard = stores.find((store) => store.isHeard);
  const well = stores.find((store) => store.isHeard && store.ready > 0 && store.ready >= base);
  return well ?? heard ?? stores[0];
}

/** Partitions that somebody wrote are the waves; who is of none is of one more at the end. */
function byPartitions(input: RolloutInput): Drawing {
  const { stores, record } = input;
  const partitions = input.strategy?.partitions ?? [];
  let hasRest = false;
  const sizes = partitions.map(() => 0);
  const waveOf = stores.map((store) => {
    const at = partitions.findIndex((partition) => isOfPartition(partition, store));
    if (at < 0) hasRest = true;
    else sizes[at] = (sizes[at] ?? 0) + 1;
    return at < 0 ? partitions.length : at;
  });
  const waves = partitions.map(({ name, maxUnavailable }, at): DrawnWave => {
    const tolerated =
      maxUnavailable === undefined
        ? 0
        : amountOf(maxUnavailable, { count: sizes[at] ?? 0, field: `partitions[${at}].maxUnavailable` });
    return { name: name ?? `partition ${at}`, tolerated };
  });
  return {
    waves: hasRest ? [...waves, { name: "rest", tolerated: 0 }] : waves,
    waveOf,
    drawn: { generation: record.generation, canary: "", bounds: [] },
  };
}
