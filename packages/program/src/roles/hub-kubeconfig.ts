import { chmod, mkdir, rename, writeFile } from "node:fs/promises";
import { hash } from "node:crypto";
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { hubKubeconfig, type KubeconfigOptions } from "@cortado/cluster/kubeconfig";
import { STORES_PATH } from "@cortado/fleet/hub/access";
import type { RunningHub } from "@cortado/fleet/hub";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { ServerConfig } from "../config/server-config.ts";

/** Stores with a context of their own; the others are reached with `--server HUB/stores/NAMESPACE/NAME`. */
const CONTEXTS_MAX = 1_000;
/** Clusters that come at once are one write; with many stores a write takes time, and the next waits so many times what the last one took. */
const GATHER_MS = 100;
const GATHER_PACE = 50;
/** A write that failed is tried again after so long. */
const AGAIN_MS = 10_000;

export type HubKubeconfigOptions = {
  readonly config: Pick<ServerConfig, "writeKubeconfig" | "writeKubeconfigMode">;
  readonly hub: Pick<RunningHub, "ready" | "clusters" | "onClusters">;
  /** The file's other words, as they are now. */
  readonly content: () => KubeconfigOptions;
  readonly clock: Clock;
  readonly log: Log;
};

export interface HubKubeconfig extends Disposable {
  /** The file is to be written again: a certificate is new. */
  renew(): void;
}

/** Keeps the administrator's kubeconfig: the hub is its current context, and each store has one that is named as the store. */
export async function keepHubKubeconfig(options: HubKubeconfigOptions): Promise<HubKubeconfig> {
  const { config, hub, content, clock, log } = options;
  const { writeKubeconfig: path, writeKubeconfigMode: mode } = config;
  /** A sum of the text: with a thousand stores it is half a megabyte. */
  let written = "";
  let tookMs = 0;
  let writing: Promise<void> = Promise.resolve();
  let waiting: Disposable | undefined;
  const write = async (): Promise<void> => {
    const startMs = clock.monotonicMs();
    const { server, ...rest } = content();
    const stores = contextsOf(hub.clusters, rest.name);
    const contexts = stores.map((one) => ({
      name: one.context,
      server: `${server}${STORES_PATH}${one.namespace}/${one.name}`,
    }));
    const text = hubKubeconfig({ server, ...rest }, contexts);
    tookMs = clock.monotonicMs() - startMs;
    const sum = hash("sha256", text);
    if (sum === written) return;
    await mkdir(dirname(path), { recursive: true });
    await writeFile(`${path}.next`, text, { mode });
    await chmod(`${path}.next`, mode); // an older half-written one may have had another
    await rename(`${path}.next`, path);
    written = sum;
  };
  const later = (ms: number): void => {
    waiting ??= clock.after(ms, () => {
      waiting = undefined;
      writing = writing.then(write).catch((error: unknown) => {
        log.error("the kubeconfig could not be written", { path, error });
        later(AGAIN_MS);
      });
    });
  };
  // A file from before knows its stores: it stays until this hub knows them too.
  if (!existsSync(path)) await write();
  hub.ready.then(
    () => later(0),
    () => undefined, // the hub stopped before it was ready
  );
  const following = hub.onClusters(() => later(GATHER_MS + tookMs * GATHER_PACE));
  return {
    renew: () => later(0),
    [Symbol.dispose]() {
      following[Symbol.dispose]();
      waiting?.[Symbol.dispose]();
    },
  };
}

type Context = { readonly namespace: string; readonly name: string; readonly context: string };

/** A store's context is its name; where two have one name, or it is the hub's, the others are NAMESPACE/NAME. Pure. */
export function contextsOf(
  clusters: Iterable<{ readonly namespace: string; readonly name: string }>,
  hubName: string,
): readonly Context[] {
  const taken = new Set([hubName]);
  const order = [...clusters].toSorted((one, other) =>
    `${one.namespace}/${one.name}` < `${other.namespace}/${other.name}` ? -1 : 1,
  );
  return order.slice(0, CONTEXTS_MAX).map(({ namespace, name }) => {
    const context = taken.has(name) ? `${namespace}/${name}` : name;
    taken.add(context);
    return { namespace, name, context };
  });
}
