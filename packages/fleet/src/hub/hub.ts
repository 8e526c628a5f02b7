import { keyOf, startInformer, type Informer } from "@cortado/client/informer";
import { bundles, clusterGroups, clusters, gitRepos, type Bundle } from "@cortado/kinds/fleet";
import { every, toTime } from "@cortado/std/clock";
import { StatusError, toStatusError } from "@cortado/std/status";
import { audit } from "./audit.ts";
import { BundleIndex, type Core } from "./core.ts";
import * as limits from "./limits.ts";
import { followRules } from "../rules/follow-rules.ts";
import { Windows } from "./holds/windows.ts";
import { followImports } from "./imports/imports.ts";
import { refuseKinds } from "./kinds/not-served.ts";
import { acceptLink, identityOf } from "./link/web-link.ts";
import { serveSession, type SessionPorts } from "./link/session.ts";
import { Contents } from "./view/contents.ts";
import { Deployments } from "./view/deployments.ts";
import type { ClusterKey, HubOptions, HubParts, HubPorts, RunningHub } from "./ports.ts";
import { Doors } from "./register/doors.ts";
import { Tokens } from "./register/tokens.ts";
import { Rollouts } from "./rollouts/rollouts.ts";
import { Variants } from "./rollouts/variants.ts";
import { applyCompiled } from "./sources/apply-compiled.ts";
import { openBlobs, type Blobs } from "./sources/blobs.ts";
import { sweepContent } from "./sources/sweep.ts";
import { Reach } from "./reach/reach.ts";
import { Cells } from "./state/cells.ts";
import { keptCluster, StoreFollower, tellAll } from "./state/follow-stores.ts";
import { Heard } from "./state/heard.ts";
import { Shared } from "./state/shared.ts";
import { Stores, type StoreRow } from "./state/stores.ts";
import { GroupStatus } from "./status/group-status.ts";
import { RepoStatus } from "./status/repo-status.ts";
import { StoreStatus } from "./status/store-status.ts";

export type * from "./ports.ts";

/**
 * Starts a hub over an API server with the fleet kinds: follows Clusters and Bundles, brings bundles to stores by their rollouts,
 * registers stores and serves their connections. What it knows is in the API and in its folder; it may be killed at any time.
 * @throws StatusError when its folder cannot be used
 */
export function startHub(given: HubOptions, ports: HubPorts): Promise<RunningHub> {
  return newHub().start(given, ports);
}

/** A hub whose views can go to the API server before it starts. */
export function newHub(): HubParts {
  const deployments = new Deployments();
  const contents = new Contents();
  return {
    views: [deployments, contents],
    start: (options, ports) => start(options, ports, { deployments, contents }),
  };
}

async function start(given: HubOptions, ports: HubPorts, views: Views): Promise<RunningHub> {
  const offlineAfterMs = given.offlineAfterMs ?? limits.OFFLINE_AFTER_MS;
  const options: Required<HubOptions> = {
    heartbeatMs: Math.round((offlineAfterMs * 2) / 3),
    maxHeld: limits.HELD_MAX,
    sleepMs: limits.SLEEP_MS,
    certificateDays: limits.CERTIFICATE_DAYS,
    waveDeadlineMs: limits.WAVE_DEADLINE_MS,
    sweepEveryMs: limits.SWEEP_EVERY_MS,
    isStrict: false,
    agentImage: "",
    ...given,
    offlineAfterMs,
  };
  const { folder } = options;
  const blobs = await openBlobs(ports.files, `${folder}/chunks`);
  await ports.files.makeFolder(`${folder}/variants`);
  const seen = await ports.files.read(`${folder}/seen`);
  const seenMs = seen === undefined ? 0 : Number(new TextDecoder().decode(seen));
  const wasAway = !(ports.clock.nowMs() - seenMs <= offlineAfterMs);
  return new Hub(options, ports, { blobs, wasAway, ...views });
}

type Views = { readonly deployments: Deployments; readonly contents: Contents };
type Begun = Views & { readonly blobs: Blobs; readonly wasAway: boolean };

class Hub implements RunningHub {
  readonly ready: Promise<void>;
  readonly #core: Core;
  readonly #doors: Doors;
  readonly #session: SessionPorts;
  readonly #blobs: Blobs;
  readonly #bundles: Informer<Bundle>;
  readonly #rollouts: Rollouts;
  readonly #stop: AbortController = new AbortController();
  readonly #stack: DisposableStack = new DisposableStack();
  readonly #serving: Set<Promise<void>> = new Set();

