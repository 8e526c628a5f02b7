import type { PodView, RuntimeContainer } from "../runtime/runtime.ts";
import type { MountedVolumes } from "../volumes/volumes.ts";
import type { StoredPod } from "./pod.ts";
import type { Problem } from "./status.ts";

/** What the node remembers of one pod between rounds; all of it can be lost and found again in the API and the runtime. */
export type PodRecord = {
  readonly uid: string;
  /** The newest object known; undefined for containers whose pod the API no longer has. */
  pod: StoredPod | undefined;
  /** The API no longer has the pod. */
  gone: boolean;
  view: PodView;
  viewStale: boolean;
  volumes: MountedVolumes | undefined;
  volumesStale: boolean;
  ended: Problem | undefined;
  readonly problems: Map<string, Problem>;
  /** When an exit was first seen, on the monotonic clock. */
  readonly exitSeenMs: Map<string, number>;
  readonly lastWords: Map<string, string>;
  cleaned: boolean;
  /** Ephemeral containers whose refusal was told. */
  readonly refused: Set<string>;
};

export const emptyView: PodView = { sandboxes: [], containers: [] };

export function newRecord(uid: string, pod: StoredPod | undefined): PodRecord {
  return {
    uid,
    pod,
    gone: pod === undefined,
    view: emptyView,
    viewStale: true,
    volumes: undefined,
    volumesStale: false,
    ended: undefined,
    problems: new Map(),
    exitSeenMs: new Map(),
    lastWords: new Map(),
    cleaned: false,
    refused: new Set(),
  };
}

/** The newer of two versions of one pod: our own write may be ahead of the watch, or behind it. */
export function newerPod(first: StoredPod | undefined, second: StoredPod): StoredPod {
  if (first === undefined) return second;
  return Number(first.metadata.resourceVersion) > Number(second.metadata.resourceVersion) ? first : second;
}

export function isLiving(view: PodView): boolean {
  return view.sandboxes.some((one) => one.ready) || view.containers.some((one) => one.phase === "running");
}

export function newExits(record: PodRecord): readonly RuntimeContainer[] {
  return record.view.containers.filter((one) => one.phase === "exited" && !record.exitSeenMs.has(one.id));
}
