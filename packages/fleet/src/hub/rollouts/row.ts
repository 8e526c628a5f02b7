import type { Bundle, BundleRollout } from "@cortado/kinds/fleet";
import type { RolloutRecord } from "../../rollout/rollout.ts";
import { fromBitmap } from "./bitmap.ts";
import type { CopyNames } from "../copies/copies.ts";
import type { Cell, Cells } from "../state/cells.ts";
import type { StoreRow } from "../state/stores.ts";
import type { Generation, Outcome } from "./generations.ts";
import { recordOf } from "./record.ts";
import { chapterOf } from "./story.ts";

type Entry = BundleRollout["generations"][number];

/** A bundle on its way to stores; what must survive is in its status. */
export type BundleRow = {
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  record: RolloutRecord | undefined;
  entries: Entry[];
  readonly opened: Map<number, Generation>;
  /** By store index; a store that is not here may run the base. */
  released: Map<number, number>;
  /** Stores that came after the generation began. */
  readonly newcomers: Set<string>;
  written: string;
  /** Why some store does not get it, though a target names it; empty: none. */
  clash: string;
  /** The last turn of its rollout that was told. */
  chapter: string;
  /** Its stores are known: who is not among them does not have it. */
  isLooked: boolean;
};

/** A store that a bundle is for, and what it is for it. */
export type Known = { readonly row: StoreRow; readonly cell: number; readonly outcome: Outcome };

/** As it was kept in the Bundle. */
export function loadRow(key: string, bundle: Bundle): BundleRow {
  const { namespace = "", name = "", uid = "" } = bundle.metadata;
  const rollout = bundle.status?.rollout;
  const released = new Map<number, number>();
  for (const { generation, stores } of rollout?.released ?? [])
    for (const index of fromBitmap(stores)) released.set(index, generation);
  const row: BundleRow = {
    key,
    namespace,
    name,
    uid,
    record: rollout === undefined ? undefined : recordOf(rollout),
    entries: rollout?.generations ?? [],
    opened: new Map(),
    released,
    newcomers: new Set(),
    written: "",
    clash: "",
    chapter: chapterOf(rollout),
    isLooked: false,
  };
  return row;
}

/** What a cell's newest generation is for it. */
export function wantedOf(
  outcome: Exclude<Outcome, { readonly kind: "none" }>,
): Parameters<Cells["setWanted"]>[1] {
  if (outcome.kind === "variant") return { variant: outcome.variant.number };
  return outcome.kind === "waits" ? { waits: outcome.message } : { problem: outcome.message };
}

/** Something of the hub that a bundle takes along changed; answers whether it does. */
export function copiesChanged({ opened }: BundleRow, name: CopyNames[number]): boolean {
  return [...opened.values()].filter((one) => one.copiesChanged(name)).length > 0;
}

/** Whether a rollout is over, and a store of it is Ready with what came of it: whether that store is heard is then nothing to it. */
export function hasAll(row: BundleRow | undefined, cell: Cell): boolean {
  const { generation = 0, base, phase } = row?.record ?? {};
  const isOver =
    row?.isLooked === true && phase === "Complete" && base === generation && row.released.size === 0;
  const isApplied = cell.released !== 0 && cell.applied === cell.released && cell.generation === generation;
  return isOver && isApplied && cell.state === "Ready";
}
