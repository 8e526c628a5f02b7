/** Pods that fit nowhere are looked at again after this long, whatever happened (kube-scheduler flushes after 5 min; a store is small). */
export const UNSCHEDULABLE_RETRY_MS = 30_000;
/** Pods a node takes when it does not say (kubelet, --max-pods). */
export const PODS_PER_NODE = 110;
/** What a container without requests is counted for when scoring (kubernetes, pkg/scheduler/util, DefaultMilliCPURequest). */
export const DEFAULT_MILLI_CPU = 100;
export const DEFAULT_MEMORY_BYTES: number = 200 * 1024 * 1024;
