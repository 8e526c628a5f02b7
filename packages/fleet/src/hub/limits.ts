/** A store unheard for so long is Offline (issue: `--offline-after`). */
export const OFFLINE_AFTER_MS = 30_000;
/** One look at all stores' times: what Offline may be late by. */
export const HEARD_LOOK_MS = 1_000;
/** An object's status is written at most once in this time. */
export const STATUS_EVERY_MS = 1_000;
/** Of a store it is written sooner while few wait for it: so many milliseconds for each that does, as its next report waits for that. */
export const STATUS_SHARE_MS = 4;
/** Changes of one moment are gathered for so long before the first write. */
export const STATUS_GATHER_MS = 20;
/** After its start the hub writes of no store what it had until all its bundles were looked at, or so long. */
export const UNLOOKED_MS_MAX = 60_000;
/** A rollout is looked at at most once in this time. */
export const ROLLOUT_EVERY_MS = 150;
/** With many stores a look takes time: the next one waits so many times what looks at all bundles took, and no longer than this. */
export const ROLLOUT_PACE = 8;
export const ROLLOUT_PACE_MS_MAX = 5_000;
/** How long a wave's store may take until it is Ready. */
export const WAVE_DEADLINE_MS: number = 5 * 60_000;
/** The hub's own sign of life: a store that was Ready is believed for as long as this was renewed. */
export const HUB_SEEN_MS = 10_000;
/** Chunks that go right behind `desired`; the agent asks for the others. */
export const INLINE_BYTES_MAX: number = 4 * 1024 * 1024;
/** Chunks kept in memory, compressed. */
export const CHUNK_CACHE_BYTES: number = 32 * 1024 * 1024;
/** Largest message of an agent: a status of 100 bundles with ten resources each fits. */
export const MESSAGE_BYTES_MAX: number = 4 * 1024 * 1024;
/** Bundles in one status. */
export const REPORTS_MAX = 2_000;
/** What a store may tell of its own values (helm.valuesFrom), all of it together: an object has 1 MiB. */
export const VALUES_BYTES_MAX: number = 2 * 1024 * 1024;
/** Chunks in one want. */
export const WANT_MAX = 10_000;
/** Held connections; more stores sleep. */
export const HELD_MAX = 20_000;
export const SLEEP_MS: number = 5 * 60_000;
/** A hello must come this soon after the connection: a hub in a morning storm is late in reading it. */
export const HELLO_MS = 30_000;
/** Stores that may wait for their welcome at once; more are told to come back after this and up to as much again. */
export const WELCOMES_MAX = 400;
export const STORM_SLEEP_MS = 5_000;
export const CERTIFICATE_DAYS = 365;
/** A challenge is good for this long. */
export const CHALLENGE_MS = 60_000;
/** Body of a registration or renewal. */
export const REQUEST_BYTES_MAX: number = 64 * 1024;
/** Files up to this size together stay in the Bundle, for people to read; more go beside it, under contentsId. */
export const INLINE_FILES_BYTES_MAX: number = 256 * 1024;
/** Generations of a bundle that are kept, beside those that some store may run. */
export const GENERATIONS_KEPT = 3;
/** Resources and stores that are named in a status (fleet.md 1.3). */
export const NAMED_MAX = 10;
/** Text of a message that a store sends. */
export const MESSAGE_CHARS_MAX = 1_000;
/** What could not be rendered is tried again at most this often. */
export const RENDER_AGAIN_MS = 30_000;
/** Challenges that wait for their answer; the oldest goes first. */
export const CHALLENGES_MAX = 10_000;
/** Bundles at work at once. */
export const ROUNDS_AT_ONCE = 4;
/** Stores whose status is written at once: those that wait for one sync of the disk share it. */
export const STORES_AT_ONCE = 64;
/** Bytes that wait for a store's line; beyond them the hub waits, and looks again after so long. */
export const SEND_WAITING_BYTES: number = 1024 * 1024;
export const SEND_LOOK_MS = 50;
/** Texts and trees that are equal in many stores and held once. */
export const SHARED_MAX = 10_000;
/** How long a new Cluster may take to become a row, and how often that is looked at. */
export const ROW_MS_MAX = 5_000;
export const ROW_LOOK_MS = 5;
/** Who wants into a store that was heard a moment ago waits so long for its next connection, and looks so often. */
export const RETURN_MS = 5_000;
export const RETURN_LOOK_MS = 100;
/** Text of a Ready condition that joins what several objects say. */
export const READY_CHARS_MAX = 4_000;
/** Two writers of one object: each gives way at most so often. */
export const WRITE_ATTEMPTS_MAX = 5;
/** Message of an Event (kubernetes, pkg/apis/core/validation: 1,024). */
export const EVENT_CHARS_MAX = 1_000;
/** Between two looks for content that nothing names: what is put and not named by then goes with the look after. */
export const SWEEP_EVERY_MS: number = 60 * 60_000;
/** What an audit line repeats of a name that somebody gave (a namespace and a name of Kubernetes fit). */
export const NAME_CHARS_MAX = 320;
/** A cluster that is brought in may take so long for all calls (Fleet's manager waits 15 s for each); it is looked at again after so long. */
export const IMPORT_MS_MAX = 60_000;
export const IMPORT_AGAIN_MS = 15_000;
export const IMPORTS_AT_ONCE = 4;
export const IMPORT_TOKEN_LOOK_MS = 500;
/** How often it is looked whether an agent that was installed has come. */
export const IMPORT_COME_MS = 3_000;
/** Of the token for one that is brought in (Fleet's). */
export const IMPORT_TOKEN_TTL = "12h";
/** Public keys of stores that register now, as read. */
export const KEYS_READ_MAX = 64;
