/** Pods made or ended at once in one round (kubernetes, pkg/controller/replicaset, BurstReplicas, is 500; a store is small). */
export const BURST_PODS = 50;
/** Old ReplicaSets kept for a rollback (apps/v1, revisionHistoryLimit's default). */
export const REVISIONS_KEPT = 10;
/** A node unheard for this long is NotReady (kube-controller-manager, --node-monitor-grace-period). */
export const NODE_GRACE_MS = 50_000;
/** How often node leases are looked at (kube-controller-manager, --node-monitor-period). */
export const NODE_LOOK_MS = 5_000;
/** How long until a node without addresses for its pods is looked at again. */
export const NODE_ADDRESSES_WAIT_MS = 30_000;
/** Finished pods kept for their logs (kube-controller-manager, --terminated-pod-gc-threshold, is 12,500; a store's disk is small). */
export const FINISHED_PODS_KEPT = 100;
/** Addresses in one EndpointSlice (kube-controller-manager, --max-endpoints-per-slice). */
export const SLICE_ENDPOINTS_MAX = 100;
/** Wait before a failed pod of a Job is replaced, doubling to the maximum (kubernetes, pkg/controller/job, DefaultJobPodFailureBackOff). */
export const JOB_BACKOFF_FIRST_MS = 10_000;
export const JOB_BACKOFF_MAX_MS = 600_000;
/** Missed times of a CronJob looked at before it says that too many were missed (kubernetes, pkg/controller/cronjob). */
export const CRON_MISSED_MAX = 100;
/** How often the garbage collector looks at every object for owners that are gone. */
export const GARBAGE_SCAN_MS = 60_000;
/** Events remembered so that a repetition counts the first one up (client-go, tools/record, maxLruCacheEntries). */
export const EVENTS_TOLD_MAX = 4_096;
/** Namespaces and kinds that the garbage loop holds once; then it begins anew. */
export const GARBAGE_WORDS_MAX = 10_000;
/** How long the garbage loop waits for the first lists of all kinds; then it asks for owners one by one. */
export const GARBAGE_START_MS = 30_000;
