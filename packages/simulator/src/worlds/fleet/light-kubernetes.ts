import { newClient, type Client } from "@cortado/client";
import type { Transport, TransportRequest, TransportResponse, WatchEvent } from "@cortado/client/transport";
import { copyTree, isTree, sameTree, textAt, treeAt, type Tree } from "@cortado/kinds/tree";
import type { Clock } from "@cortado/std/clock";
import { uuidFrom, type Random } from "@cortado/std/random";
import { fromStatus, StatusError, toStatusError } from "@cortado/std/status";
import { never, type Life } from "../../faults/files.ts";

type Kind = { readonly kind: string; readonly namespaced: boolean; readonly root: string };
type Told = {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly plural: string;
  readonly object: Tree;
};

/** Changes that a watch may start from. */
const HISTORY_MAX = 400;

const kinds: Readonly<Record<string, Kind>> = {
  namespaces: { kind: "Namespace", namespaced: false, root: "/api/v1" },
  secrets: { kind: "Secret", namespaced: true, root: "/api/v1" },
  configmaps: { kind: "ConfigMap", namespaced: true, root: "/api/v1" },
  serviceaccounts: { kind: "ServiceAccount", namespaced: true, root: "/api/v1" },
  pods: { kind: "Pod", namespaced: true, root: "/api/v1" },
  deployments: { kind: "Deployment", namespaced: true, root: "/apis/apps/v1" },
};

/** Sees an object as it was and as it is, before anybody else does. */
export type Witness = (plural: string, old: Tree | undefined, now: Tree | undefined) => void;

/**
 * The API of a small Kubernetes, in some kilobytes: what an agent asks of one, so that a thousand of them fit into a test. It outlives
 * its callers; a write is there at once and for good. A few stores of the world run our real API server in its place.
 */
export class LightKubernetes {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #witness: Witness;
  readonly #objects = new Map<string, Tree>();
  readonly #history: Told[] = [];
  readonly #sleepers = new Set<() => void>();
  #forgotten = 0;
  #revision = 0;

  constructor(ports: { readonly clock: Clock; readonly random: Random; readonly witness: Witness }) {
    this.#clock = ports.clock;
    this.#random = ports.random;
    this.#witness = ports.witness;
    this.#put("namespaces", undefined, { metadata: { name: "kube-system" } });
  }

