import type { Client } from "@cortado/client";
import type { ResourceType } from "@cortado/kinds/resources";
import { at, fieldOf, listAt, textAt, treeAt, type Tree } from "@cortado/kinds/tree";
import { hasReason } from "@cortado/std/status";

/** Splits `v1` or `GROUP/VERSION`. */
export function groupVersionOf(apiVersion: string): { readonly group: string; readonly version: string } {
  const slash = apiVersion.indexOf("/");
  return { group: apiVersion.slice(0, Math.max(0, slash)), version: apiVersion.slice(slash + 1) };
}

type Named = { readonly apiVersion: string; readonly kind: string };

/** Which resource a kind is, by the cluster's own discovery documents; remembers what it read. */
export class KindFinder {
  readonly #client: Client;
  readonly #read: Map<string, ReadonlyMap<string, ResourceType>> = new Map();

  constructor(client: Client) {
    this.#client = client;
  }

  /**
   * Undefined: the cluster does not serve it, and said so just now.
   * @throws StatusError "ServiceUnavailable" and the like: then nothing is known
   */
  async find({ apiVersion, kind }: Named, signal: AbortSignal): Promise<ResourceType | undefined> {
    const known = this.#read.get(apiVersion)?.get(kind);
    if (known !== undefined) return known;
    const kinds = await this.#readKinds(apiVersion, signal);
    this.#read.set(apiVersion, kinds);
    return kinds.get(kind);
  }

  /** After a definition changed: its group is read again. */
  forget(group: string): void {
    for (const apiVersion of [...this.#read.keys()])
      if (groupVersionOf(apiVersion).group === group) this.#read.delete(apiVersion);
  }

  async #readKinds(apiVersion: string, signal: AbortSignal): Promise<ReadonlyMap<string, ResourceType>> {
    const { group, version } = groupVersionOf(apiVersion);
    const kinds = new Map<string, ResourceType>();
    const path = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
    let document: unknown;
    try {
      document = await this.#client.raw({ method: "GET", path, query: {}, signal });
    } catch (error) {
      if (hasReason(error, "NotFound")) return kinds;
      throw error;
    }
    for (const resource of listAt(document, "resources")) {
      const [plural, kind] = [textAt(resource, "name"), textAt(resource, "kind")];
      if (plural === "" || plural.includes("/")) continue;
      const namespaced = fieldOf(resource, "namespaced") === true;
      kinds.set(kind, { group, version, plural, kind, namespaced });
    }
    return kinds;
  }
}

/** The resources that a CustomResourceDefinition of a bundle is about to make. */
export function definedTypes(definition: Tree): readonly ResourceType[] {
  const { group, scope, names, versions } = treeAt(definition, "spec");
  const [plural, kind] = [textAt(names, "plural"), textAt(names, "kind")];
  return (Array.isArray(versions) ? versions : [])
    .filter((version: unknown) => at(version, "served") !== false)
    .map((version: unknown) => ({
      group: String(group),
      version: textAt(version, "name"),
      plural,
      kind,
      namespaced: scope === "Namespaced",
    }));
}
