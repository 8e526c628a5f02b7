export type Span = { readonly from: number; readonly to: number };

const none: readonly Span[] = [];

/** Stretches of sequences, in order, none touching the next. Few: each is a piece of a queue that was worked off out of turn. */
export class Spans {
  #spans: readonly Span[] = none;

  constructor(spans: readonly Span[] = []) {
    for (const span of spans) this.add(span);
  }

  get size(): number {
    return this.#spans.length;
  }

  get list(): readonly Span[] {
    return this.#spans;
  }

  has(sequence: number): boolean {
    return this.#spans.some(({ from, to }) => from <= sequence && sequence <= to);
  }

  /** Adds a stretch; those that it touches become one with it. */
  add({ from, to }: Span): void {
    if (to < from) return;
    const apart = this.#spans.filter((one) => one.to < from - 1 || one.from > to + 1);
    const touching = this.#spans.filter((one) => one.to >= from - 1 && one.from <= to + 1);
    const joined = {
      from: Math.min(from, ...touching.map((one) => one.from)),
      to: Math.max(to, ...touching.map((one) => one.to)),
    };
    this.#spans = [...apart, joined].sort((one, other) => one.from - other.from);
  }

  /** Takes away what lies up to a sequence; answers how far that sequence reaches now that the stretch behind it is known. */
  absorb(through: number): number {
    let reached = through;
    let behind = 0;
    for (const { from, to } of this.#spans) {
      if (from > reached + 1) break;
      reached = Math.max(reached, to);
      behind += 1;
    }
    if (behind > 0) this.#spans = this.#spans.slice(behind);
    return reached;
  }

  clear(): void {
    this.#spans = none;
  }
}
