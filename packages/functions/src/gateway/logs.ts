import type { Clock } from "@cortado/std/clock";
import { BoundedQueue } from "@cortado/std/bounded-queue";
import type { HttpAnswer, HttpRequest } from "@cortado/std/http";
import { StatusError } from "@cortado/std/status";
import { LOG_FOLLOW_MS, LOG_LINES_MAX, LOG_SINCE_MS } from "../limits.ts";
import type { FunctionLine, LogRing } from "../log-ring.ts";

type Source = {
  readonly name: string;
  readonly namespace: string;
  readonly ring: LogRing;
  readonly clock: Clock;
};

/** A function's output as JSON lines; with `follow=1` until the write timeout, as OpenFaaS' gateway does it. */
export function logsAnswer({ query, signal }: HttpRequest, source: Source): HttpAnswer {
  const { ring, clock } = source;
  const tail = Number(query.get("tail") ?? "-1");
  const since = query.get("since");
  const sinceMs = since === null || since === "" ? undefined : Date.parse(since);
  if (Number.isNaN(tail) || Number.isNaN(sinceMs))
    throw new StatusError("Invalid", "tail must be a number and since a time such as 2026-11-23T08:00:00Z");
  const recent =
    sinceMs === undefined && tail > 0 ? ring.tail(tail) : ring.since(sinceMs ?? clock.nowMs() - LOG_SINCE_MS);
  const first = (tail > 0 ? recent.slice(-tail) : recent).map((line) => toLine(line, source)).join("");
  const headers = { "content-type": "application/x-ndjson" };
  if (!/^(1|true)$/.test(query.get("follow") ?? "")) return { status: 200, headers, body: first };
  return { status: 200, headers, body: follow(first, source, signal) };
}

async function* follow(first: string, source: Source, signal: AbortSignal): AsyncIterable<string> {
  const queue = new BoundedQueue<FunctionLine>({ itemsMax: LOG_LINES_MAX, whenFull: "drop-oldest" });
  using _following = source.ring.follow((line) => void queue.offer(line));
  using _end = source.clock.after(LOG_FOLLOW_MS, () => queue.close());
  yield first;
  for (let line = await queue.take({ signal }); line !== undefined; line = await queue.take({ signal }))
    yield toLine(line, source);
}

function toLine({ atMs, instance, text }: FunctionLine, { name, namespace }: Source): string {
  return `${JSON.stringify({ name, namespace, instance, timestamp: new Date(atMs).toISOString(), text })}\n`;
}
