import type { FilterRange } from "./order.ts";
import type { Entry, Run } from "./run.ts";

/** The entries of a run that a filter matches, behind a key, a block at a time. */
export class RunScan {
  readonly #run: Run;
  readonly #range: FilterRange;
  #after: string | undefined;
  #block: number;
  #entries: readonly Entry[] = [];
  #entriesBlock = 0;
  #at = 0;
  /** All up to here is among the entries. */
  #readThrough = "";

  constructor(
    run: Run,
    { range, after }: { readonly range: FilterRange; readonly after: string | undefined },
  ) {
    this.#run = run;
    this.#range = range;
    this.#after = after;
    this.#block = run.blockOf(after === undefined || after < range.first ? range.first : after);
  }

  /** Where the merging of several may go to; undefined when this run has nothing more. */
  get readThrough(): string | undefined {
    return this.#at < this.#entries.length ? this.#readThrough : undefined;
  }

  /** Reads on until there is something that matches, or the end. */
  async fill(): Promise<void> {
    const run = this.#run;
    const range = this.#range;
    while (this.#at >= this.#entries.length && this.#block < run.blocks) {
      const block = this.#block;
      this.#block += 1;
      const first = run.firstKey(block);
      if (range.isBefore(first)) {
        this.#block = run.blocks;
        return;
      }
      if (!range.mayMatchWithin(first, run.lastKey(block))) continue;
      const entries = await run.read(block);
      this.#entriesBlock = block;
      this.#readThrough = entries.at(-1)?.key ?? "";
      this.#entries = entries.filter(
        ({ key }) => (this.#after === undefined || key > this.#after) && range.matches(key),
      );
      this.#at = 0;
    }
  }

  /** Lets go of what was read and not taken; all up to `after` was. What was looked through in vain is not looked through again. */
  rest(after: string | undefined): void {
    if (this.#at < this.#entries.length) this.#block = this.#entriesBlock;
    this.#after = after;
    this.#entries = [];
    this.#at = 0;
  }

  /** The entries up to a key, which then are done with. */
  *takeThrough(end: string | undefined): Iterable<Entry> {
    for (;;) {
      const entry = this.#entries[this.#at];
      if (entry === undefined || (end !== undefined && entry.key > end)) return;
      this.#at += 1;
      yield entry;
    }
  }
}
