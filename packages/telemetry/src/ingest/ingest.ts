import {
  errorAnswer,
  jsonAnswer,
  parseJson,
  type HttpAnswer,
  type HttpHandler,
  type HttpRequest,
} from "@cortado/std/http";
import { StatusError } from "@cortado/std/status";
import { cardField } from "../card-data.ts";
import { isEventKind, type EventKind, type NewEvent, type TelemetryJournal } from "../journal/journal.ts";
import {
  EVENT_BYTES_MAX,
  EVENT_DEPTH_MAX,
  EVENT_ID_CHARACTERS_MAX,
  INGEST_BYTES_MAX,
  INGEST_EVENTS_MAX,
  READ_EVENTS,
  READ_EVENTS_MAX,
} from "../limits.ts";

export const EVENTS_PATH = "/telemetry/v1/events";

/**
 * POST takes events (a JSON array, one object, or JSON lines) and answers when they would survive a power cut; GET gives those
 * after a sequence as JSON lines.
 */
export function newEventsHandler(journal: TelemetryJournal): HttpHandler {
  return async (request) => {
    try {
      if (request.method === "POST") return await ingest(journal, request);
      if (request.method === "GET" || request.method === "HEAD") return await give(journal, request);
      throw new StatusError("MethodNotAllowed", `${EVENTS_PATH} takes GET and POST`);
    } catch (error) {
      return errorAnswer(error);
    }
  };
}

async function ingest(journal: TelemetryJournal, request: HttpRequest): Promise<HttpAnswer> {
  const events = parseEvents(await request.body({ bytesMax: INGEST_BYTES_MAX }));
  const { appended, known, dropped } = await journal.append(events);
  return jsonAnswer(200, { appended: appended.length, known: known.length, dropped: dropped.length });
}

async function give(journal: TelemetryJournal, { query }: HttpRequest): Promise<HttpAnswer> {
  const kinds = query.getAll("kind").flatMap((text) => text.split(","));
  for (const kind of kinds)
    if (!isEventKind(kind))
      throw new StatusError(
        "BadRequest",
        `kind ${JSON.stringify(kind)} is unknown; ask for order, payment, alert, machine, event, metric or log`,
      );
  const after = wholeNumber("after", query.get("after") ?? "0");
  const limit = Math.min(wholeNumber("limit", query.get("limit") ?? String(READ_EVENTS)), READ_EVENTS_MAX);
  const events =
    limit === 0
      ? []
      : await journal.read({ after, limit, ...(kinds.length === 0 ? {} : { kinds: kinds as EventKind[] }) });
  const body = events.map((event) => `${JSON.stringify(event)}\n`).join("");
  return { status: 200, headers: { "content-type": "application/x-ndjson" }, body };
}

function wholeNumber(name: string, text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new StatusError("BadRequest", `${name}=${JSON.stringify(text)} is not a whole number`);
}

/** Reads events from a body. @throws StatusError "BadRequest" or "Invalid" that names the event and the field */
export function parseEvents(bytes: Uint8Array): readonly NewEvent[] {
  const listed = parseList(bytes);
  if (listed.length > INGEST_EVENTS_MAX)
    throw new StatusError(
      "RequestEntityTooLarge",
      `${listed.length} events came at once; send at most ${INGEST_EVENTS_MAX}`,
    );
  return listed.map((value, index) => parseEvent(value, `event ${index}`));
}

function parseList(bytes: Uint8Array): readonly unknown[] {
  const text = new TextDecoder().decode(bytes).trim();
  if (text.startsWith("[")) return parseJson(bytes) as readonly unknown[];
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  // One object may be written over many lines; JSON lines hold one each.
  if (lines.length > 1 && !isWhole(lines[0] ?? "")) return [parseJson(bytes)];
  return lines.map((line) => parseJson(new TextEncoder().encode(line)));
}

function isWhole(line: string): boolean {
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}

function parseEvent(value: unknown, where: string): NewEvent {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new StatusError("BadRequest", `${where} is not an object`);
  const { id, kind, at, sequence: _sequence, store: _store, ...payload } = value as Record<string, unknown>;
  if (typeof id !== "string" || id === "" || id.length > EVENT_ID_CHARACTERS_MAX)
    throw invalid(where, "id", `must be a text of 1 to ${EVENT_ID_CHARACTERS_MAX} characters`);
  if (typeof kind !== "string" || !isEventKind(kind))
    throw invalid(where, "kind", "must be order, payment, alert, machine, event, metric or log");
  if (typeof at !== "string" || Number.isNaN(Date.parse(at)))
    throw invalid(where, "at", "must be a time such as 2026-11-23T08:00:00Z");
  refuseCardData(payload, { where, path: "", depth: 0 });
  if (JSON.stringify(payload).length > EVENT_BYTES_MAX)
    throw new StatusError("RequestEntityTooLarge", `${where} (${id}) is over ${EVENT_BYTES_MAX} bytes`);
  return { id, kind, at, payload };
}

type Place = { readonly where: string; readonly path: string; readonly depth: number };

function refuseCardData(value: unknown, { where, path, depth }: Place): void {
  if (depth > EVENT_DEPTH_MAX) throw invalid(where, path, `is nested deeper than ${EVENT_DEPTH_MAX} levels`);
  if (typeof value === "string" && value.startsWith("tok_"))
    throw invalid(where, path, "is a payment token; tokens go to the acquirer and nowhere else");
  if (typeof value !== "object" || value === null) return;
  for (const [name, inner] of Object.entries(value)) {
    const inside = path === "" ? name : `${path}.${name}`;
    if (cardField.test(name))
      throw invalid(where, inside, "may not be sent: card data and tokens never enter the journal");
    refuseCardData(inner, { where, path: inside, depth: depth + 1 });
  }
}

function invalid(where: string, field: string, what: string): StatusError {
  return new StatusError("Invalid", `${where}: ${field} ${what}`, {
    details: { causes: [{ reason: "FieldValueInvalid", field, message: what }] },
  });
}
