/**
 * When each cluster must be heard again: one number each, and one look at all of them in place of a timer each. A cluster that
 * was not heard since the hub began is dark until it is.
 */
export class Heard {
  #dueMs = new Float64Array(256);
  #lastMs = new Float64Array(256);
  #dark = new Uint8Array(256).fill(1);
  #size = 0;
  #darkCount = 0;

  get darkCount(): number {
    return this.#darkCount;
  }

  /**
   * Makes room for a cluster. `lastMs` is when it was last heard, as far as is known; `dueMs` until when that is believed: a hub
   * that was away for longer than the limit gives 0, so that nothing dark shows as Ready.
   */
  add(cluster: number, known: { readonly lastMs: number; readonly dueMs: number }): void {
    while (cluster >= this.#dueMs.length) this.#grow();
    while (this.#size <= cluster) {
      this.#darkCount += 1;
      this.#size += 1;
    }
    this.#lastMs[cluster] = known.lastMs;
    this.#dueMs[cluster] = known.dueMs;
    this.#set(cluster, known.dueMs === 0);
  }

  /** Answers true when it was dark until now. */
  hear(cluster: number, at: { readonly nowMs: number; readonly dueMs: number }): boolean {
    const wasDark = this.#dark[cluster] === 1;
    this.#lastMs[cluster] = at.nowMs;
    this.#dueMs[cluster] = at.dueMs;
    this.#set(cluster, false);
    return wasDark;
  }

  isHeard(cluster: number): boolean {
    return this.#dark[cluster] === 0;
  }

  /** Wall time in milliseconds; 0: never. */
  lastMs(cluster: number): number {
    return this.#lastMs[cluster] ?? 0;
  }

  /** Clusters that have gone dark since the last look. */
  look(nowMs: number): readonly number[] {
    const gone: number[] = [];
    for (let cluster = 0; cluster < this.#size; cluster += 1) {
      if (this.#dark[cluster] === 1 || (this.#dueMs[cluster] as number) > nowMs) continue;
      this.#set(cluster, true);
      gone.push(cluster);
    }
    return gone;
  }

  #set(cluster: number, isDark: boolean): void {
    const was = this.#dark[cluster] === 1;
    this.#dark[cluster] = isDark ? 1 : 0;
    if (was !== isDark) this.#darkCount += isDark ? 1 : -1;
  }

  #grow(): void {
    const size = this.#dueMs.length * 2;
    const [due, last, dark] = [this.#dueMs, this.#lastMs, this.#dark];
    (this.#dueMs = new Float64Array(size)).set(due);
    (this.#lastMs = new Float64Array(size)).set(last);
    (this.#dark = new Uint8Array(size).fill(1)).set(dark);
  }
}
