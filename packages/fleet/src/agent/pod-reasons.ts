import type { Client } from "@cortado/client";
import { pods } from "@cortado/kinds/resources";
import { fieldOf, listAt, textAt, treeAt, type Tree } from "@cortado/kinds/tree";
import type { Clock } from "@cortado/std/clock";
import { itemKey, type Placed } from "./apply/place.ts";
import { EXPLAIN_MS, EXPLAIN_PODS_MAX } from "./limits.ts";
import { isBeginning, podReadiness } from "./readiness/workloads.ts";

export type PodReasonsOptions = {
  readonly client: Client;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** What is said of this bundle's workloads may have changed. */
  readonly changed: (bundle: string) => void;
};

type Reason = { readonly bundle: string; text: string; isLooking: boolean; again: Disposable | undefined };

const workloads: ReadonlySet<string> = new Set([
  "Deployment",
  "ReplicaSet",
  "StatefulSet",
  "DaemonSet",
  "Job",
]);

/** Why the pods of a workload are not up: "1 of 2 pods are available" tells nobody what to mend. Looks only while something is not ready. */
export class PodReasons {
  readonly #options: PodReasonsOptions;
  readonly #reasons: Map<string, Reason> = new Map();

  constructor(options: PodReasonsOptions) {
    this.#options = options;
  }

  /** What is known of a workload that is not ready; empty: nothing yet. It is looked at again while it is asked for. */
  of(bundle: string, { item }: Placed, live: Tree): string {
    const labels = Object.entries(treeAt(live, "spec", "selector", "matchLabels"));
    if (!workloads.has(item.kind) || labels.length === 0) return "";
    const key = itemKey(item);
    const reason = this.#reasons.get(key) ?? { bundle, text: "", isLooking: false, again: undefined };
    this.#reasons.set(key, reason);
    if (!reason.isLooking && reason.again === undefined) {
      const labelSelector = labels.map(([name, value]) => `${name}=${String(value)}`).join(",");
      void this.#look(reason, { namespace: item.namespace, labelSelector });
    }
    return reason.text;
  }

  /** The workload is ready: what was wrong is over. */
  forget({ item }: Placed): void {
    const key = itemKey(item);
    this.#reasons.get(key)?.again?.[Symbol.dispose]();
    this.#reasons.delete(key);
  }

  async #look(
    reason: Reason,
    where: { readonly namespace: string; readonly labelSelector: string },
  ): Promise<void> {
    const { client, clock, signal, changed } = this.#options;
    reason.isLooking = true;
    let text = reason.text;
    try {
      const { items } = await client.list(pods, { ...where, limit: EXPLAIN_PODS_MAX, signal });
      text = troubleOf(items as unknown as readonly Tree[]);
    } catch {
      // Without the right to read pods the numbers have to do.
    }
    reason.isLooking = false;
    if (signal.aborted) return;
    reason.again = clock.after(EXPLAIN_MS, () => {
      reason.again = undefined;
      changed(reason.bundle);
    });
    if (text === reason.text) return;
    reason.text = text;
    changed(reason.bundle);
  }
}

// The newest pod is of the newest release, and that is the one that a person asks about. While it only begins, what became of those
// before it, of the same owner, says more: a pod that fails is replaced within the second.
function troubleOf(items: readonly Tree[]): string {
  const troubled = items
    .filter((pod) => fieldOf(fieldOf(pod, "metadata"), "deletionTimestamp") === undefined)
    .map((pod) => ({ pod, readiness: podReadiness(pod) }))
    .filter(({ readiness }) => !readiness.ready)
    .toSorted((one, other) => (created(one.pod) < created(other.pod) ? 1 : -1));
  const [newest] = troubled;
  if (newest === undefined) return "";
  const ofRelease = troubled.filter(({ pod }) => ownerOf(pod) === ownerOf(newest.pod));
  const first = ofRelease.find(({ pod }) => !isBeginning(pod)) ?? newest;
  return `pod ${textAt(first.pod, "metadata", "name")}: ${first.readiness.message}`;
}

function created(pod: Tree): string {
  return textAt(pod, "metadata", "creationTimestamp");
}

function ownerOf(pod: Tree): string {
  return textAt(listAt(pod, "metadata", "ownerReferences")[0], "uid");
}
