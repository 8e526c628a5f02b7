import type { RolloutStrategy } from "../compile/bundle.ts";

/** One store as a rollout sees it. */
export type RolloutStore = {
  /** `namespace/name`; the order of waves is by this. */
  readonly key: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Heard within the limit. A dark store neither blocks nor fails a wave. */
  readonly isHeard: boolean;
  /** The generation that it may run now; 0: none yet. */
  readonly released: number;
  /** The generation that it has applied and that is Ready; 0: none. */
  readonly ready: number;
  /** Why it is not Ready, for the story. */
  readonly message: string;
  /** ClusterGroups that select it, for partitions that name groups. */
  readonly groups?: readonly { readonly name: string; readonly labels: Readonly<Record<string, string>> }[];
  /** The bundle came to it after the generation began: it is of the last wave. */
  readonly isNew?: boolean;
  /** How long it may take until it is Ready, when that is not what holds for all. */
  readonly deadlineMs?: number;
  /** Since when it is heard without a break, milliseconds since 1970: one that comes back gets its time, too. */
  readonly heardSinceMs?: number;
};

export type RolloutControl = {
  readonly isPaused: boolean;
  /** Opens all waves of this generation. */
  readonly promote: number | undefined;
  /** Gives this generation up: its stores go back. */
  readonly abort: number | undefined;
};

/** The inputs that later issues fill: windows, gates, budgets. Empty: nothing holds back. */
export type RolloutGates = { readonly closed: readonly { readonly name: string; readonly reason: string }[] };

/** What is kept of a rollout between two looks: a row of the bundle. */
export type RolloutRecord = {
  /** Counts the changes of what is wanted. */
  readonly generation: number;
  /** The last generation that all stores were allowed: where an abort goes back to; 0: none. */
  readonly base: number;
  /** How many waves are open. */
  readonly open: number;
  /** When the newest wave was opened, milliseconds since 1970. */
  readonly openedAtMs: number;
  readonly phase: "Progressing" | "Halted" | "Paused" | "Aborted" | "Complete";
  /** Why it is not Progressing, in one sentence; empty when it is. */
  readonly reason: string;
  /** The waves as they were drawn when the generation began; written here only, kept by the caller as it is. */
  readonly drawn?: DrawnWaves;
};

/** Stores are ordered by key: the canary, then up to the first bound, up to the second, …, the rest. */
export type DrawnWaves = {
  /** The generation that they were drawn for: waves of another are drawn anew. */
  readonly generation: number;
  readonly canary: string;
  /** The last key of each wave between the canary and the rest. */
  readonly bounds: readonly string[];
};

export type RolloutInput = {
  readonly record: RolloutRecord;
  readonly stores: readonly RolloutStore[];
  readonly strategy: RolloutStrategy | undefined;
  readonly control: RolloutControl;
  readonly gates: RolloutGates;
  /** Fleet's partitions and their quirks instead of canary and waves. */
  readonly isStrict: boolean;
  /** How long a store of a wave may take until it is Ready. */
  readonly deadlineMs: number;
  readonly nowMs: number;
};

export type Wave = {
  readonly name: string;
  readonly stores: number;
  readonly ready: number;
  readonly dark: number;
  readonly waiting: number;
};

export type RolloutPlan = {
  readonly record: RolloutRecord;
  /** Only what changes: keys of stores and the generation each may run from now on. */
  readonly release: readonly { readonly key: string; readonly generation: number }[];
  readonly waves: readonly Wave[];
  /** One sentence for people: what happens, or why nothing does. */
  readonly message: string;
  /** When to look again though nothing happens; undefined: only when something does. */
  readonly lookAgainAtMs: number | undefined;
};
