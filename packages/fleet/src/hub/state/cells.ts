import { assert } from "@cortado/std/assert";
import type { BundleReport, BundleState } from "../../protocol/protocol.ts";

/** By rank: the highest is the state of what holds several (fleet.md 3.4). */
export const cellStates = [
  "",
  "Ready",
  "NotReady",
  "Pending",
  "OutOfSync",
  "Modified",
  "WaitApplied",
  "ErrApplied",
] as const;

export function rankOf(state: BundleState): number {
  return cellStates.indexOf(state);
}

const FIRST_CELLS = 1_024;
/** Half as much again would be a third of a million cells' memory for nothing. */
const GROWTH = 1.2;
const none = 0;

/** A bundle in a cluster, read out of the columns. */
export type Cell = {
  readonly cluster: number;
  readonly bundle: number;
  /** What the newest generation is for this cluster; 0: it failed, or nothing yet. */
  readonly wanted: number;
  /** What it may run now. */
  readonly released: number;
  readonly generation: number;
  readonly applied: number;
  readonly state: BundleState;
  readonly message: string;
};

/**
 * Every bundle of every cluster as a number in columns: about fifty bytes each, no object. What only cells in trouble have (a
 * message, resources) is kept apart. Cell 0 is none.
 */
export class Cells {
  #cluster = new Uint32Array(FIRST_CELLS);
  #bundle = new Uint32Array(FIRST_CELLS);
  #wanted = new Uint32Array(FIRST_CELLS);
  #released = new Uint32Array(FIRST_CELLS);
  #generation = new Uint32Array(FIRST_CELLS);
  #applied = new Uint32Array(FIRST_CELLS);
  #changed = new Float64Array(FIRST_CELLS);
  #reported = new Uint8Array(FIRST_CELLS);
  #counts = new Uint16Array(FIRST_CELLS * 5);
  #nextInCluster = new Uint32Array(FIRST_CELLS);
  #nextInBundle = new Uint32Array(FIRST_CELLS);
  #previousInBundle = new Uint32Array(FIRST_CELLS);
  readonly #firstOfCluster: number[] = [];
  readonly #firstOfBundle: number[] = [];
  readonly #problems = new Map<number, string>();
  readonly #waits = new Map<number, string>();
  readonly #messages = new Map<number, string>();
  readonly #resources = new Map<number, string>();
  #free = none;
  #used = 1;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  find(cluster: number, bundle: number): number {
    let cell = this.#firstOfCluster[cluster] ?? none;
    while (cell !== none && this.#bundle[cell] !== bundle) cell = this.#nextInCluster[cell] as number;
    return cell;
  }

  /** The cell of a cluster and a bundle, made when there is none. */
  add(cluster: number, bundle: number): number {
    const known = this.find(cluster, bundle);
    if (known !== none) return known;
    const cell = this.#take();
    this.#cluster[cell] = cluster;
    this.#bundle[cell] = bundle;
    this.#nextInCluster[cell] = this.#firstOfCluster[cluster] ?? none;
    this.#firstOfCluster[cluster] = cell;
    const next = this.#firstOfBundle[bundle] ?? none;
    this.#nextInBundle[cell] = next;
    if (next !== none) this.#previousInBundle[next] = cell;
    this.#firstOfBundle[bundle] = cell;
    this.#size += 1;
    return cell;
  }

  remove(cell: number): void {
    const cluster = this.#cluster[cell] as number;
    const bundle = this.#bundle[cell] as number;
    assert(this.find(cluster, bundle) === cell, "a cell that is removed is there");
    this.#unlinkFromCluster(cluster, cell);
    const next = this.#nextInBundle[cell] as number;
    const previous = this.#previousInBundle[cell] as number;
    if (previous === none) this.#firstOfBundle[bundle] = next;
    else this.#nextInBundle[previous] = next;
    if (next !== none) this.#previousInBundle[next] = previous;
    this.#clear(cell);
    this.#nextInCluster[cell] = this.#free;
    this.#free = cell;
    this.#size -= 1;
  }

  #unlinkFromCluster(cluster: number, cell: number): void {
    const next = this.#nextInCluster[cell] as number;
    let before = this.#firstOfCluster[cluster] ?? none;
    if (before === cell) {
      this.#firstOfCluster[cluster] = next;
      return;
    }
    while (this.#nextInCluster[before] !== cell) before = this.#nextInCluster[before] as number;
    this.#nextInCluster[before] = next;
  }

  *ofCluster(cluster: number): Generator<number, void, void> {
    let cell = this.#firstOfCluster[cluster] ?? none;
    while (cell !== none) {
      const next = this.#nextInCluster[cell] as number;
      yield cell;
      cell = next;
    }
  }

  *ofBundle(bundle: number): Generator<number, void, void> {
    let cell = this.#firstOfBundle[bundle] ?? none;
    while (cell !== none) {
      const next = this.#nextInBundle[cell] as number;
      yield cell;
      cell = next;
    }
  }

  read(cell: number): Cell {
    return {
      cluster: this.#cluster[cell] as number,
      bundle: this.#bundle[cell] as number,
      wanted: this.#wanted[cell] as number,
      released: this.#released[cell] as number,
      generation: this.#generation[cell] as number,
      applied: this.#applied[cell] as number,
      state: this.stateOf(cell),
      message: this.#problems.get(cell) ?? this.#waits.get(cell) ?? this.#messages.get(cell) ?? "",
    };
  }

