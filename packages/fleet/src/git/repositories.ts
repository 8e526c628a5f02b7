import type { Client, Stored } from "@cortado/client";
import { keyOf, splitKey, startInformer, type Informer, type Key } from "@cortado/client/informer";
import { again, done, startLoop, type Loop, type LoopMetrics, type Outcome } from "@cortado/client/loop";
import { bundles, gitRepos, type GitRepo } from "@cortado/kinds/fleet";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Random } from "@cortado/std/random";
import { hasReason, messageOf, StatusError } from "@cortado/std/status";
import type { Compiled, CompileOptions, SourceTree } from "../compile/bundle.ts";
import { withCharts, type ChartFetcher } from "../compile/charts/charts.ts";
import type { Applied, ClusterKey } from "../hub/ports.ts";
import { REPO_LABEL } from "../hub/sources/bundle-plan.ts";
import type { ChartLogins } from "./chart-login.ts";
import type { GitHubApps } from "./github-app.ts";
import { remoteOf } from "./repository-remote.ts";
import { readChartLogins } from "./chart-secrets.ts";
import type { Git, GitCommit, GitRemote } from "./git.ts";
import {
  POLL_JITTER,
  POLL_MS_DEFAULT,
  POLL_MS_MIN,
  POLL_MS_WITH_WEBHOOK,
  REPOSITORIES_AT_ONCE,
} from "./limits.ts";
import { followRules, type RuleBook } from "../rules/follow-rules.ts";
import { restrictRepo } from "../rules/rules.ts";
import { tellRepository, type Found } from "./repository-status.ts";
import { compileOptions } from "./repository-options.ts";
import { readSigners } from "./repository-secrets.ts";
import { parseDuration } from "./duration.ts";
import { isSameRepository, type Push } from "./webhooks.ts";

export type RepositoryPorts = {
  readonly client: Client;
  readonly git: Git;
  /** Logins of GitHub Apps; absent: a Secret of one is refused. */
  readonly githubApps?: GitHubApps;
  readonly compile: (tree: SourceTree, options: CompileOptions) => Promise<Compiled>;
  /** Brings charts from elsewhere; absent: what names one is a problem when it is rendered. */
  readonly charts?: (of: {
    /** Key of the GitRepo and how often it was asked for anew. */
    readonly repo: string;
    readonly commit: string;
    readonly loginFor: ChartLogins;
    readonly signal: AbortSignal;
  }) => ChartFetcher;
  readonly apply: (gitRepo: ClusterKey, compiled: Compiled, commit: string) => Promise<Applied>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly loopMetrics: LoopMetrics;
  readonly signal: AbortSignal;
  /** Refuse what Fleet refuses. */
  readonly isStrict: boolean;
};

export interface Repositories {
  readonly synced: Promise<void>;
  /** Secrets of GitRepos that follow a push, as `namespace/name`; empty for one that names none of its own. */
  secretsFor(push: Push): readonly string[];
  /** A push was told: who follows that branch, and has this secret where one is given, looks now. Answers how many do. */
  pushed(push: Push, secret?: string): number;
  /** Looks now at every GitRepo whose address is this one. */
  wake(url: string): number;
  /** Resolves when no round runs. */
  idle(): Promise<void>;
}

/** What was last applied of a GitRepo; forgotten by a restart, and then applied once more, which changes nothing. */
type Seen = { readonly commit: string; readonly wish: string };

/** Follows GitRepos: looks at their remote, compiles a new commit, and has its bundles applied. A problem changes nothing that runs. */
export function followRepositories(ports: RepositoryPorts): Repositories {
  const { client, clock, log, signal, loopMetrics } = ports;
  const informer = startInformer(client, gitRepos, { clock, log, signal });
  const rules = followRules({ client, clock, log, signal });
  const rounds = new Rounds(ports, informer, rules);
  const ready = Promise.all([informer.synced, rules.synced]).then(() => undefined);
  ready.catch(() => undefined);
  const loop = startLoop({
    name: "gitrepo",
    reconcile: (key) => rounds.round(key),
    keys: () => [...informer.list()].map(keyOf),
    workers: REPOSITORIES_AT_ONCE,
    ready,
    clock,
    log,
    metrics: loopMetrics,
    signal,
  });
  informer.subscribe(({ key, old, now }) => {
    // Our own status writes need no round.
    if (old !== undefined && now !== undefined && generationOf(old) === generationOf(now)) return;
    rounds.isDue.add(key);
    loop.add(key);
  });
  rules.subscribe(
    (namespace) =>
      void wakeAll(informer, { loop, rounds }, ({ metadata }) => metadata.namespace === namespace),
  );
  return {
    synced: ready,
    secretsFor: (push) => [
      ...new Set([...informer.list()].filter((repo) => followsPush(repo, push)).map(secretOf)),
    ],
    pushed: (push, secret) =>
      wakeAll(
        informer,
        { loop, rounds },
        (repo) => followsPush(repo, push) && (secret === undefined || secretOf(repo) === secret),
        push.commit,
      ),
    wake: (url) => wakeAll(informer, { loop, rounds }, ({ spec }) => isSameRepository(spec.repo, url)),
    idle: () => loop.idle(),
  };
}

