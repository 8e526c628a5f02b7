/** Where functions live when nobody says where (OpenFaaS' own default). */
export const DEFAULT_NAMESPACE = "openfaas-fn";
/** A handler that has not answered by then is killed; `exec_timeout` in a function's environment says otherwise. */
export const EXEC_TIMEOUT_MS = 60_000;
export const EXEC_TIMEOUT_MS_MAX = 3_600_000;
/** Time to load a handler: its top level runs then. */
export const LOAD_TIMEOUT_MS = 10_000;
/** A type-stripping child's time and output. */
export const STRIP_TIMEOUT_MS = 10_000;
/** Calls that wait for a replica of one function; one more gets 429. */
export const CALLS_WAITING_MAX = 100;
/** Body of a call, and of its answer. */
export const CALL_BYTES_MAX: number = 4 * 1_048_576;
/** Replicas of one function, when it does not say (`com.openfaas.scale.min`, `.max`). */
export const REPLICAS_MIN = 1;
export const REPLICAS_MAX = 4;
/** However much it says: CE's own cap is 5, Pro's default 20. */
export const REPLICAS_LIMIT = 20;
/** A replica above the least goes after this long without a call. */
export const REPLICA_IDLE_MS = 60_000;
/** Interpreters kept warm for each language. */
export const POOL_SIZE = 1;
/** Waits before a replica that died is replaced. */
export const RESTART_FIRST_MS = 100;
export const RESTART_MAX_MS = 10_000;
/** What a function gets when its spec names no limits. */
export const FUNCTION_MEMORY_BYTES: number = 128 * 1_048_576;
export const FUNCTION_PIDS_MAX = 64;
export const FUNCTION_MILLI_CPU = 500;
/** Its /tmp, in memory and counted as such. */
export const FUNCTION_TMP_BYTES: number = 16 * 1_048_576;
/** Lines of output kept for each function, and longest line. */
export const LOG_LINES_MAX = 1_000;
export const LOG_LINE_CHARACTERS_MAX = 4_096;
/** How long one `follow` of the logs lasts (the gateway's write timeout). */
export const LOG_FOLLOW_MS = 60_000;
/** Without `tail` and `since`: the last five minutes, as OpenFaaS does. */
export const LOG_SINCE_MS = 300_000;
/** Asynchronous calls that wait, and bytes of them; one more gets 429. */
export const ASYNC_ITEMS_MAX = 10_000;
export const ASYNC_BYTES_MAX: number = 16 * 1_048_576;
/** Body of one (OpenFaaS CE: 256,000). */
export const ASYNC_BODY_BYTES_MAX = 262_144;
export const ASYNC_WORKERS = 4;
/** Retries of asynchronous calls (openfaas docs, "Retries"). */
export const ASYNC_RETRY_CODES: readonly number[] = [408, 429, 500, 502, 503, 504];
export const ASYNC_RETRY_ATTEMPTS = 10;
export const ASYNC_RETRY_FIRST_MS = 10_000;
export const ASYNC_RETRY_MAX_MS = 120_000;
/** Tries to deliver a result to its callback. */
export const CALLBACK_ATTEMPTS = 5;
export const CALLBACK_TIMEOUT_MS = 10_000;
/** A message whose function fails is tried so often, when the function does not say; then it becomes a dead letter. */
export const TRIGGER_TRIES = 8;
export const TRIGGER_TRIES_MAX = 100;
export const TRIGGER_RETRY_FIRST_MS = 500;
/** Longest wait between two tries, when the function does not say, and however much it says. */
export const TRIGGER_WAIT_MS = 30_000;
export const TRIGGER_WAIT_MS_MAX = 3_600_000;
/** How long a function's status waits for the broker to take up what triggers it. */
export const TRIGGERS_WAIT_MS = 5_000;
/** Waits before the file of the triggers' sessions is written again when the disk did not take it. */
export const SESSIONS_RETRY_FIRST_MS = 100;
export const SESSIONS_RETRY_MAX_MS = 5_000;
/** Waits before a dead letter that could not be written is tried again; its message stays with the broker meanwhile. */
export const LETTER_RETRY_FIRST_MS = 500;
export const LETTER_RETRY_MAX_MS = 30_000;
/** Dead letters kept, and bytes of their payloads: objects of the API, which live in memory too. The largest packet fits. */
export const LETTERS_MAX = 1_000;
export const LETTERS_BYTES_MAX: number = 8 * 1_048_576;
export const LETTER_ERROR_CHARACTERS_MAX = 1_024;
/** Longest payload and text that an Alert takes over: an object in the API must stay small. */
export const ALERT_TEXT_CHARACTERS_MAX = 4_096;
/** Functions that get series of their own in the metrics; further ones share "other". */
export const METRIC_FUNCTIONS_MAX = 40;
/** A gateway's body for a definition. */
export const DEFINITION_BYTES_MAX: number = 1_048_576;
/** Wait for a function that was just made to become callable. */
export const READY_WAIT_MS = 15_000;
/** How deep a data folder is measured, in entries. */
export const DATA_ENTRIES_MAX = 10_000;
/** Longest timer that the clock takes at once. */
export const TIMER_MS_MAX = 3_600_000;
/** The first process of a namespace gets this long to reap what was killed in it, before it is killed itself. */
export const KILL_GRACE_MS = 200;
