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

const BLOCK_BITS = 11;
const BLOCK_CELLS: number = 1 << BLOCK_BITS;
const none = 0;

/** Columns of so many cells. A table that grows by them copies nothing and leaves no smaller one behind. */
class Block {
  readonly cluster = new Uint32Array(BLOCK_CELLS);
  readonly bundle = new Uint32Array(BLOCK_CELLS);
  readonly wanted = new Uint32Array(BLOCK_CELLS);
  readonly released = new Uint32Array(BLOCK_CELLS);
  readonly generation = new Uint32Array(BLOCK_CELLS);
  readonly applied = new Uint32Array(BLOCK_CELLS);
  readonly changed = new Float64Array(BLOCK_CELLS);
  readonly reported = new Uint8Array(BLOCK_CELLS);
  readonly counts = new Uint16Array(BLOCK_CELLS * 5);
  readonly nextInCluster = new Uint32Array(BLOCK_CELLS);
  readonly nextInBundle = new Uint32Array(BLOCK_CELLS);
  readonly previousInBundle = new Uint32Array(BLOCK_CELLS);
}

/** Where a cell lies in its block. */
function placeOf(cell: number): number {
  return cell & (BLOCK_CELLS - 1);
}

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
  readonly #blocks: Block[] = [new Block()];
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
    while (cell !== none) {
      const [block, at] = [this.#blockOf(cell), placeOf(cell)];
      if (block.bundle[at] === bundle) return cell;
      cell = block.nextInCluster[at] as number;
    }
    return none;
  }

  /** The cell of a cluster and a bundle, made when there is none. */
  add(cluster: number, bundle: number): number {
    const known = this.find(cluster, bundle);
    if (known !== none) return known;
    const cell = this.#take();
    const [block, at] = [this.#blockOf(cell), placeOf(cell)];
    block.cluster[at] = cluster;
    block.bundle[at] = bundle;
    block.nextInCluster[at] = this.#firstOfCluster[cluster] ?? none;
    this.#firstOfCluster[cluster] = cell;
    const next = this.#firstOfBundle[bundle] ?? none;
    block.nextInBundle[at] = next;
    if (next !== none) this.#blockOf(next).previousInBundle[placeOf(next)] = cell;
    this.#firstOfBundle[bundle] = cell;
    this.#size += 1;
    return cell;
  }

  remove(cell: number): void {
    const [block, at] = [this.#blockOf(cell), placeOf(cell)];
    const cluster = block.cluster[at] as number;
    const bundle = block.bundle[at] as number;
    assert(this.find(cluster, bundle) === cell, "a cell that is removed is there");
    this.#unlinkFromCluster(cluster, cell);
    const next = block.nextInBundle[at] as number;
    const previous = block.previousInBundle[at] as number;
    if (previous === none) this.#firstOfBundle[bundle] = next;
    else this.#blockOf(previous).nextInBundle[placeOf(previous)] = next;
    if (next !== none) this.#blockOf(next).previousInBundle[placeOf(next)] = previous;
    this.#clear(cell);
    block.nextInCluster[at] = this.#free;
    this.#free = cell;
    this.#size -= 1;
  }

  #unlinkFromCluster(cluster: number, cell: number): void {
    const next = this.#nextOf(cell);
    let before = this.#firstOfCluster[cluster] ?? none;
    if (before === cell) {
      this.#firstOfCluster[cluster] = next;
      return;
    }
    for (let after = this.#nextOf(before); after !== cell; after = this.#nextOf(before)) before = after;
    this.#blockOf(before).nextInCluster[placeOf(before)] = next;
  }

  /** The next cell of the same cluster. */
  #nextOf(cell: number): number {
    return this.#blockOf(cell).nextInCluster[placeOf(cell)] as number;
  }

  #blockOf(cell: number): Block {
    return this.#blocks[cell >>> BLOCK_BITS] as Block;
  }

  *ofCluster(cluster: number): Generator<number, void, void> {
    let cell = this.#firstOfCluster[cluster] ?? none;
    while (cell !== none) {
      const next = this.#nextOf(cell);
      yield cell;
      cell = next;
    }
  }

  *ofBundle(bundle: number): Generator<number, void, void> {
    let cell = this.#firstOfBundle[bundle] ?? none;
    while (cell !== none) {
      const next = this.#blockOf(cell).nextInBundle[placeOf(cell)] as number;
      yield cell;
      cell = next;
    }
  }

  read(cell: number): Cell {
    const [block, at] = [this.#blockOf(cell), placeOf(cell)];
    return {
      cluster: block.cluster[at] as number,
      bundle: block.bundle[at] as number,
      wanted: block.wanted[at] as number,
      released: block.released[at] as number,
      generation: block.generation[at] as number,
      applied: block.applied[at] as number,
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
    const column = this.#blockOf(cell).wanted;
    // Most have neither: ten thousand are asked about at each look.
    if ("variant" in wanted && !this.#problems.has(cell) && !this.#waits.has(cell)) {
      column[placeOf(cell)] = wanted.variant;
      return false;
    }
    const before = this.#problems.get(cell) ?? this.#waits.get(cell);
    keep(this.#problems, cell, "problem" in wanted ? wanted.problem : "");
    keep(this.#waits, cell, "waits" in wanted ? wanted.waits : "");
    if ("variant" in wanted) column[placeOf(cell)] = wanted.variant;
    else if ("waits" in wanted) column[placeOf(cell)] = none;
    return before !== (this.#problems.get(cell) ?? this.#waits.get(cell));
  }

  /** Allows a variant; `revision` is the one of the cluster's desired state that tells it. */
  release(cell: number, to: { variant: number; generation: number; revision: number }): void {
    const [block, at] = [this.#blockOf(cell), placeOf(cell)];
    block.released[at] = to.variant;
    block.generation[at] = to.generation;
    block.changed[at] = to.revision;
  }

  isReleased(cell: number, to: { readonly variant: number; readonly generation: number }): boolean {
    const [block, at] = [this.#blockOf(cell), placeOf(cell)];
    return block.released[at] === to.variant && block.generation[at] === to.generation;
  }

  changedAt(cell: number): number {
    return this.#blockOf(cell).changed[placeOf(cell)] as number;
  }

  /** Takes what an agent said; `applied` is the variant that its applied id names, 0 when it names none of ours. */
  report(cell: number, report: BundleReport, applied: number): void {
    const [block, at] = [this.#blockOf(cell), placeOf(cell)];
    block.applied[at] = applied;
    block.reported[at] = rankOf(report.state);
    const { desired, ready, notReady, modified, missing } = report.counts;
    block.counts.set([desired, ready, notReady, modified, missing], at * 5);
    keep(this.#messages, cell, report.message);
    keep(this.#resources, cell, report.resources.length === 0 ? "" : JSON.stringify(report.resources));
  }

  countsOf(cell: number): BundleReport["counts"] {
    const { counts } = this.#blockOf(cell);
    const of = (column: number): number => counts[placeOf(cell) * 5 + column] as number;
    return { desired: of(0), ready: of(1), notReady: of(2), modified: of(3), missing: of(4) };
  }

  resourcesOf(cell: number): BundleReport["resources"] {
    return JSON.parse(this.#resources.get(cell) ?? "[]") as BundleReport["resources"];
  }

  /** Upstream's rules, first one that holds (fleet.md 3.4); what could not be rendered for the cluster is ErrApplied. */
  stateOf(cell: number): BundleState {
    const [block, at] = [this.#blockOf(cell), placeOf(cell)];
    const reported = cellStates[block.reported[at] as number] as BundleState | "";
    const released = block.released[at] as number;
    if (this.#problems.has(cell)) return "ErrApplied";
    if (released === none) return "Pending";
    if (block.applied[at] !== released) return reported === "ErrApplied" ? "ErrApplied" : "WaitApplied";
    if (reported === "NotReady") return "NotReady";
    if (block.wanted[at] !== released) return "OutOfSync";
    return reported === "" || reported === "Pending" ? "WaitApplied" : reported;
  }

  #clear(cell: number): void {
    const [block, at] = [this.#blockOf(cell), placeOf(cell)];
    for (const column of [block.cluster, block.bundle, block.wanted, block.released, block.generation])
      column[at] = 0;
    block.applied[at] = 0;
    block.changed[at] = 0;
    block.reported[at] = 0;
    block.counts.fill(0, at * 5, at * 5 + 5);
    block.nextInBundle[at] = none;
    block.previousInBundle[at] = none;
    for (const apart of [this.#problems, this.#waits, this.#messages, this.#resources]) apart.delete(cell);
  }

  #take(): number {
    if (this.#free !== none) {
      const cell = this.#free;
      this.#free = this.#nextOf(cell);
      return cell;
    }
    if (this.#used === this.#blocks.length * BLOCK_CELLS) this.#blocks.push(new Block());
    this.#used += 1;
    return this.#used - 1;
  }
}

function keep(map: Map<number, string>, cell: number, text: string): void {
  if (text === "") map.delete(cell);
  else map.set(cell, text);
}