function wakeAll(
  informer: Informer<GitRepo>,
  { loop, rounds }: { readonly loop: Loop; readonly rounds: Rounds },
  follows: (repo: Stored<GitRepo>) => boolean,
  commit?: string,
): number {
  const found = [...informer.list()].filter(follows).map(keyOf);
  for (const key of found) {
    rounds.isDue.add(key);
    if (commit !== undefined) rounds.told.set(key, commit);
    loop.add(key);
  }
  return found.length;
}

function secretOf({ metadata, spec }: Stored<GitRepo>): string {
  const { webhookSecret = "" } = spec;
  return webhookSecret === "" ? "" : `${metadata.namespace ?? ""}/${webhookSecret}`;
}

/** A branch of its own, or a tag of what its revision may be; a GitRepo without a branch follows `master`. */
function followsPush({ spec }: Stored<GitRepo>, push: Push): boolean {
  if (!push.urls.some((url) => isSameRepository(url, spec.repo))) return false;
  const { branch = "", revision = "" } = spec;
  if (branch === "" && revision !== "") return push.tag !== undefined || push.branch === revision;
  return push.branch === (branch === "" ? "master" : branch);
}

class Rounds {
  readonly #ports: RepositoryPorts;
  readonly #informer: Informer<GitRepo>;
  readonly #rules: RuleBook;
  readonly #seen = new Map<Key, Seen>();
  readonly #lookedAtMs = new Map<Key, number>();
  readonly isDue: Set<Key> = new Set();
  /** Commits that webhooks told. */
  readonly told = new Map<Key, string>();

  constructor(ports: RepositoryPorts, informer: Informer<GitRepo>, rules: RuleBook) {
    this.#rules = rules;
    this.#ports = ports;
    this.#informer = informer;
  }

