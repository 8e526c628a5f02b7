/** Disk for the whole journal. */
export const JOURNAL_BYTES_MAX: number = 64 * 1_048_576;
/** One file of it: what is dropped or trimmed at a time. */
export const SEGMENT_BYTES: number = 1_048_576;
/** Events whose ids are remembered after they were trimmed, so that an outbox that asks again is told yes. */
export const KNOWN_IDS_MAX = 50_000;
/** Largest event. */
export const EVENT_BYTES_MAX = 65_536;
/** Largest body of one ingestion request, and most events in it. */
export const INGEST_BYTES_MAX: number = 1_048_576;
export const INGEST_EVENTS_MAX = 1_000;
/** Events in one answer, when the reader names no limit, and at most. */
export const READ_EVENTS = 1_000;
export const READ_EVENTS_MAX = 10_000;
/** How deep an event's JSON may be nested. */
export const EVENT_DEPTH_MAX = 20;
/** Longest id of an event. */
export const EVENT_ID_CHARACTERS_MAX = 200;
/** After a full journal: when an outbox may come back. */
export const FULL_RETRY_S = 5;
/** A failed write of an alert into the journal is tried again after this. */
export const ALERT_RETRY_MS = 1_000;
/** Longest payload and text that an Alert takes over from its message (an object in the API must stay small). */
export const ALERT_TEXT_CHARACTERS_MAX = 4_096;
/** Machine counters are journalled at most this often for each machine. */
export const MACHINE_EVERY_MS = 60_000;
/** Machines counted; messages of further ones are ignored and counted. */
export const MACHINES_MAX = 1_000;
