import type { UserProperty } from "@cortado/wire/mqtt";
import { ownMark, type Mark } from "../bridge/mark.ts";
import { HEARD_BRIDGES_MAX, HEARD_SEQUENCES_MAX } from "../limits.ts";
import { Spans, type Span } from "./spans.ts";

/** What is kept of a bridge that publishes here. */
export type HeardRecord = {
  readonly id: string;
  /** Who it is: its marks count from nobody else. Absent for what only messages tell. */
  readonly user?: string;
  readonly through?: number;
  readonly spans?: readonly Span[];
  readonly seen?: readonly number[];
};

/** `foreign`: the mark is somebody else's, passed on; it says nothing of this publish. */
export type Judgement =
  | { readonly kind: "unmarked" | "foreign" }
  | { readonly kind: "again" }
  | { readonly kind: "new"; readonly mark: Mark; readonly isFirst: boolean };

export const unmarked: Judgement = { kind: "unmarked" };

type Heard = {
  user: string | undefined;
  through: number;
  readonly spans: Spans;
  /** Beyond `through` and outside the stretches. */
  readonly seen: Set<number>;
  /** Admitted and not on disk yet. */
  readonly pending: Set<number>;
};

/** Which messages bridges have brought, so that each counts once however often it is sent: over reconnects and restarts of both ends. */
export class HeardBridges {
  /** In the order in which they were last heard. */
  readonly #byId: Map<string, Heard> = new Map();

  judge(userProperties: readonly UserProperty[] | undefined, user: string): Judgement {
    const mark = ownMark(userProperties);
    if (mark === undefined) return unmarked;
    const heard = this.#byId.get(mark.id);
    if (heard === undefined) return { kind: "new", mark, isFirst: true };
    // One of nobody is from the time when everybody was let in.
    const isOwned = heard.user !== undefined && heard.user !== "";
    if (isOwned && heard.user !== user) return { kind: "foreign" };
    const { sequence } = mark;
    const isKnown = isSeen(heard, sequence) || heard.pending.has(sequence);
    return isKnown ? { kind: "again" } : { kind: "new", mark, isFirst: heard.user !== user };
  }

  admitted({ id, sequence }: Mark, user: string): void {
    const heard = this.#get(id);
    if (heard.user === undefined || heard.user === "") heard.user = user;
    heard.pending.add(sequence);
  }

  /** A message with this mark is on disk. */
  note({ id, sequence, through, spans }: Mark): void {
    const heard = this.#get(id);
    heard.pending.delete(sequence);
    if (!isSeen(heard, sequence)) heard.seen.add(sequence);
    const before = heard.through;
    heard.through = Math.max(heard.through, through);
    for (const span of spans) if (span.to > heard.through) heard.spans.add(span);
    heard.through = heard.spans.absorb(heard.through);
    if (heard.through > before || spans.length > 0)
      for (const one of heard.seen) if (one <= heard.through || heard.spans.has(one)) heard.seen.delete(one);
    // A message twice is the lesser evil than one taken for another.
    for (const one of heard.seen) {
      if (heard.seen.size <= HEARD_SEQUENCES_MAX) break;
      heard.seen.delete(one);
    }
  }

  /** What a record tells. */
  apply({ id, user, through, spans, seen }: HeardRecord): void {
    const heard = this.#get(id);
    if (user !== undefined) heard.user = user;
    heard.through = Math.max(heard.through, through ?? 0);
    for (const span of spans ?? []) heard.spans.add(span);
    for (const sequence of seen ?? []) heard.seen.add(sequence);
  }

  *records(): Iterable<HeardRecord> {
    for (const [id, { user, through, spans, seen }] of this.#byId)
      yield { id, ...(user === undefined ? {} : { user }), through, spans: spans.list, seen: [...seen] };
  }

  #get(id: string): Heard {
    let heard = this.#byId.get(id);
    if (heard === undefined) {
      heard = { user: undefined, through: 0, spans: new Spans(), seen: new Set(), pending: new Set() };
      const [oldest] = this.#byId.keys();
      if (this.#byId.size >= HEARD_BRIDGES_MAX && oldest !== undefined) this.#byId.delete(oldest);
    } else this.#byId.delete(id);
    this.#byId.set(id, heard);
    return heard;
  }
}

function isSeen({ through, spans, seen }: Heard, sequence: number): boolean {
  return sequence <= through || seen.has(sequence) || (spans.size > 0 && spans.has(sequence));
}
