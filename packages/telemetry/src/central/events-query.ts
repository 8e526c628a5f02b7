import type { HttpAnswer } from "@cortado/std/http";
import { StatusError } from "@cortado/std/status";
import { CENTRAL_PAGE_MAX } from "../limits.ts";
import type { Central, CentralEvent, EventFilter } from "./central.ts";
import { knownKinds } from "./retention.ts";

export type EventsQuery = {
  readonly filter: EventFilter;
  /** Absent: all. */
  readonly limit?: number;
  /** Position to go on after. */
  readonly from: number;
};

const parameters = ["store", "kind", "after", "since", "until", "limit", "continue"] as const;
type Parameter = (typeof parameters)[number];

/** Reads `?store=S&kind=order&after=N&since=T&until=T&limit=N&continue=P`. @throws StatusError "BadRequest" that names the parameter */
export function readEventsQuery(query: URLSearchParams): EventsQuery {
  const known: readonly string[] = parameters;
  for (const name of query.keys())
    if (!known.includes(name)) throw bad(name, `is not known; there are ${parameters.join(", ")}`);
  const one = (name: Parameter): string | undefined => {
    const all = query.getAll(name);
    if (all.length > 1) throw bad(name, "is given more than once");
    return all[0];
  };
  const kinds = query.getAll("kind").flatMap((text) => text.split(","));
  const wrong = kinds.find((kind) => !knownKinds.includes(kind));
  if (wrong !== undefined)
    throw bad("kind", `${JSON.stringify(wrong)} is unknown; ask for ${knownKinds.join(", ")}`);
  const store = one("store");
  const [after, since, until] = [one("after"), one("since"), one("until")];
  const [limit, from] = [one("limit"), one("continue")];
  return {
    filter: {
      ...(kinds.length === 0 ? {} : { kinds: [...new Set(kinds)] }),
      ...(store === undefined ? {} : { store: readStore(store) }),
      ...(after === undefined ? {} : { afterSequence: wholeNumber("after", after) }),
      ...(since === undefined ? {} : { sinceMs: time("since", since) }),
      ...(until === undefined ? {} : { untilMs: time("until", until) }),
    },
    ...(limit === undefined ? {} : { limit: pageSize(limit) }),
    from: from === undefined ? 0 : wholeNumber("continue", from),
  };
}

/**
 * JSON lines of the events that fit, in the order in which the hub had them: `{ id, store, sequence, at, … }`. A page that is not
 * the last one has a header `cortado-continue`, to be given back as `continue`.
 */
export async function answerEvents(
  central: Central,
  { filter, limit, from }: EventsQuery,
): Promise<HttpAnswer> {
  const headers = { "content-type": "application/x-ndjson", "cache-control": "no-store" };
  const withKind = filter.kinds?.length !== 1;
  if (limit === undefined)
    return { status: 200, headers, body: lines(central.read(filter, from), { withKind }) };
  // Where the page ends goes into its head, so that is found first; what it holds is read as it is sent.
  let [count, last, isMore] = [0, from, false];
  for await (const events of central.read(filter, from)) {
    const fitting = events.slice(0, limit - count);
    count += fitting.length;
    last = fitting.at(-1)?.position ?? last;
    isMore = fitting.length < events.length;
    if (isMore) break;
  }
  const pages = isMore ? { "cortado-continue": String(last) } : {};
  return {
    status: 200,
    headers: { ...headers, ...pages },
    body: lines(central.read(filter, from), { withKind, last: count === 0 ? from : last }),
  };
}

type LineOptions = { readonly withKind: boolean; readonly last?: number };

async function* lines(
  slices: AsyncIterable<readonly CentralEvent[]>,
  { withKind, last = Number.POSITIVE_INFINITY }: LineOptions,
): AsyncGenerator<string, void, void> {
  for await (const events of slices) {
    const text = events
      .filter(({ position }) => position <= last)
      .map((event) => `${JSON.stringify(toLine(event, withKind))}\n`)
      .join("");
    if (text !== "") yield text;
    if ((events.at(-1)?.position ?? 0) >= last) return;
  }
}

/** An event as its line. The fields of an order are a contract: these and no others. */
export function toLine(event: CentralEvent, withKind: boolean): Readonly<Record<string, unknown>> {
  const { id, kind, store, sequence, at } = event;
  const payload = JSON.parse(event.payload) as Readonly<Record<string, unknown>>;
  const envelope = { id, store: store.name, sequence, at, ...(withKind ? { kind } : {}) };
  const { order, amount, state } = payload;
  return kind === "order" ? { ...envelope, order, amount, state } : { ...payload, ...envelope };
}

function readStore(text: string): NonNullable<EventFilter["store"]> {
  const [first = "", second, ...rest] = text.split("/");
  if (first === "" || second === "" || rest.length > 0)
    throw bad("store", `${JSON.stringify(text)} is neither a NAME nor NAMESPACE/NAME`);
  return second === undefined ? { name: first } : { namespace: first, name: second };
}

function wholeNumber(name: Parameter, text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw bad(name, `${JSON.stringify(text)} is not a whole number`);
}

function pageSize(text: string): number {
  const size = wholeNumber("limit", text);
  if (size >= 1 && size <= CENTRAL_PAGE_MAX) return size;
  throw bad("limit", `${size} is not from 1 to ${CENTRAL_PAGE_MAX}; leave it out to get everything`);
}

function time(name: Parameter, text: string): number {
  const ms = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2}))?$/.test(text)
    ? Date.parse(text)
    : NaN;
  if (!Number.isNaN(ms)) return ms;
  throw bad(name, `${JSON.stringify(text)} is not a time such as 2026-11-23T08:00:00Z`);
}

function bad(name: string, what: string): StatusError {
  return new StatusError("BadRequest", `parameter ${name}: ${what}`, {
    details: { causes: [{ reason: "FieldValueInvalid", field: name, message: what }] },
  });
}
