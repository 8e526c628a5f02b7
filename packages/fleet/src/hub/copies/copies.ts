import type { Client } from "@cortado/client";
import { startInformer, type Informer } from "@cortado/client/informer";
import type { ConfigMap, Secret } from "@cortado/kinds";
import { configMaps, secrets } from "@cortado/kinds/resources";
import type { Tree } from "@cortado/kinds/tree";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import { StatusError } from "@cortado/std/status";
import type { BundleOptions } from "../../compile/bundle.ts";

export type CopyNames = NonNullable<BundleOptions["downstreamResources"]>;

export type CopyPorts = {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** A Secret or ConfigMap of a namespace that is followed came, went or changed. */
  readonly changed: (namespace: string, name: CopyNames[number]) => void;
};

type Source = ConfigMap | Secret;

/** Secrets and ConfigMaps beside a Bundle that it takes along to its stores (downstreamResources). A namespace is followed once a Bundle of it names one. */
export class Copies {
  readonly #ports: CopyPorts;
  readonly #followed: Map<string, Informer<Source>> = new Map();

  constructor(ports: CopyPorts) {
    this.#ports = ports;
  }

  /** As objects of a bundle: what they hold, under the bundle's own namespace in the store. @throws StatusError "Invalid" for one that is not there */
  async objects(namespace: string, names: CopyNames): Promise<readonly Tree[]> {
    const found: Tree[] = [];
    for (const { kind, name } of names) {
      if (kind !== "Secret" && kind !== "ConfigMap")
        throw new StatusError(
          "Invalid",
          `downstreamResources: ${kind} ${name} is not copied; name a Secret or a ConfigMap`,
        );
      const informer = this.#follow(namespace, kind);
      await informer.synced;
      const source = informer.get(`${namespace}/${name}`);
      if (source === undefined)
        throw new StatusError(
          "Invalid",
          `downstreamResources: ${kind} ${namespace}/${name} is not at the hub; make it there, beside the Bundle, or take it out of fleet.yaml`,
        );
      found.push(copyOf(kind, source));
    }
    return found;
  }

  #follow(namespace: string, kind: string): Informer<Source> {
    const key = `${kind}/${namespace}`;
    const known = this.#followed.get(key);
    if (known !== undefined) return known;
    const { client, clock, log, signal, changed } = this.#ports;
    const following = { namespace, clock, log, signal };
    const informer = (
      kind === "Secret"
        ? startInformer(client, secrets, following)
        : startInformer(client, configMaps, following)
    ) as Informer<Source>;
    this.#followed.set(key, informer);
    void informer.synced
      .then(() =>
        informer.subscribe(({ old, now }) => {
          const name = (now ?? old)?.metadata.name;
          if (name !== undefined) changed(namespace, { kind, name });
        }),
      )
      .catch(() => undefined);
    return informer;
  }
}

function copyOf(kind: string, source: Source): Tree {
  const { metadata, data, immutable, ...more } = source;
  const own =
    kind === "Secret" ? { type: (more as Secret).type } : { binaryData: (more as ConfigMap).binaryData };
  const fields = { ...own, data, immutable };
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  return {
    apiVersion: "v1",
    kind,
    metadata: { name: metadata.name ?? "" },
    ...(Object.fromEntries(given) as Tree),
  };
}