  /** A client of one process: once that is dead, nothing it asks has any effect, and nothing answers it. */
  clientOf(life: Life): Client {
    const transport: Transport = {
      send: (request) =>
        new Promise((resolve) => {
          if (!life.alive) return;
          this.#clock.after(1, () => {
            if (!life.alive) return;
            const answer = this.#answer(request);
            this.#clock.after(1, () => life.alive && resolve(answer));
          });
        }),
      watch: (request) => this.#watch(request, life),
    };
    return newClient(transport);
  }

  /** Loses an object, as a bug or a hand would. */
  remove(plural: string, namespace: string, name: string): void {
    const old = this.#objects.get(keyOf(plural, namespace, name));
    if (old !== undefined) this.#delete(plural, old, undefined);
  }

  /** Changes an object's data, as a bug or a hand would. */
  set(
    where: { readonly plural: string; readonly namespace: string; readonly name: string },
    data: Tree,
  ): void {
    const old = this.#objects.get(keyOf(where.plural, where.namespace, where.name));
    if (old !== undefined) this.#put(where.plural, old, { ...old, data });
  }

  #answer(request: TransportRequest): TransportResponse {
    try {
      return { status: 200, body: this.#serve(request) };
    } catch (error) {
      const { code, reason, message } = toStatusError(error);
      return { status: code, body: { kind: "Status", status: "Failure", code, reason, message } };
    }
  }

  #serve({ method, path, query, body, contentType = "" }: TransportRequest): unknown {
    if (path === "/version") return { gitVersion: "v1.36.0" };
    if (path === "/api/v1" || path === "/apis/apps/v1") return discovery(path);
    const { plural, namespace, name, isStatus } = readPath(path);
    if (method === "GET" && name === "") return this.#list(plural, namespace, query);
    if (method === "POST") return this.#create(plural, namespace, body as Tree);
    const key = keyOf(plural, namespace, name);
    const old = this.#objects.get(key);
    if (method === "PATCH" && contentType.includes("apply"))
      return this.#apply({ plural, namespace, name }, body);
    if (old === undefined) throw new StatusError("NotFound", `${plural} "${name}" not found`);
    if (method === "GET") return old;
    if (method === "DELETE") return this.#delete(plural, old, body);
    if (method !== "PATCH") throw new StatusError("MethodNotAllowed", `${method} is not served here`);
    const patched = mergePatch(old, body) as Tree;
    const spec = isStatus ? old["spec"] : patched["spec"];
    return this.#put(plural, old, { ...patched, ...(spec === undefined ? {} : { spec }) });
  }

  #list(plural: string, namespace: string, query: Readonly<Record<string, string>>): unknown {
    const items = [...this.#objects]
      .filter(([key]) => key.startsWith(namespace === "" ? `${plural}/` : `${plural}/${namespace}/`))
      .map(([, object]) => object)
      .filter((object) => isSelected(object, query["labelSelector"]));
    return { items, metadata: { resourceVersion: String(this.#revision) } };
  }

  #create(plural: string, namespace: string, object: Tree): Tree {
    const key = keyOf(plural, namespace, textAt(object, "metadata", "name"));
    if (this.#objects.has(key)) throw new StatusError("AlreadyExists", `${key} already exists`);
    return this.#put(plural, undefined, withNamespace(object, namespace));
  }

  #apply(where: { plural: string; namespace: string; name: string }, body: unknown): Tree {
    const { plural, namespace, name } = where;
    const old = this.#objects.get(keyOf(plural, namespace, name));
    const { metadata, ...rest } = body as Tree;
    const kept = old === undefined ? {} : { status: old["status"], metadata: old["metadata"] };
    const meta = { ...treeAt(kept, "metadata"), ...(metadata as Tree) };
    const { status, ...wanted } = { ...kept, ...rest, metadata: meta } as Tree;
    return this.#put(
      plural,
      old,
      withNamespace(status === undefined ? wanted : { ...wanted, status }, namespace),
    );
  }

  #delete(plural: string, old: Tree, body: unknown): Tree {
    const { uid, resourceVersion } = treeAt(body, "preconditions");
    const meta = treeAt(old, "metadata");
    const isOther = (wanted: unknown, has: unknown): boolean => wanted !== undefined && wanted !== has;
    if (isOther(uid, meta["uid"]) || isOther(resourceVersion, meta["resourceVersion"]))
      throw new StatusError("Conflict", "the precondition does not hold");
    this.#witness(plural, old, undefined);
    this.#objects.delete(keyOf(plural, textAt(meta, "namespace"), textAt(meta, "name")));
    this.#revision += 1;
    const gone = { ...old, metadata: { ...meta, resourceVersion: String(this.#revision) } };
    this.#tell({ type: "DELETED", plural, object: gone });
    return { kind: "Status", status: "Success" };
  }

  #put(plural: string, old: Tree | undefined, object: Tree): Tree {
    const before = treeAt(old, "metadata");
    const isOther = old === undefined || !sameTree(old["spec"], object["spec"]);
    const generation = Number(before["generation"] ?? 0) + (isOther ? 1 : 0);
    const uid = before["uid"] ?? uuidFrom(this.#random.bytes(16));
    const metadata = {
      ...treeAt(object, "metadata"),
      uid,
      generation,
      resourceVersion: before["resourceVersion"],
    };
    const now: Tree = copyTree({ ...object, metadata });
    if (old !== undefined && sameTree(old, now)) return old;
    this.#revision += 1;
    (now["metadata"] as Tree)["resourceVersion"] = String(this.#revision);
    this.#witness(plural, old, now);
    this.#objects.set(keyOf(plural, textAt(metadata, "namespace"), textAt(metadata, "name")), now);
    this.#tell({ type: old === undefined ? "ADDED" : "MODIFIED", plural, object: now });
    return now;
  }

  #tell(told: Told): void {
    this.#history.push(told);
    if (this.#history.length > HISTORY_MAX * 2)
      this.#forgotten += this.#history.splice(0, HISTORY_MAX).length;
    for (const wake of [...this.#sleepers]) wake();
  }

  async *#watch(
    { path, query, signal }: TransportRequest,
    life: Life,
  ): AsyncGenerator<WatchEvent, void, void> {
    const { plural, namespace } = readPath(path);
    let at = Number(query["resourceVersion"] ?? 0);
    while (!signal.aborted) {
      if (!life.alive) return never();
      if (at < this.#forgotten) throw fromStatus({ code: 410, reason: "Expired", message: "list again" });
      const next = this.#history[at - this.#forgotten];
      if (next === undefined) {
        await this.#news(signal);
        continue;
      }
      at += 1;
      const isInside = namespace === "" || textAt(next.object, "metadata", "namespace") === namespace;
      if (next.plural === plural && isInside && isSelected(next.object, query["labelSelector"]))
        yield { type: next.type, object: next.object };
    }
  }

  #news(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#sleepers.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#sleepers.add(wake);
      signal.addEventListener("abort", wake, { once: true });
    });
  }
}

function discovery(root: string): unknown {
  const resources = Object.entries(kinds)
    .filter(([, kind]) => kind.root === root)
    .map(([name, { kind, namespaced }]) => ({ name, kind, namespaced, verbs: ["get", "list"] }));
  return { resources };
}

function readPath(path: string): { plural: string; namespace: string; name: string; isStatus: boolean } {
  const rest = path.replace(/^\/api\/v1\/|^\/apis\/apps\/v1\//, "");
  const [, namespace = "", inside = rest] = /^namespaces\/([^/]+)\/(.+)$/.exec(rest) ?? [];
  const [plural = "", name = "", sub] = inside.split("/");
  if (kinds[plural] !== undefined && rest !== path)
    return { plural, namespace, name, isStatus: sub === "status" };
  throw new StatusError("NotFound", `the server could not find the requested resource ${path}`);
}

function keyOf(plural: string, namespace: string, name: string): string {
  return namespace === "" ? `${plural}/${name}` : `${plural}/${namespace}/${name}`;
}

function withNamespace(object: Tree, namespace: string): Tree {
  return namespace === "" ? object : { ...object, metadata: { ...treeAt(object, "metadata"), namespace } };
}

function isSelected(object: Tree, selector: string | undefined): boolean {
  const labels = treeAt(object, "metadata", "labels");
  return (selector ?? "").split(",").every((term) => {
    const [key = "", value] = term.split("=");
    return term === "" || (value === undefined ? key in labels : labels[key] === value);
  });
}

/** RFC 7386. */
function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isTree(patch)) return patch;
  const merged: Tree = isTree(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch))
    if (value === null) delete merged[key];
    else merged[key] = mergePatch(merged[key], value);
  return merged;
}
