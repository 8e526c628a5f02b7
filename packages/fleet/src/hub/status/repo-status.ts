import { done, newLoopMetrics, startLoop, type Loop } from "@cortado/client/loop";
import { splitKey, type Informer } from "@cortado/client/informer";
import { gitRepos, type Bundle, type BundleSummary, type GitRepo } from "@cortado/kinds/fleet";
import { newMetrics } from "@cortado/std/metrics";
import { hasReason } from "@cortado/std/status";
import { sameTree } from "@cortado/kinds/tree";
import type { Core } from "../core.ts";
import { READY_CHARS_MAX, STATUS_EVERY_MS } from "../limits.ts";
import { REPO_LABEL } from "../sources/bundle-plan.ts";
import { addSummary, withCondition } from "./summary.ts";

const zeros = { notReady: 0, waitApplied: 0, errApplied: 0, outOfSync: 0, modified: 0, pending: 0 };

/** Adds up a GitRepo's Bundles; what else its status says is others' to write. */
export class RepoStatus {
  readonly #core: Core;
  readonly #loop: Loop;
  readonly #bundles: Informer<Bundle>;
  readonly #repos: Informer<GitRepo>;

  constructor(
    core: Core,
    informers: {
      readonly bundles: Informer<Bundle>;
      readonly repos: Informer<GitRepo>;
      readonly ready: Promise<unknown>;
    },
  ) {
    this.#core = core;
    this.#bundles = informers.bundles;
    this.#repos = informers.repos;
    const { clock, log } = core.ports;
    this.#loop = startLoop({
      name: "fleet-gitrepo-status",
      reconcile: async (key) => {
        await this.#round(key);
        return done;
      },
      ready: informers.ready,
      clock,
      log,
      metrics: newLoopMetrics(newMetrics()),
      signal: core.signal,
    });
    this.#bundles.subscribe(({ old, now }) => {
      for (const bundle of [old, now]) this.#lookFor(bundle);
    });
    this.#repos.subscribe(({ key }) => this.#loop.addAfter(key, STATUS_EVERY_MS));
  }

  #lookFor(bundle: Bundle | undefined): void {
    const repo = bundle?.metadata.labels?.[REPO_LABEL];
    if (repo !== undefined)
      this.#loop.addAfter(`${bundle?.metadata.namespace ?? ""}/${repo}`, STATUS_EVERY_MS);
  }

  /** Of all Bundles that it brought. */
  #sum(repo: GitRepo) {
    const { cells, bundles: index, stores } = this.#core;
    const { namespace = "", name = "" } = repo.metadata;
    const summary: BundleSummary = {};
    const nonReady: NonNullable<BundleSummary["nonReadyResources"]> = [];
    const messages: string[] = [...ownTroubles(repo)];
    const counts = { ready: 0, desiredReady: 0, notReady: 0, modified: 0, missing: 0 };
    const ofStores = new Map<number, boolean>();
    for (const bundle of this.#bundles.list()) {
      if (bundle.metadata.namespace !== namespace || bundle.metadata.labels?.[REPO_LABEL] !== name) continue;
      addSummary(summary, bundle.status?.summary ?? {});
      const ready = bundle.status?.conditions?.find((one) => one.type === "Ready");
      // What the hub has not looked at since it changed is not Ready, whatever it was before.
      if (bundle.status?.observedGeneration !== bundle.metadata.generation)
        messages.push(`Bundle ${bundle.metadata.name ?? ""}: is being looked at`);
      else if (ready?.status === "False") {
        messages.push(`Bundle ${bundle.metadata.name ?? ""}: ${ready.message ?? ""}`);
        const bundleState = bundle.status?.display?.state ?? "NotReady";
        nonReady.push({ name: bundle.metadata.name ?? "", bundleState, message: ready.message ?? "" });
      }
      const number = index.find(`${namespace}/${bundle.metadata.name ?? ""}`);
      for (const cell of number === undefined ? [] : cells.ofBundle(number)) {
        const { cluster, state } = cells.read(cell);
        const { desired, ...own } = cells.countsOf(cell);
        counts.desiredReady += desired;
        for (const name of ["ready", "notReady", "modified", "missing"] as const) counts[name] += own[name];
        if (stores.at(cluster) !== undefined)
          ofStores.set(cluster, (ofStores.get(cluster) ?? true) && state === "Ready");
      }
    }
    return { summary, nonReady, messages, counts, ofStores };
  }

  async #round(key: string): Promise<void> {
    const repo = this.#repos.get(key);
    if (repo === undefined) return;
    const { ports, signal } = this.#core;
    const { namespace, name } = splitKey(key);
    const { summary, nonReady, messages, counts, ofStores } = this.#sum(repo);
    const { ready = 0, desiredReady = 0 } = summary;
    const isTrue = messages.length === 0;
    const message = messages.join("; ").slice(0, READY_CHARS_MAX);
    const condition = { type: "Ready", isTrue, reason: isTrue ? "" : reasonOf(repo), message };
    const conditions = withCondition(repo.status?.conditions, condition, ports.clock.nowMs());
    const status = {
      resourceCounts: counts,
      readyClusters: [...ofStores.values()].filter(Boolean).length,
      desiredReadyClusters: ofStores.size,
      summary: { ...zeros, ready: 0, desiredReady: 0, ...summary, nonReadyResources: nonReady.slice(0, 10) },
      display: {
        ...repo.status?.display,
        readyBundleDeployments: `${ready}/${desiredReady}`,
        state: isTrue ? "Ready" : "NotReady",
        message,
        error: isStalled(repo),
      },
      conditions,
    };
    if (sameTree({ ...repo.status, ...status }, repo.status)) return;
    // Others write conditions, too: what changed meanwhile is looked at again.
    const metadata = { resourceVersion: repo.metadata.resourceVersion };
    try {
      await ports.client.patch(gitRepos, {
        namespace,
        name,
        type: "merge",
        subresource: "status",
        body: { metadata, status },
        signal,
      });
    } catch (error) {
      if (!hasReason(error, "NotFound", "Conflict")) throw error;
      this.#loop.addAfter(key, STATUS_EVERY_MS);
    }
  }
}

/** What is wrong before any store comes into it: a repository of which nothing was applied is not Ready. */
function ownTroubles({ status }: GitRepo): readonly string[] {
  const said = (type: string, bad: string): readonly string[] => {
    const found = status?.conditions?.find((one) => one.type === type);
    return found?.status === bad && (found.message ?? "") !== "" ? [found.message ?? ""] : [];
  };
  const troubles = new Set([
    ...said("Accepted", "False"),
    ...said("Stalled", "True"),
    ...said("GitPolling", "False"),
  ]);
  if (troubles.size === 0 && (status?.commit ?? "") === "") return ["no commit was applied yet"];
  return [...troubles];
}

function isStalled({ status }: GitRepo): boolean {
  return status?.conditions?.some((one) => one.type === "Stalled" && one.status === "True") === true;
}

function reasonOf(repo: GitRepo): string {
  const of = (type: string): string | undefined =>
    repo.status?.conditions?.find((one) => one.type === type && one.status !== "True")?.reason;
  return isStalled(repo) ? (of("Accepted") ?? "Error") : (of("GitPolling") ?? "");
}