  /**
   * What the newest generation is for the cell's cluster; a problem: it could not be told, and what runs stays; waits: it is told when
   * the cluster has told something. Answers whether what is said of it is other than before.
   */
  setWanted(
    cell: number,
    wanted: { readonly variant: number } | { readonly problem: string } | { readonly waits: string },
  ): boolean {
    // Most have neither: ten thousand are asked about at each look.
    if ("variant" in wanted && !this.#problems.has(cell) && !this.#waits.has(cell)) {
      this.#wanted[cell] = wanted.variant;
      return false;
    }
    const before = this.#problems.get(cell) ?? this.#waits.get(cell);
    keep(this.#problems, cell, "problem" in wanted ? wanted.problem : "");
    keep(this.#waits, cell, "waits" in wanted ? wanted.waits : "");
    if ("variant" in wanted) this.#wanted[cell] = wanted.variant;
    else if ("waits" in wanted) this.#wanted[cell] = none;
    return before !== (this.#problems.get(cell) ?? this.#waits.get(cell));
  }

  /** Allows a variant; `revision` is the one of the cluster's desired state that tells it. */
  release(cell: number, to: { variant: number; generation: number; revision: number }): void {
    this.#released[cell] = to.variant;
    this.#generation[cell] = to.generation;
    this.#changed[cell] = to.revision;
  }

  isReleased(cell: number, to: { readonly variant: number; readonly generation: number }): boolean {
    return this.#released[cell] === to.variant && this.#generation[cell] === to.generation;
  }

  changedAt(cell: number): number {
    return this.#changed[cell] as number;
  }

  /** Takes what an agent said; `applied` is the variant that its applied id names, 0 when it names none of ours. */
  report(cell: number, report: BundleReport, applied: number): void {
    this.#applied[cell] = applied;
    this.#reported[cell] = rankOf(report.state);
    const { desired, ready, notReady, modified, missing } = report.counts;
    this.#counts.set([desired, ready, notReady, modified, missing], cell * 5);
    keep(this.#messages, cell, report.message);
    keep(this.#resources, cell, report.resources.length === 0 ? "" : JSON.stringify(report.resources));
  }

  countsOf(cell: number): BundleReport["counts"] {
    const at = (column: number): number => this.#counts[cell * 5 + column] as number;
    return { desired: at(0), ready: at(1), notReady: at(2), modified: at(3), missing: at(4) };
  }

  resourcesOf(cell: number): BundleReport["resources"] {
    return JSON.parse(this.#resources.get(cell) ?? "[]") as BundleReport["resources"];
  }

  /** Upstream's rules, first one that holds (fleet.md 3.4); what could not be rendered for the cluster is ErrApplied. */
  stateOf(cell: number): BundleState {
    const reported = cellStates[this.#reported[cell] as number] as BundleState | "";
    if (this.#problems.has(cell)) return "ErrApplied";
    if (this.#released[cell] === none) return "Pending";
    if (this.#applied[cell] !== this.#released[cell])
      return reported === "ErrApplied" ? "ErrApplied" : "WaitApplied";
    if (reported === "NotReady") return "NotReady";
    if (this.#wanted[cell] !== this.#released[cell]) return "OutOfSync";
    return reported === "" || reported === "Pending" ? "WaitApplied" : reported;
  }

  #clear(cell: number): void {
    for (const column of [this.#cluster, this.#bundle, this.#wanted, this.#released, this.#generation])
      column[cell] = 0;
    this.#applied[cell] = 0;
    this.#changed[cell] = 0;
    this.#reported[cell] = 0;
    this.#counts.fill(0, cell * 5, cell * 5 + 5);
    this.#nextInBundle[cell] = none;
    this.#previousInBundle[cell] = none;
    for (const apart of [this.#problems, this.#waits, this.#messages, this.#resources]) apart.delete(cell);
  }

  #take(): number {
    if (this.#free !== none) {
      const cell = this.#free;
      this.#free = this.#nextInCluster[cell] as number;
      return cell;
    }
    if (this.#used === this.#cluster.length) this.#grow();
    this.#used += 1;
    return this.#used - 1;
  }

  #grow(): void {
    const cells = Math.ceil(this.#cluster.length * GROWTH);
    this.#cluster = grown(this.#cluster, cells);
    this.#bundle = grown(this.#bundle, cells);
    this.#wanted = grown(this.#wanted, cells);
    this.#released = grown(this.#released, cells);
    this.#generation = grown(this.#generation, cells);
    this.#applied = grown(this.#applied, cells);
    this.#nextInCluster = grown(this.#nextInCluster, cells);
    this.#nextInBundle = grown(this.#nextInBundle, cells);
    this.#previousInBundle = grown(this.#previousInBundle, cells);
    const [changed, reported, counts] = [this.#changed, this.#reported, this.#counts];
    (this.#changed = new Float64Array(cells)).set(changed);
    (this.#reported = new Uint8Array(cells)).set(reported);
    (this.#counts = new Uint16Array(cells * 5)).set(counts);
  }
}

function grown(column: Uint32Array<ArrayBuffer>, cells: number): Uint32Array<ArrayBuffer> {
  const next = new Uint32Array(cells);
  next.set(column);
  return next;
}

function keep(map: Map<number, string>, cell: number, text: string): void {
  if (text === "") map.delete(cell);
  else map.set(cell, text);
}
