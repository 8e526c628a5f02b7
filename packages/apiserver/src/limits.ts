/** Largest object, as etcd's default request limit has it (etcd docs, "System limits"). */
export const OBJECT_BYTES_MAX: number = 1.5 * 1024 * 1024;
/** Largest request body: upstream's limit (apiserver, MaxRequestBodyBytes). */
export const BODY_BYTES_MAX: number = 3 * 1024 * 1024;
/** Requests in work at once, watches and streams not counted (kube-apiserver, --max-requests-inflight and -mutating-). */
export const REQUESTS_MAX = 600;
/** What a client is told to wait when that many are in work. */
export const RETRY_AFTER_S = 1;
/** Watches at once; each holds a queue in the store. */
export const WATCHES_MAX = 5_000;
/** A list is written in pieces of about this size, with the event loop free between them. */
export const LIST_SLICE_BYTES: number = 64 * 1024;
/** Objects that are parsed, filtered or printed before the event loop gets a turn. */
export const LIST_SLICE_ITEMS = 50;
/** Answers from this size on are compressed when the client asks (apiserver, defaultGzipThresholdBytes). */
export const GZIP_BYTES_MIN: number = 128 * 1024;
/** How often a write that lost a race is tried again (apiserver, MaxRetryWhenPatchConflicts). */
export const PATCH_ATTEMPTS_MAX = 5;
/** The owner of a status gives way to other writers of the object so often. */
export const OWN_STATUS_ATTEMPTS_MAX = 20;
/** How often a generated name is tried (apiserver, maxNameGenerationCreateAttempts). */
export const GENERATED_NAME_ATTEMPTS_MAX = 8;
/** Between two bookmarks of a quiet watch (apiserver, bookmarkFrequency). */
export const BOOKMARK_MS = 60_000;
/** A watch without a timeout ends after this plus up to as much again (kube-apiserver, --min-request-timeout). */
export const WATCH_MS_MIN: number = 1_800 * 1_000;
/** How long a stalled reader may hold up its own watch before the connection is ended. */
export const WATCH_STALL_MS_MAX = 60_000;
/** Update managers of an object before the oldest are folded (apiserver, managedfields). */
export const UPDATE_MANAGERS_MAX = 10;
/** Operations in one JSON patch (apiserver, maxJSONPatchOperations). */
export const JSON_PATCH_OPERATIONS_MAX = 10_000;
/** A generateName prefix keeps this much, so that five letters fit (apiserver, maxGeneratedNameLength). */
export const GENERATED_PREFIX_MAX: number = 63 - 5;
/** How long an event is kept (kube-apiserver, --event-ttl). */
export const EVENT_MS: number = 60 * 60 * 1_000;
/** How often old events are looked for: a twelfth of their life. */
export const EVENT_SWEEP_MS: number = EVENT_MS / 12;
/** Events that are read before the event loop gets a turn. */
export const EVENT_SWEEP_ITEMS = 100;
/** Changes of a view that a watch may still start from; an older one lists again. */
export const VIEW_EVENTS_KEPT = 2_000;
/** Changes that wait for a watch of a view to be read; more and it is told to list again. */
export const VIEW_EVENTS_WAITING_MAX = 20_000;
/** Changes of a view that become events at once. */
export const VIEW_EVENTS_READ = 100;
