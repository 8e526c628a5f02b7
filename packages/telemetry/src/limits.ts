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

/** The hub's store of events: disk for all of them. Beyond it the oldest of the least important kind go first, orders and payments last. */
export const CENTRAL_BYTES_MAX: number = 4 * 1_024 * 1_048_576;
/** A pass that makes room goes down to this share of it, so that it does not come back with the next event. */
export const CENTRAL_ROOM_SHARE = 0.95;
/** How often events that are too old are looked for, and how many go in one transaction. */
export const CENTRAL_PRUNE_EVERY_MS = 600_000;
export const CENTRAL_PRUNE_EVENTS = 1_000;
/** Bytes that wait for the hub's disk; more are refused, and their stores send them again. */
export const CENTRAL_WAITING_BYTES_MAX: number = 64 * 1_048_576;
/** Events of one commit: about 5 ms of SQLite. */
export const CENTRAL_COMMIT_EVENTS = 500;
/** Commits move to a thread when the median of so many takes longer than this (ARCHITECTURE, decision 7); the thread costs 50 MB. */
export const COMMIT_SAMPLES = 16;
export const COMMIT_SLOW_MS = 5;
/** Events that are read before the event loop gets a turn. */
export const CENTRAL_SLICE_EVENTS = 200;
/** Largest page that a reader may ask for; without a limit all is streamed. */
export const CENTRAL_PAGE_MAX = 10_000;
/** Largest event that the hub takes: what a store's journal takes, and its envelope. */
export const CENTRAL_EVENT_BYTES_MAX: number = 2 * EVENT_BYTES_MAX;
/** Longest name of a kind; a newer store may have kinds that this hub does not know. */
export const CENTRAL_KIND_CHARACTERS_MAX = 40;
/** Events that a durable reader (alerts, forwarding) takes at a time. */
export const CURSOR_EVENTS = 200;
/** A durable reader whose work fails waits so long at first and at most; half of each is drawn. */
export const CURSOR_FIRST_MS = 1_000;
export const CURSOR_MAX_MS = 60_000;
/** Alert objects that the hub keeps: of one store, in all, and for how long. Their events stay in the store of events. */
export const ALERTS_OF_STORE_MAX = 200;
export const ALERTS_MAX = 5_000;
export const ALERT_DAYS = 30;
export const ALERTS_SWEEP_MS = 600_000;
/** After so many new alerts the old ones are looked through at once. */
export const ALERTS_SWEEP_AFTER = 100;

/** Where a hub forwards to, at most: each has a place on disk and a request under way. */
export const FORWARD_TARGETS_MAX = 20;
/** How long a target may take to answer, and how much of its answer is read. */
export const FORWARD_MS_MAX = 30_000;
export const FORWARD_ANSWER_BYTES = 4_096;
/** A target that says when to come back is believed up to this. */
export const CURSOR_AFTER_MS_MAX = 300_000;
