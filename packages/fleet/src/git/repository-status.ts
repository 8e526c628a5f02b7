import type { Client, Stored } from "@cortado/client";
import type { Informer } from "@cortado/client/informer";
import { gitRepos, type FleetCondition, type GitRepo } from "@cortado/kinds/fleet";
import type { ResourceType } from "@cortado/kinds/resources";
import { fieldOf } from "@cortado/kinds/tree";
import { toTime, type Clock } from "@cortado/std/clock";
import { hasReason } from "@cortado/std/status";
import { STATUS_ATTEMPTS_MAX } from "./limits.ts";

/** What a round came to. */
export type Found = {
  /** Why the remote could not be looked at; empty: it could; undefined: it was not tried. */
  readonly polling?: string;
  /** Why it may not be followed at all. */
  readonly refused?: string;
  readonly commit?: string;
  readonly told?: string | undefined;
  /** It is being brought and compiled. */
  readonly isApplying?: boolean;
  readonly problems?: readonly string[];
  readonly isApplied?: boolean;
};

export type StatusPorts = {
  readonly client: Client;
  readonly clock: Clock;
  readonly informer: Informer<GitRepo>;
  readonly signal: AbortSignal;
};

/** Writes what a round came to, when it is another than before. The hub writes the same status for its counts: who comes second looks again. */
export async function tellRepository(repo: Stored<GitRepo>, found: Found, ports: StatusPorts): Promise<void> {
  const { client, signal } = ports;
  const { namespace = "", name } = repo.metadata;
  let current = repo;
  for (let attempt = 1; ; attempt += 1)
    try {
      await write(current, { found, generation: repo.metadata.generation ?? 0 }, ports);
      return;
    } catch (error) {
      if (!hasReason(error, "Conflict") || attempt === STATUS_ATTEMPTS_MAX) throw error;
      current = await client.get(gitRepos, { namespace, name, signal });
    }
}

async function write(
  repo: Stored<GitRepo>,
  { found, generation }: { readonly found: Found; readonly generation: number },
  { client, clock, informer, signal }: StatusPorts,
): Promise<void> {
  const now = toTime(clock.nowMs());
  const old = repo.status?.conditions ?? [];
  const conditions = mergeConditions(old, [...conditionsOf(found), ...warnedOf(repo)], now);
  const { commit, told, isApplied, isApplying, problems } = found;
  const job = isApplying === true ? "InProgress" : problems === undefined ? undefined : jobOf(problems);
  const status = {
    ...(commit === undefined ? {} : { pollingCommit: commit }),
    ...(isApplied === true ? { commit, observedGeneration: generation, updateGeneration: generation } : {}),
    ...(told === undefined ? {} : { webhookCommit: told, lastWebhookTime: now }),
    ...(job === undefined ? {} : { gitJobStatus: job }),
  };
  const isSame =
    conditions === old &&
    Object.entries(status).every(([name, value]) => repo.status?.[name as "commit"] === value);
  if (isSame) return;
  const { namespace = "", name, resourceVersion } = repo.metadata;
  const body = {
    metadata: { resourceVersion },
    status: { ...status, ...(found.polling === undefined ? {} : { lastPollingTriggered: now }), conditions },
  };
  const written = await client.patch(gitRepos as ResourceType<GitRepo>, {
    namespace,
    name,
    type: "merge",
    subresource: "status",
    body,
    signal,
  });
  await informer.seen(written.metadata.resourceVersion);
}

/** Fields that Fleet has and that mean nothing here. */
const idle: Readonly<Record<string, string>> = {
  ociRegistrySecret: "content lies at the hub, and no registry is needed",
  imageScanInterval: "images stay as they are written; change them by a commit",
  imageScanCommit: "images stay as they are written; change them by a commit",
};

/** Condition Warned, where there is or was something to warn of; it makes nothing unready. */
function warnedOf({ spec, status }: Stored<GitRepo>): readonly FleetCondition[] {
  const given = Object.entries(idle).filter(([name]) => isSet(fieldOf(spec, name)));
  const message = given.map(([name, why]) => `spec.${name} changes nothing here: ${why}`).join("; ");
  if (message !== "") return [{ type: "Warned", status: "True", reason: "Warnings", message }];
  const isTold = status?.conditions?.some(({ type }) => type === "Warned") === true;
  return isTold ? [{ type: "Warned", status: "False" }] : [];
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null && value !== "";
}

/** Upstream's words for its job. */
function jobOf(problems: readonly string[]): string {
  return problems.length === 0 ? "Current" : "Failed";
}

/** Accepted, GitPolling, Reconciling and Stalled (fleet.md 1.3); Ready is the hub's, which counts stores. */
function conditionsOf({ polling, refused, problems, isApplying, commit }: Found): readonly FleetCondition[] {
  const wanted: FleetCondition[] = [];
  const say = (
    type: string,
    isTrue: boolean,
    { reason, message }: { reason: string; message: string },
  ): void =>
    void wanted.push({
      type,
      status: isTrue ? "True" : "False",
      ...(reason === "" ? {} : { reason }),
      ...(message === "" ? {} : { message: message.slice(0, 2_000) }),
    });
  const fine = { reason: "", message: "" };
  if (refused !== undefined) {
    say("Accepted", false, { reason: "Restricted", message: refused });
    say("Stalled", true, { reason: "Restricted", message: refused });
    say("Reconciling", false, fine);
    return wanted;
  }
  if (polling !== undefined)
    say("GitPolling", polling === "", polling === "" ? fine : { reason: "Failed", message: polling });
  if (isApplying === true)
    say("Reconciling", true, { reason: "Applying", message: `commit ${commit ?? ""} is being applied` });
  if (problems !== undefined) {
    const isWell = problems.length === 0;
    const why = isWell ? fine : { reason: "Error", message: problems.join("; ") };
    say("Accepted", isWell, why);
    say("Stalled", !isWell, why);
    say("Reconciling", false, fine);
  }
  return wanted;
}

/** The old list itself when nothing differs. */
function mergeConditions(
  old: readonly FleetCondition[],
  wanted: readonly FleetCondition[],
  now: string,
): readonly FleetCondition[] {
  const merged = wanted.map((one) => {
    const before = old.find(({ type }) => type === one.type);
    const isSame =
      before?.status === one.status &&
      (before.message ?? "") === (one.message ?? "") &&
      (before.reason ?? "") === (one.reason ?? "");
    if (before !== undefined && isSame) return before;
    const changedAt = before?.status === one.status ? before.lastTransitionTime : now;
    return { ...one, lastUpdateTime: now, lastTransitionTime: changedAt ?? now };
  });
  if (merged.every((one) => old.includes(one))) return old;
  return [...old.filter(({ type }) => !merged.some((one) => one.type === type)), ...merged];
}
