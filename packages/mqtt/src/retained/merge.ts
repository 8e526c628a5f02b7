import type { Entry, Run } from "./run.ts";

export type Merging = {
  readonly runs: readonly Run[];
  /** Nothing older lies below these runs: what was cleared needs no place any more. */
  readonly isWhole: boolean;
  /** Broker time, by which messages expire. */
  readonly nowMs: number;
  /** An entry that says that a topic is cleared, in place of an expired message. */
  readonly clearedOf: (entry: Entry) => Entry;
  readonly signal: AbortSignal;
};

/** The newest entry of each topic in the order of topics, a block of each run in memory at a time. */
export async function* mergeRuns({
  runs,
  isWhole,
  nowMs,
  clearedOf,
  signal,
}: Merging): AsyncGenerator<Entry> {
  const readers = runs.map((run) => new RunReader(run));
  for (;;) {
    let newest: Entry | undefined;
    for (const reader of readers) {
      const entry = reader.current ?? (await reader.fill());
      if (entry === undefined) continue;
      if (newest === undefined || entry.key < newest.key) newest = entry;
      else if (entry.key === newest.key && entry.message.sequence >= newest.message.sequence) newest = entry;
    }
    signal.throwIfAborted();
    if (newest === undefined) return;
    for (const reader of readers) if (reader.current?.key === newest.key) reader.next();
    const { payload, expiresAtMs } = newest.message;
    const isExpired = expiresAtMs !== undefined && expiresAtMs <= nowMs;
    if (payload.byteLength > 0 && !isExpired) yield newest;
    else if (!isWhole) yield isExpired ? clearedOf(newest) : newest;
  }
}

class RunReader {
  readonly #run: Run;
  #block = 0;
  #entries: readonly Entry[] = [];
  #at = 0;

  constructor(run: Run) {
    this.#run = run;
  }

  get current(): Entry | undefined {
    return this.#entries[this.#at];
  }

  next(): void {
    this.#at += 1;
  }

  async fill(): Promise<Entry | undefined> {
    while (this.current === undefined && this.#block < this.#run.blocks) {
      this.#entries = await this.#run.read(this.#block);
      this.#block += 1;
      this.#at = 0;
    }
    return this.current;
  }
}