  async round(key: Key): Promise<Outcome> {
    const repo = this.#informer.get(key);
    if (repo === undefined) {
      this.#seen.delete(key);
      this.#lookedAtMs.delete(key);
      await this.#removeBundles(splitKey(key));
      return done;
    }
    if (repo.metadata.deletionTimestamp !== undefined) return done;
    let allowed: Stored<GitRepo>;
    try {
      const rules = this.#rules.of(repo.metadata.namespace ?? "");
      allowed = { ...repo, spec: restrictRepo(repo.spec, rules) };
    } catch (error) {
      await this.#tell(repo, { refused: messageOf(error) });
      return { kind: "stalled", reason: messageOf(error) };
    }
    let everyMs: number;
    try {
      everyMs = pollMs(repo, this.#ports.random);
    } catch (error) {
      await this.#tell(repo, { polling: messageOf(error) });
      return { kind: "stalled", reason: messageOf(error) };
    }
    const waitMs = (this.#lookedAtMs.get(key) ?? -Infinity) + everyMs - this.#ports.clock.monotonicMs();
    if (!this.isDue.has(key) && waitMs > 0) return again(waitMs);
    this.isDue.delete(key);
    this.#lookedAtMs.set(key, this.#ports.clock.monotonicMs());
    await this.#follow(key, allowed);
    return repo.spec.disablePolling === true ? done : again(everyMs);
  }

  async #follow(key: Key, repo: Stored<GitRepo>): Promise<void> {
    const { git, log, signal } = this.#ports;
    const told = this.told.get(key);
    this.told.delete(key);
    let commit: GitCommit;
    let remote: GitRemote;
    try {
      remote = await remoteOf(repo, this.#ports);
      commit = await git.look(remote, repo.spec, { signal });
    } catch (error) {
      // A login that was taken back looks like a remote that does not answer.
      this.#ports.githubApps?.forget(keyOf(repo));
      await this.#tell(repo, { polling: messageOf(error) });
      return;
    }
    const seen = this.#seen.get(key);
    const wish = JSON.stringify(repo.spec);
    if (seen?.commit === commit.commit && seen.wish === wish) {
      await this.#tell(repo, { polling: "", commit: commit.commit, told });
      return;
    }
    let problems: readonly string[];
    await this.#tell(repo, { polling: "", told, commit: commit.commit, isApplying: true });
    try {
      problems = await this.#applyCommit(repo, remote, commit);
    } catch (error) {
      await this.#tell(repo, { polling: "", told, problems: [messageOf(error)], commit: commit.commit });
      return;
    }
    // A commit with problems is not looked at again until something changes: it would say the same.
    this.#seen.set(key, { commit: commit.commit, wish });
    await this.#tell(repo, { polling: "", commit: commit.commit, told, problems, isApplied: true });
    log.info("a commit was applied", { gitRepo: key, commit: commit.commit, problems: problems.length });
  }

  async #applyCommit(
    repo: Stored<GitRepo>,
    remote: GitRemote,
    commit: GitCommit,
  ): Promise<readonly string[]> {
    const { client, git, compile, apply, signal, isStrict } = this.#ports;
    const signers = await readSigners(client, repo, signal);
    await using tree = await git.bring(remote, commit, {
      signal,
      ...(signers === undefined ? {} : { signers }),
    });
    const read = await compile(tree, compileOptions(repo, { commit: commit.commit, strict: isStrict }));
    const compiled = await this.#withCharts(repo, { commit: commit.commit, compiled: read });
    const applied = await apply(placeOf(repo), compiled, commit.commit);
    return [
      ...compiled.problems.map(({ message }) => message),
      ...applied.kept.map(({ name, why }) => `Bundle ${name} is kept: ${why}`),
    ];
  }

  async #withCharts(
    repo: Stored<GitRepo>,
    { commit, compiled }: { readonly commit: string; readonly compiled: Compiled },
  ): Promise<Compiled> {
    const { charts, client, signal } = this.#ports;
    if (charts === undefined) return compiled;
    const loginFor = await readChartLogins(client, repo, signal);
    const key = `${keyOf(repo)}/${repo.spec.forceSyncGeneration ?? 0}`;
    return await withCharts(compiled, charts({ repo: key, commit, loginFor, signal }));
  }

  #tell(repo: Stored<GitRepo>, found: Found): Promise<void> {
    const { client, clock, signal } = this.#ports;
    return tellRepository(repo, found, { client, clock, signal, informer: this.#informer });
  }

  /** Whoever deletes a GitRepo deletes what it brought; each Bundle itself says whether its resources stay. */
  async #removeBundles({ namespace, name }: ClusterKey): Promise<void> {
    const { client, signal, log } = this.#ports;
    const { items } = await client.list(bundles, {
      namespace,
      labelSelector: `${REPO_LABEL}=${name}`,
      signal,
    });
    for (const { metadata } of items)
      await client.delete(bundles, { namespace, name: metadata.name, signal }).catch((error: unknown) => {
        if (!hasReason(error, "NotFound")) throw error;
      });
    if (items.length > 0)
      log.info("a GitRepo was deleted, and its bundles with it", { name, bundles: items.length });
  }
}

function generationOf({ metadata }: Stored<GitRepo>): number {
  return metadata.generation ?? 0;
}

function placeOf({ metadata }: Stored<GitRepo>): ClusterKey {
  return { namespace: metadata.namespace ?? "", name: metadata.name };
}

/** How long until the next look (fleet.md 4); @throws StatusError "Invalid" for an interval that is none */
function pollMs({ spec, status }: Stored<GitRepo>, random: Random): number {
  const given = spec.pollingInterval === undefined ? undefined : parseDuration(spec.pollingInterval);
  if (spec.pollingInterval !== undefined && given === undefined)
    throw new StatusError(
      "Invalid",
      `spec.pollingInterval ${JSON.stringify(spec.pollingInterval)} is not a duration such as 15s or 5m`,
    );
  const usual = (status?.webhookCommit ?? "") === "" ? POLL_MS_DEFAULT : POLL_MS_WITH_WEBHOOK;
  const ms = Math.max(POLL_MS_MIN, given === undefined || given === 0 ? usual : given);
  return ms * (1 + POLL_JITTER * random.float());
}
