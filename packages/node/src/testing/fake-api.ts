import { newClient, type Client } from "@cortado/client";
import type { Transport, TransportRequest, TransportResponse, WatchEvent } from "@cortado/client/transport";
import { StatusError } from "@cortado/std/status";

export type FakeObject = {
  apiVersion?: string;
  kind?: string;
  metadata: Record<string, unknown> & {
    name: string;
    namespace?: string;
    uid: string;
    resourceVersion: string;
  };
  [field: string]: unknown;
};

/** Enough of an API server for the node's tests: objects in memory, merge patches, graceful deletion of pods, and watches. */
export class FakeApi implements Transport {
  readonly client: Client = newClient(this);
  readonly #objects = new Map<string, FakeObject>();
  readonly #watchers = new Set<(collection: string, event: WatchEvent) => void>();
  /** Each write as "VERB PATH", for tests that count them. */
  readonly writes: string[] = [];
  #revision = 0;
  #uids = 0;

  /** An object by its collection's last part and key: `find("pods", "shop/order")`. */
  find(plural: string, key: string): FakeObject | undefined {
    const [name, namespace] = key.split("/").toReversed();
    for (const [path, object] of this.#objects)
      if (
        path.includes(`/${plural}/`) &&
        object.metadata.name === name &&
        object.metadata.namespace === namespace
      )
        return object;
    return undefined;
  }

  all(plural: string): readonly FakeObject[] {
    return [...this.#objects].filter(([path]) => path.includes(`/${plural}/`)).map(([, object]) => object);
  }

  send(request: TransportRequest): Promise<TransportResponse> {
    try {
      return Promise.resolve({ status: 200, body: this.#serve(request) });
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      return Promise.resolve({ status: error.code, body: error.toStatus() });
    }
  }

  async *watch(request: TransportRequest): AsyncGenerator<WatchEvent, void, void> {
    const waiting: WatchEvent[] = [];
    let wake: (() => void) | undefined;
    const take = (path: string, event: WatchEvent): void => {
      if (!inCollection(path, request.path) || !selected(event.object as FakeObject, request)) return;
      waiting.push(event);
      wake?.();
    };
    // What changed between the list and this watch.
    for (const [path, object] of this.#objects)
      if (Number(object.metadata.resourceVersion) > Number(request.query["resourceVersion"]))
        take(path, { type: "MODIFIED", object });
    this.#watchers.add(take);
    const stopped = new Promise<void>((resolve) =>
      request.signal.addEventListener("abort", () => resolve(), { once: true }),
    );
    try {
      while (!request.signal.aborted) {
        while (waiting.length > 0) yield structuredClone(waiting.shift() as WatchEvent);
        await Promise.race([stopped, new Promise<void>((resolve) => (wake = resolve))]);
      }
    } finally {
      this.#watchers.delete(take);
    }
  }

  #serve(request: TransportRequest): unknown {
    const { method, path } = request;
    if (method !== "GET") this.writes.push(`${method} ${path}`);
    if (method === "GET") return this.#read(request);
    if (method === "POST") return this.#create(path, request.body as FakeObject);
    if (method === "DELETE")
      return this.#delete(
        path,
        request.body as { gracePeriodSeconds?: number; preconditions?: { uid?: string } },
      );
    return this.#change(request);
  }

  #read(request: TransportRequest): unknown {
    const found = this.#objects.get(request.path);
    if (found !== undefined) return structuredClone(found);
    if (!isCollection(request.path)) throw new StatusError("NotFound", `${request.path} not found`);
    const items = [...this.#objects]
      .filter(([path, object]) => inCollection(path, request.path) && selected(object, request))
      .map(([, object]) => structuredClone(object));
    return { items, metadata: { resourceVersion: String(this.#revision) } };
  }

  #create(path: string, body: FakeObject): unknown {
    if (path.endsWith("/token"))
      return { status: { token: `token-${(this.#uids += 1)}`, expirationTimestamp: "2099-01-01T00:00:00Z" } };
    const full = `${path}/${body.metadata.name}`;
    if (this.#objects.has(full)) throw new StatusError("AlreadyExists", `${full} already exists`);
    const namespace = /\/namespaces\/([^/]+)\//.exec(full)?.[1];
    this.#uids += 1;
    const uid = `00000000-0000-4000-8000-${String(this.#uids).padStart(12, "0")}`;
    const metadata = { ...body.metadata, ...(namespace === undefined ? {} : { namespace }), uid };
    return this.#put(
      full,
      { ...structuredClone(body), metadata: metadata as FakeObject["metadata"] },
      "ADDED",
    );
  }

  #change({ method, path, body }: TransportRequest): unknown {
    const target = path.replace(/\/status$/, "");
    const before = this.#objects.get(target);
    if (before === undefined) throw new StatusError("NotFound", `${target} not found`);
    const change = body as FakeObject;
    if (change.metadata?.uid !== undefined && change.metadata.uid !== before.metadata.uid)
      throw new StatusError("Conflict", "uid differs");
    const after =
      method === "PUT"
        ? { ...change, metadata: { ...before.metadata, ...change.metadata } }
        : (merge(before, change) as FakeObject);
    return this.#put(target, after, "MODIFIED");
  }

  #delete(path: string, options: { gracePeriodSeconds?: number; preconditions?: { uid?: string } }): unknown {
    const before = this.#objects.get(path);
    if (before === undefined) throw new StatusError("NotFound", `${path} not found`);
    if (options.preconditions?.uid !== undefined && options.preconditions.uid !== before.metadata.uid)
      throw new StatusError("Conflict", "uid differs");
    const spec = before["spec"] as { terminationGracePeriodSeconds?: number; nodeName?: string } | undefined;
    const grace = options.gracePeriodSeconds ?? spec?.terminationGracePeriodSeconds ?? 30;
    if (path.includes("/pods/") && grace > 0 && spec?.nodeName !== undefined) {
      const metadata = {
        ...before.metadata,
        deletionTimestamp: "2026-01-01T00:00:00Z",
        deletionGracePeriodSeconds: grace,
      };
      return this.#put(path, { ...before, metadata }, "MODIFIED");
    }
    this.#objects.delete(path);
    this.#revision += 1;
    const gone = { ...before, metadata: { ...before.metadata, resourceVersion: String(this.#revision) } };
    for (const watcher of this.#watchers) watcher(path, { type: "DELETED", object: gone });
    return {};
  }

  #put(path: string, object: FakeObject, type: "ADDED" | "MODIFIED"): unknown {
    this.#revision += 1;
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(this.#revision) } };
    this.#objects.set(path, stored);
    for (const watcher of this.#watchers) watcher(path, { type, object: stored });
    return structuredClone(stored);
  }
}

function isCollection(path: string): boolean {
  const parts = path.split("/").slice(path.startsWith("/apis/") ? 4 : 3);
  return parts.length === 1 || (parts[0] === "namespaces" && parts.length === 3);
}

function inCollection(path: string, collection: string): boolean {
  if (path.startsWith(`${collection}/`)) return !path.slice(collection.length + 1).includes("/");
  const plural = collection.slice(collection.lastIndexOf("/") + 1);
  const root = collection.slice(0, collection.lastIndexOf("/"));
  return path.startsWith(`${root}/namespaces/`) && path.split("/").at(-2) === plural;
}

function selected(object: FakeObject, request: TransportRequest): boolean {
  const nodeName = /^spec\.nodeName=(.*)$/.exec(request.query["fieldSelector"] ?? "")?.[1];
  return (
    nodeName === undefined || (object["spec"] as { nodeName?: string } | undefined)?.nodeName === nodeName
  );
}

function merge(target: unknown, change: unknown): unknown {
  if (typeof change !== "object" || change === null || Array.isArray(change)) return structuredClone(change);
  const base =
    typeof target === "object" && target !== null && !Array.isArray(target)
      ? (target as Record<string, unknown>)
      : {};
  const result: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(change)) {
    if (value === null) delete result[key];
    else result[key] = merge(base[key], value);
  }
  return result;
}
