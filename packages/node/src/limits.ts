import { assert } from "@cortado/std/assert";

/** How often the runtime is listed when it tells no events (kubelet, pkg/kubelet/kubelet.go, genericPlegRelistPeriod). */
export const RELIST_MS = 1_000;
/** How often it is listed when it does tell them: proof that none was lost (kubelet, eventedPlegRelistPeriod, is 300 s; ours is cheap). */
export const RELIST_WITH_EVENTS_MS = 10_000;
/**
 * How long after an event of the runtime it is listed: soon, and again, as containerd's CRI plugin hears of an exit by the same event and
 * takes a while to clean up before it says so itself.
 */
export const EVENT_LOOKS_MS: readonly number[] = [30, 120, 500, 1_500];

/** A crashing container's first and longest wait, and how long it must run to be forgiven (kubelet, MaxContainerBackOff and initial). */
export const CRASH_BACKOFF_FIRST_MS = 10_000;
export const CRASH_BACKOFF_MAX_MS = 300_000;
export const CRASH_BACKOFF_RESET_MS = 600_000;
/** A failing pull's waits (kubelet, imageBackOff: the same numbers). */
export const PULL_BACKOFF_FIRST_MS = 10_000;
export const PULL_BACKOFF_MAX_MS = 300_000;
/** A silent registry must not hold a pod for ever; progress is not visible through CRI. */
export const PULL_TIMEOUT_MS = 900_000;
/** Pulls at once; the others wait their turn (kubelet, serialize-image-pulls is one). */
export const PULLS_AT_ONCE = 2;

/** A containerd that starts: looked at this often, given up after so long (measured: ready in 0.1 to 0.6 s). */
export const CONTAINERD_READY_LOOK_MS = 20;
export const CONTAINERD_READY_MS = 30_000;
/** How often a kept containerd is asked whether it still answers; twice without an answer and it is started again. */
export const CONTAINERD_LOOK_MS = 3_000;

/** Each call to the runtime that should be quick (kubelet, runtimeRequestTimeout). */
export const RUNTIME_CALL_MS = 120_000;
/** A gRPC message (kubelet, pkg/cri/remote, maxMsgSize). */
export const RUNTIME_MESSAGE_BYTES_MAX: number = 16 * 1024 * 1024;
/** Sandboxes and containers started at once: more is slower on two cores (measured: 10 at once 1.1 to 1.8 s, 4 at once 0.8 s). */
export const STARTS_AT_ONCE = 4;
/** Pods worked on at once. A worker mostly waits, for a grace period or a start. */
export const POD_WORKERS = 200;

/** A pod that does not say gets this long to end (core/v1, terminationGracePeriodSeconds). */
export const GRACE_S = 30;
/** Output kept from a hook or a probe, for its event (kubelet, maxRespBodyLength is 10 KiB). */
export const HOOK_OUTPUT_BYTES_MAX: number = 10 * 1024;
/** Termination messages (kubelet, MaxContainerTerminationMessageLength and its log forms). */
export const TERMINATION_MESSAGE_BYTES_MAX = 4_096;
export const TERMINATION_LOG_LINES = 80;
export const TERMINATION_LOG_BYTES_MAX = 2_048;

/** First waits between a new container's readiness probes until it was ready once; then its own period holds. */
export const READINESS_EARLY_FIRST_MS = 250;

/** Node lease: valid this long, renewed at a quarter of it (kubelet, nodeLeaseDurationSeconds 40). */
export const NODE_LEASE_S = 40;
export const NODE_LEASE_RENEW_MS: number = (NODE_LEASE_S * 1_000) / 4;
/** First and longest wait before a server that does not answer is asked again to take the node. */
export const REGISTER_FIRST_MS = 250;
export const REGISTER_MAX_MS = 5_000;
/** Node status: looked at this often, written on change, and at least this often (kubelet, nodeStatusUpdateFrequency and ReportFrequency). */
export const NODE_STATUS_LOOK_MS = 10_000;
export const NODE_STATUS_WRITE_MS = 300_000;
/** Images named in the node's status (kubelet, nodeStatusMaxImages). */
export const NODE_IMAGES_MAX = 50;
/** Pods of one node (kubelet, maxPods). */
export const PODS_MAX = 110;

