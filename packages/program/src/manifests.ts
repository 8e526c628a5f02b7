import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Client } from "@cortado/client";
import type { KubeObject } from "@cortado/kinds";
import type { ResourceType } from "@cortado/kinds/resources";
import { every, type Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import { StatusError } from "@cortado/std/status";
import { loadAll } from "js-yaml";

/** How often the folder is looked at (K3s: 15 s). */
const LOOK_MS = 2_000;

export type ManifestsOptions = {
  readonly folder: string;
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Log;
};

type Applied = { readonly stamp: string; readonly failed: boolean };

/**
 * Applies every YAML file of a folder, at start and when it changes, as K3s does with server/manifests. An object that cannot be
 * applied is told with its file and tried again; the others of its file are applied all the same. Removing a file deletes nothing.
 */
export function followManifests(options: ManifestsOptions): AsyncDisposable {
  const { clock, log } = options;
  const stop = new AbortController();
  const known = new Map<string, Applied>();
  let running: Promise<void> | undefined;
  const look = (): void => {
    running ??= lookOnce(options, known, stop.signal)
      .catch((error: unknown) =>
        log.warn("manifests could not be looked at", { folder: options.folder, error }),
      )
      .finally(() => (running = undefined));
  };
  look();
  const looking = every(clock, LOOK_MS, look);
  return {
    async [Symbol.asyncDispose]() {
      looking[Symbol.dispose]();
      stop.abort(new Error("the server stops"));
      await running;
    },
  };
}

async function lookOnce(
  options: ManifestsOptions,
  known: Map<string, Applied>,
  signal: AbortSignal,
): Promise<void> {
  const { folder, log } = options;
  const names = (await readdir(folder).catch(() => []))
    .filter((name) => /\.(yaml|yml|json)$/.test(name))
    .toSorted();
  for (const name of names) {
    const path = join(folder, name);
    const { mtimeMs, size } = await stat(path);
    const stamp = `${mtimeMs}/${size}`;
    const before = known.get(name);
    if (before?.stamp === stamp && !before.failed) continue;
    const problems = await applyFile(options, path, signal);
    known.set(name, { stamp, failed: problems.length > 0 });
    for (const problem of problems) log.warn("manifest not applied", { file: name, problem });
    if (problems.length === 0) log.info("manifest applied", { file: name });
  }
}

async function applyFile(
  { client }: ManifestsOptions,
  path: string,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const problems: string[] = [];
  let documents: readonly unknown[];
  try {
    documents = loadAll(await readFile(path, "utf8"));
  } catch (error) {
    return [(error as Error).message.split("\n")[0] ?? "not YAML"];
  }
  for (const document of documents) {
    if (document === null || document === undefined) continue;
    try {
      await applyObject(client, document as KubeObject, signal);
    } catch (error) {
      const { kind, metadata } = document as Partial<KubeObject>;
      problems.push(`${kind} ${metadata?.name}: ${(error as Error).message}`);
    }
  }
  return problems;
}

/** Applies one object server-side, whatever its kind. */
export async function applyObject(client: Client, object: KubeObject, signal: AbortSignal): Promise<void> {
  const type = await findType(client, object, signal);
  const { name, namespace = "default" } = object.metadata;
  const where = type.namespaced ? { name, namespace } : { name };
  await client.patch(type, {
    ...where,
    type: "apply",
    body: object,
    fieldManager: "cortado-manifests",
    force: true,
    signal,
  });
}

async function findType(client: Client, object: KubeObject, signal: AbortSignal): Promise<ResourceType> {
  const [group = "", version = ""] = object.apiVersion.includes("/")
    ? object.apiVersion.split("/")
    : ["", object.apiVersion];
  const path = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
  const answer = (await client.raw({ method: "GET", path, query: {}, signal })) as {
    readonly resources: readonly {
      readonly name: string;
      readonly kind: string;
      readonly namespaced: boolean;
    }[];
  };
  const found = answer.resources.find(({ kind, name }) => kind === object.kind && !name.includes("/"));
  if (found === undefined)
    throw new StatusError("NotFound", `the server has no kind ${object.kind} in ${object.apiVersion}`);
  return { group, version, plural: found.name, kind: found.kind, namespaced: found.namespaced };
}
