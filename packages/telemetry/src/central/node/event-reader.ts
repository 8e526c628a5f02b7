import { DatabaseSync, type StatementSync } from "node:sqlite";
import { CENTRAL_SLICE_EVENTS } from "../../limits.ts";
import type { CentralEvent, ClusterName } from "../event-store.ts";

export type EventFilter = {
  /** Absent: all. */
  readonly kinds?: readonly string[];
  /** A name stands for all stores that are called so. */
  readonly store?: { readonly namespace?: string; readonly name: string };
  /** Sequences of the store's journal after this one. */
  readonly afterSequence?: number;
  /** Times of the events, milliseconds since 1970: from the first on, before the second. */
  readonly sinceMs?: number;
  readonly untilMs?: number;
};

export type Slice = {
  readonly events: readonly CentralEvent[];
  /** Everything up to here was looked at. */
  readonly through: number;
};

/** Positions that one look covers: what does not fit the filter costs time too, and the event loop waits meanwhile. */
const LOOK_POSITIONS = 5_000;

type Window = { readonly from: number; readonly to: number };

/** Reads beside the writer; each call is short, whatever the filter. */
export class EventReader implements Disposable {
  readonly #sqlite: DatabaseSync;
  readonly #statements: Map<string, StatementSync> = new Map();

  constructor(path: string) {
    this.#sqlite = new DatabaseSync(path, { readOnly: true });
  }

  [Symbol.dispose](): void {
    this.#sqlite.close();
  }

  /** The position of the newest event; 0: none. */
  get newest(): number {
    return Number(this.#prepare("SELECT max(position) AS newest FROM events").get()?.["newest"] ?? 0);
  }

  cursor(name: string): number | undefined {
    const row = this.#prepare("SELECT position FROM cursors WHERE name = ?").get(name);
    return row === undefined ? undefined : Number(row["position"]);
  }

  /** Of each kind, how many there are. */
  kinds(): readonly string[] {
    const found: string[] = [];
    const next = this.#prepare("SELECT min(kind) AS kind FROM events WHERE kind > ?");
    for (let kind = ""; ;) {
      const row = next.get(kind)?.["kind"];
      if (typeof row !== "string") return found;
      found.push((kind = row));
    }
  }

  /** The next events that fit, in the order of arrival. Empty with `through` at `to`: there are no more. */
  slice(filter: EventFilter, { from, to }: Window): Slice {
    const kinds = filter.kinds ?? this.kinds();
    const stores = filter.store === undefined ? [undefined] : this.#storesOf(filter.store);
    const lanes = kinds.flatMap((kind) => stores.map((store) => ({ kind, store })));
    const first = Math.min(...lanes.map((lane) => this.#firstAfter(lane, from)));
    if (!(first <= to)) return { events: [], through: to };
    const end = Math.min(to, first + LOOK_POSITIONS);
    const found = lanes.flatMap((lane) => this.#look(filter, lane, { from: first - 1, to: end }));
    const events = found
      .toSorted((one, other) => one.position - other.position)
      .slice(0, CENTRAL_SLICE_EVENTS);
    const isCut = found.length > events.length || events.length === CENTRAL_SLICE_EVENTS;
    return { events, through: isCut ? (events.at(-1)?.position ?? end) : end };
  }

  #storesOf({ namespace, name }: { readonly namespace?: string; readonly name: string }): readonly number[] {
    const rows = this.#prepare("SELECT number, namespace FROM stores WHERE name = ?").all(name);
    return rows
      .filter((row) => namespace === undefined || row["namespace"] === namespace)
      .map((row) => Number(row["number"]));
  }

  #firstAfter({ kind, store }: Lane, from: number): number {
    const where = store === undefined ? "" : "store = ? AND";
    const row = this.#prepare(
      `SELECT min(position) AS first FROM events WHERE ${where} kind = ? AND position > ?`,
    ).get(...(store === undefined ? [] : [store]), kind, from);
    return typeof row?.["first"] === "number" ? row["first"] : Number.POSITIVE_INFINITY;
  }

  #look(filter: EventFilter, { kind, store }: Lane, { from, to }: Window): readonly CentralEvent[] {
    const { afterSequence, sinceMs, untilMs } = filter;
    const terms = [
      { term: "e.store = ?", value: store },
      { term: "e.kind = ?", value: kind },
      { term: "e.position > ?", value: from },
      { term: "e.position <= ?", value: to },
      { term: "e.sequence > ?", value: afterSequence },
      { term: "e.at_ms >= ?", value: sinceMs },
      { term: "e.at_ms < ?", value: untilMs },
    ].filter(({ value }) => value !== undefined);
    const rows = this.#prepare(
      `SELECT e.position, e.id, e.kind, e.sequence, e.at, e.payload, s.namespace, s.name FROM events e JOIN stores s ON s.number = e.store WHERE ${terms.map(({ term }) => term).join(" AND ")} ORDER BY e.position LIMIT ${CENTRAL_SLICE_EVENTS}`,
    ).all(...terms.map(({ value }) => value as string | number));
    return rows.map(({ namespace, name, ...row }) => ({
      ...(row as unknown as Omit<CentralEvent, "store">),
      store: { namespace, name } as ClusterName,
    }));
  }

  #prepare(text: string): StatementSync {
    const known = this.#statements.get(text) ?? this.#sqlite.prepare(text);
    this.#statements.set(text, known);
    return known;
  }
}

type Lane = { readonly kind: string; readonly store: number | undefined };