  constructor(options: Required<HubOptions>, ports: HubPorts, { blobs, wasAway, ...views }: Begun) {
    const { clock, compiler, files } = ports;
    const { signal } = this.#stop;
    this.#blobs = blobs;
    const variants = new Variants({ compiler, blobs, files, clock, folder: `${options.folder}/variants` });
    let storeStatus: StoreStatus | undefined;
    const stores = new Stores();
    const core: Core = {
      options,
      ports,
      signal,
      stores,
      windows: new Windows({ ...ports, stores, signal, turned: (row) => this.#held(row) }),
      reach: new Reach({ ...ports, signal }),
      cells: new Cells(),
      heard: new Heard(),
      variants,
      bundles: new BundleIndex(),
      rules: followRules({ client: ports.client, clock, log: ports.log, signal }),
      shared: new Shared(),
      lookAtBundle: (key, afterMs) => this.#rollouts.look(key, afterMs),
      writeStore: (row, more) => storeStatus?.write(row, more) ?? Promise.resolve(),
    };
    this.#core = core;
    storeStatus = new StoreStatus(core);
    const informers = follow(core);
    this.#bundles = informers.bundles;
    const followed = this.#followStores(informers, { wasAway, storeStatus });
    this.#rollouts = new Rollouts(
      core,
      { compiler, blobs, variants, signal },
      { informer: informers.bundles, ready: followed },
    );
    this.#lookAtChanges(informers);
    tellKinds(core, informers, followed);
    const shown = { core, blobs, ...informers };
    views.contents.attach(shown);
    const tokens = new Tokens(core);
    this.#doors = new Doors(core, tokens);
    this.#session = {
      core,
      bundleAt: (key) => informers.bundles.get(key),
      isComplete: (namespace) => this.#rollouts.isComplete(namespace),
      needs: () => this.#rollouts.needs,
      welcomes: { waiting: 0 },
      woke: (row) => this.#turned(row),
    };
    // Before any store is told anything: one whose window is closed must not begin.
    const windows = followed.then(() => core.windows.begin());
    this.ready = Promise.all([windows, tokens.synced]).then(() => this.#rollouts.idle());
    // It shows what stores have, and is told of it by changes of their Clusters: those that need no change are shown now.
    this.ready.then(
      () => views.deployments.attach(shown),
      () => undefined,
    );
    this.#watchTime();
  }

  /** Rows come once everything that says what they may have is there. */
  async #followStores(
    informers: ReturnType<typeof follow>,
    { wasAway, storeStatus }: { readonly wasAway: boolean; readonly storeStatus: StoreStatus },
  ): Promise<void> {
    const core = this.#core;
    const { windows, rules, reach } = core;
    // From the start: what it sees of a Cluster at first is more than the cache keeps.
    const follower = new StoreFollower({
      ...informers,
      core,
      wasAway,
      removed: (row) => {
        this.#rollouts.forget(row);
        storeStatus.forget(row);
      },
    });
    await Promise.all([windows, rules, reach, ...Object.values(informers)].map((one) => one.synced));
    follower.begin();
  }