/** A log file is rotated over this size, and this many are kept (kubelet, containerLogMaxSize and containerLogMaxFiles). */
export const LOG_FILE_BYTES_MAX: number = 10 * 1024 * 1024;
export const LOG_FILES_MAX = 5;
/** How often files, dead containers, images and disks are looked at (kubelet: 10 s, 1 min, 5 min, 10 s). */
export const LOG_ROTATE_MS = 10_000;
export const CONTAINER_GC_MS = 60_000;
export const IMAGE_GC_MS = 300_000;
export const EVICTION_LOOK_MS = 10_000;
/** Image garbage: begins above, ends below, and an image lives at least so long (kubelet, imageGCHighThresholdPercent …). */
export const IMAGE_GC_HIGH_PERCENT = 85;
export const IMAGE_GC_LOW_PERCENT = 80;
export const IMAGE_AGE_MIN_MS = 120_000;
/** Hard eviction: less than these shares free (kubelet, evictionHard on Linux). */
export const EVICTION_NODEFS_FREE_PERCENT = 10;
export const EVICTION_INODES_FREE_PERCENT = 5;
export const EVICTION_MEMORY_FREE_BYTES: number = 100 * 1024 * 1024;
/** A pressure is over when it was not seen for this long (kubelet, evictionPressureTransitionPeriod). */
export const PRESSURE_LINGER_MS = 300_000;

/** Processes of one pod when the node does not say otherwise; a fork bomb must not take the store down. */
export const POD_PIDS_MAX = 4_096;

/** Service account tokens are made anew when this share of their life is over (kubelet, token manager: 80 %). */
export const TOKEN_REFRESH_SHARE = 0.8;
/** Volumes made of API objects are looked at this often, beside being told (kubelet, syncFrequency 1 min). */
export const VOLUME_REFRESH_MS = 60_000;

/** ConfigMaps and Secrets of which a node that asks for each one keeps the last answer; over it the oldest is forgotten. */
export const SOURCES_KEPT_MAX = 1_000;

/** Distinct events kept for counting; over it the oldest is forgotten and a repetition becomes a new event. */
export const EVENTS_KEPT_MAX = 1_000;
/** Events waiting to be written; over it the newest is dropped: an event must never hold up a pod. */
export const EVENTS_WAITING_MAX = 200;
/** One kind of event about one object: so many at once, then one each so often (client-go, EventSpamFilter: 25, one per 5 min). */
export const EVENT_BURST = 25;
export const EVENT_REFILL_MS = 300_000;

/** Bytes read from a log file at once, and how often a followed one is looked at. */
export const LOG_CHUNK_BYTES: number = 64 * 1024;
export const LOG_FOLLOW_MS = 200;
/** One line of a container's log; containerd splits longer ones itself at 16 KiB. */
export const LOG_LINE_BYTES_MAX: number = 256 * 1024;

/** A stream towards kubectl: a message, what may be unsent before the other side is paused, and how long nothing may happen. */
export const STREAM_MESSAGE_BYTES_MAX: number = 32 * 1024 * 1024;
export const STREAM_UNSENT_BYTES_MAX: number = 1024 * 1024;
/** How long a SPDY client may take to open its streams (kubelet, streamCreationTimeout). */
export const STREAM_OPEN_MS = 30_000;

assert(IMAGE_GC_LOW_PERCENT < IMAGE_GC_HIGH_PERCENT, "image garbage collection ends below where it begins");
assert(NODE_LEASE_RENEW_MS < NODE_LEASE_S * 1_000, "a lease is renewed before it ends");
assert(CRASH_BACKOFF_FIRST_MS < CRASH_BACKOFF_MAX_MS, "a back-off grows");
/** A pod's claim may take this long to be bound before its waiting pod tells of it (binding takes well under 1 s; a loaded machine). */
export const CLAIM_WAIT_MS = 10_000;
/** A pod is ended for a full disk only if it uses at least this, and this share of what is missing. */
export const EVICTION_DISK_BYTES_MIN: number = 1024 * 1024;
export const EVICTION_DISK_SHARE_MIN = 0.05;
