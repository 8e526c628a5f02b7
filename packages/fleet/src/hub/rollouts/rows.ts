import type { BundleRollout } from "@cortado/kinds/fleet";
import type { RolloutRecord } from "../../rollout/rollout.ts";
import type { StoreRow } from "../state/stores.ts";
import type { Generation, Outcome } from "./generations.ts";

type Entry = BundleRollout["generations"][number];

/** A bundle as its rollout is held. */
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
  /** Its stores are known: who is not among them does not have it. */
  isLooked: boolean;
};

/** A store that a bundle is for, and what it is for it. */
export type Known = { readonly row: StoreRow; readonly cell: number; readonly outcome: Outcome };