  #lookAtChanges({ bundles }: ReturnType<typeof follow>): void {
    bundles.subscribe(({ key, old, now }) => {
      if (isOther(old, now)) this.#rollouts.look(key, 0);
    });
    const lookAtAll = (namespace: string): void => {
      for (const bundle of bundles.list())
        if (bundle.metadata.namespace === namespace) this.#rollouts.look(keyOf(bundle), 0);
    };
    this.#core.rules.subscribe(lookAtAll);
    this.#core.reach.subscribe(lookAtAll);
  }

  get routes(): RunningHub["routes"] {
    return this.#doors.routes;
  }

  get figures(): RunningHub["figures"] {
    const { stores, cells, variants } = this.#core;
    const { size: clusters, connectedCount: connected } = stores;
    return { clusters, cells: cells.size, connected, variants: variants.size };
  }

  async openStream(
    { namespace, name }: ClusterKey,
    { signal }: { readonly signal: AbortSignal },
  ): ReturnType<RunningHub["openStream"]> {
    const { stores, heard, ports } = this.#core;
    const endMs = ports.clock.monotonicMs() + limits.RETURN_MS;
    for (;;) {
      const row = stores.get(`${namespace}/${name}`);
      if (row === undefined)
        throw new StatusError("NotFound", `there is no Cluster ${namespace}/${name} at this hub`, {
          details: { group: "fleet.cattle.io", kind: "clusters", name },
        });
      if (row.connected !== undefined) return row.connected.openStream();
      // A store that was heard a moment ago is calling again: its line changed, or the hub was started anew.
      if (!heard.isHeard(row.index) || ports.clock.monotonicMs() >= endMs)
        throw notThere(name, { lastMs: heard.lastMs(row.index), isDark: !heard.isHeard(row.index) });
      await ports.clock.sleep(limits.RETURN_LOOK_MS, { signal });
    }
  }

  get clusters(): RunningHub["clusters"] {
    return [...this.#core.stores.all()].map((row) => row.cluster);
  }

  onClusters(listener: () => void): Disposable {
    return this.#core.stores.subscribe(listener);
  }

  upgrade(...[request, socket, head]: Parameters<RunningHub["upgrade"]>): void {
    const { clock } = this.#core.ports;
    try {
      const identity = identityOf(socket, clock.nowMs());
      acceptLink({ request, socket, head }, clock, (link) => void this.serveLink(link, identity));
    } catch (error) {
      const { code, reason, message } = toStatusError(error);
      const remote = `${request.socket.remoteAddress ?? ""}:${request.socket.remotePort ?? 0}`;
      audit(this.#core.ports, "connection refused", { cluster: "", remote, reason, code, why: message });
      socket.end(`HTTP/1.1 ${code} Refused\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
    }
  }

  async serveLink(...[link, identity]: Parameters<RunningHub["serveLink"]>): Promise<void> {
    try {
      await this.ready;
    } catch {
      // The hub stopped before it was ready.
      return await link[Symbol.asyncDispose]();
    }
    const work = serveSession(link, identity, this.#session);
    this.#serving.add(work);
    try {
      await work;
    } finally {
      this.#serving.delete(work);
    }
  }

  applyCompiled(...[gitRepo, compiled, commit]: Parameters<RunningHub["applyCompiled"]>) {
    const { client } = this.#core.ports;
    const { signal } = this.#stop;
    return applyCompiled({ client, blobs: this.#blobs, gitRepo, compiled, commit, signal });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("the hub stops"));
    this.#stack.dispose();
    for (const row of this.#core.stores.all()) await row.connected?.link[Symbol.asyncDispose]();
    await Promise.allSettled(this.#serving);
  }

  #watchTime(): void {
    const { clock, files, log } = this.#core.ports;
    const { heard, stores, options } = this.#core;
    const look = (): void => {
      for (const index of heard.look(clock.nowMs())) {
        const row = stores.at(index);
        if (row !== undefined) this.#turned(row);
      }
    };
    const sign = (): void => {
      files
        .replace(`${options.folder}/seen`, new TextEncoder().encode(String(clock.nowMs())))
        .catch((error: unknown) => log.error("the hub's sign of life is not written", { error }));
    };
    const sweep = (): void => {
      const of = { core: this.#core, blobs: this.#blobs, rollouts: this.#rollouts, bundles: this.#bundles };
      sweepContent(of).then(
        ({ removed }) => log.info("content that nothing names is removed", { removed }),
        (error: unknown) => log.warn("content that nothing names stays", { error }),
      );
    };
    this.#stack.use(every(clock, options.sweepEveryMs, sweep));
    this.#stack.use(every(clock, limits.HEARD_LOOK_MS, look));
    this.#stack.use(every(clock, limits.HUB_SEEN_MS, sign));
  }

  /** The window of a store opened or closed. */
  #held(row: StoreRow): void {
    tellAll(this.#core, row);
    this.#turned(row);
  }

  /** A store fell silent, or is heard again. */
  #turned(row: StoreRow): void {
    const { cells, bundles: index } = this.#core;
    void this.#core.writeStore(row).catch(() => undefined);
    for (const at of cells.ofCluster(row.index)) {
      const cell = cells.read(at);
      this.#rollouts.turned(index.keyOf(cell.bundle), cell);
    }
  }
}

function notThere(
  name: string,
  { lastMs, isDark }: { readonly lastMs: number; readonly isDark: boolean },
): StatusError {
  const state = isDark ? `is Offline since ${toTime(lastMs)}` : `was last heard at ${toTime(lastMs)}`;
  const since = lastMs === 0 ? "was never heard" : state;
  return new StatusError("ServiceUnavailable", `store ${name} ${since}; it is reached when it is back`);
}

/** What objects say of themselves, beside stores and rollouts. */
function tellKinds(core: Core, informers: ReturnType<typeof follow>, ready: Promise<unknown>): void {
  new GroupStatus(core, { ...informers, ready });
  new RepoStatus(core, { bundles: informers.bundles, repos: informers.repos, ready });
  refuseKinds(core);
  followImports(core, informers.clusters, ready);
}

function follow({ ports, signal, shared, stores }: Core) {
  const { client, clock, log } = ports;
  const following = { clock, log, signal };
  return {
    clusters: startInformer(client, clusters, {
      ...following,
      keep: (cluster) => keptCluster(cluster, shared, stores.get(keyOf(cluster))),
    }),
    groups: startInformer(client, clusterGroups, following),
    bundles: startInformer(client, bundles, following),
    repos: startInformer(client, gitRepos, following),
  };
}

/** Whether a Bundle is another beside its status, which is ours. */
function isOther(old: Bundle | undefined, now: Bundle | undefined): boolean {
  if (old === undefined || now === undefined) return true;
  const looked = ({ metadata }: Bundle): string =>
    JSON.stringify([
      keyOf({ metadata }),
      metadata.uid,
      metadata.generation,
      metadata.annotations,
      metadata.labels,
      metadata.deletionTimestamp,
    ]);
  return looked(old) !== looked(now);
}
