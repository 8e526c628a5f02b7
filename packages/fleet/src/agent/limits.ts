/** Every number of the agent, with unit and source. */

/** A DNS subdomain (apimachinery, pkg/util/validation). */
export const OBJECT_NAME_MAX = 253;
/** Base64 of one key of a Secret; a Secret is 1 MiB at most (kubernetes, pkg/apis/core/types.go, MaxSecretSize), and it has two. */
export const RECORD_BYTES_MAX: number = 500 * 1024;
/** How long a new CustomResourceDefinition may take to be served; it is a second in practice. */
export const ESTABLISHED_MS_MAX = 30_000;
export const ESTABLISHED_LOOK_MS = 200;

/** One object of a bundle as canonical JSON: what an API server takes at most is 1.5 MB (etcd), ours some more. */
export const CHUNK_BYTES_MAX: number = 16 * 1024 * 1024;
/** Chunks kept that no bundle names any more: a rollback to the release before costs no download. */
export const STALE_CHUNKS_MAX = 256;
/** Hashes in one `want`: 64 KB of text. */
export const WANT_MAX = 1_000;
/** A hub that does not answer a ping may have sent all its chunks: the agent asks then for what it lacks. */
export const WANT_AFTER_MS = 2_000;
/** First and longest wait before the hub is dialled again; half of each is drawn, so that a thousand stores do not come at once. */
export const DIAL_FIRST_MS = 500;
/** How often the machine's addresses are looked at. */
export const LINE_LOOK_MS = 1_000;
export const DIAL_MAX_MS = 60_000;
/** The longest while nobody answers at all: a store that is plugged in again is up to date within 10 s (issue, "The bar", 2). */
export const DIAL_DARK_MAX_MS = 5_000;
/** A connection that TCP does not make in this time is begun anew: the kernel's next try would come 8 s after its last. */
export const TCP_MS_MAX = 6_000;
/** A ping without any answer for so long: the line is dead, or was cut and TCP waits for ever longer before it looks again. */
export const PONG_MS_MAX = 15_000;
/** How long a dial and a hello may take: a satellite link needs seconds, a hub in a morning storm more. */
export const WELCOME_MS_MAX = 30_000;
/** Heartbeats without an answer after which a connection is dead. */
export const SILENT_BEATS_MAX = 2.5;
/** What changed is told together: one message for a Deployment whose pods come up in a row. */
export const STATUS_DELAY_MS = 250;
/** A status that is not acknowledged by then is sent again. */
export const ACK_MS_MAX = 30_000;
/** Numbers of status messages are reserved on disk in steps: one write for so many messages. */
export const SEQUENCE_STEP = 1_000;
/** Resources that a report names (fleet.md 1.3, nonReadyResources). */
export const REPORT_RESOURCES_MAX = 10;
export const REPORT_TEXT_MAX = 1_024;
/** While a workload is not ready its pods are looked at so often, and so many of them. */
export const EXPLAIN_MS = 10_000;
export const EXPLAIN_PODS_MAX = 50;
/** Bundles at work at once. */
export const WORKERS = 4;
/** Dependencies are looked at again (fleet.md 3.2), beside at every change of a bundle. */
export const DEPENDS_MS = 15_000;
/** What a person must mend, or another bundle that goes, is tried again after so long and ever more slowly. */
export const STALLED_FIRST_MS = 2_000;
export const STALLED_MAX_MS = 60_000;
/** Drift is corrected after so long, and against somebody who keeps changing it back ever more slowly. */
export const DRIFT_FIRST_MS = 1_000;
export const DRIFT_MAX_MS = 300_000;
export const DRIFT_FORGET_MS = 600_000;
/** A certificate is renewed when so much of its life is over. */
export const RENEW_SHARE: number = 2 / 3;
/** Keys of ConfigMaps and Secrets that are told to the hub, and bytes of one (an object has 1 MiB). */
export const VALUES_MAX = 200;
export const VALUES_BYTES_MAX: number = 1024 * 1024;
/** What may not be read is tried again after so long: somebody may give the right. */
export const VALUES_AGAIN_MS = 30_000;
/** Events in one message, and its bytes: on a line of 64 kbit/s it holds up a ping for 8 s, and a heartbeat is 20. */
export const EVENTS_MAX = 200;
export const EVENTS_BYTES_MAX: number = 64 * 1024;
/** How often the journal is looked at that does not tell. */
export const EVENTS_LOOK_MS = 3_000;
/** The journal is trimmed at most this often: each time is a write to the store's flash. */
export const TRIM_EVERY_MS = 5_000;

/** How long the network may take for a connection, a handshake or an answer. */
export const CONNECT_MS_MAX = 30_000;
/** Answers of the hub before there is a link: certificates. */
export const ANSWER_BYTES_MAX: number = 1024 * 1024;
/** Bytes on their way out before a sender waits, and read ahead before the hub waits. */
export const SEND_BYTES_MAX: number = 256 * 1024;
export const INBOX_BYTES_MAX: number = 4 * 1024 * 1024;
/** How long an uninstall waits for the agent's own pod to end (its grace is 30 s), and how often it looks. */
export const ENDED_MS_MAX = 60_000;
export const ENDED_LOOK_MS = 500;
/** How often a bundle that another one replaces looks whether it may go. */
export const HANDOVER_MS = 1_000;
