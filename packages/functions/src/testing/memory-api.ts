import { newClient, type Client } from "@cortado/client";
import type { Transport, TransportRequest, TransportResponse, WatchEvent } from "@cortado/client/transport";

type Stored = {
  apiVersion?: string;
  kind?: string;
  metadata: {
    name: string;
    namespace?: string;
    uid: string;
    resourceVersion: string;
    generation: number;
    creationTimestamp: string;
    [field: string]: unknown;
  };
  [field: string]: unknown;
};
type Path = {
  readonly collection: string;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
  readonly namespace: string | undefined;
};

/** As much of an API server as the functions' loops need: for tests that are not about the server. */
export class MemoryApi implements Transport {
  readonly objects: Map<string, Stored> = new Map();
  readonly #watchers: Set<(collection: string, event: WatchEvent) => void> = new Set();
  #revision = 1;
  /** Set to make each write fail from now on. */
  fault: { readonly status: number; readonly reason: string } | undefined;

  get client(): Client {
    return newClient(this);
  }

  object(collection: string, namespace: string, name: string): Stored | undefined {
    return this.objects.get(`${collection}|${namespace}|${name}`);
  }

  all(collection: string): readonly Stored[] {
    return [...this.objects].filter(([key]) => key.startsWith(`${collection}|`)).map(([, object]) => object);
  }

  /** Puts an object as kubectl would. */
  apply(
    collection: string,
    object: {
      metadata: { name: string; namespace?: string; [field: string]: unknown };
      [field: string]: unknown;
    },
  ): void {
    const key = `${collection}|${object.metadata.namespace ?? ""}|${object.metadata.name}`;
    const old = this.objects.get(key);
    this.#put(key, { ...(old ?? {}), ...object } as Stored, old);
  }

  delete(collection: string, namespace: string, name: string): void {
    this.#remove(`${collection}|${namespace}|${name}`);
  }

  send(request: TransportRequest): Promise<TransportResponse> {
    const path = parsePath(request.path);
    const key = `${path.collection}|${path.namespace ?? ""}|${path.name ?? ""}`;
    const old = this.objects.get(key);
    if (request.method !== "GET" && this.fault !== undefined)
      return Promise.resolve(failure(this.fault.status, this.fault.reason, "fault"));
    if (request.method === "GET" && path.name === undefined) return Promise.resolve(this.#list(path));
    if (request.method === "POST")
      return Promise.resolve(this.#create(path, structuredClone(request.body) as Stored));
    const isApply = request.contentType === "application/apply-patch+yaml";
    if (old === undefined && !isApply)
      return Promise.resolve(failure(404, "NotFound", `${path.collection} "${path.name}" not found`));
    if (request.method === "GET") return Promise.resolve({ status: 200, body: structuredClone(old) });
    if (request.method === "DELETE") {
      this.#remove(key);
      return Promise.resolve({ status: 200, body: { kind: "Status", status: "Success" } });
    }
    const patch = structuredClone(request.body);
    const next =
      request.contentType === "application/json-patch+json"
        ? jsonPatched(old as Stored, patch as JsonPatch)
        : (merged(old ?? {}, patch) as Stored);
    return Promise.resolve({ status: 200, body: structuredClone(this.#put(key, next, old)) });
  }

  async *watch({ path, signal }: TransportRequest): AsyncIterable<WatchEvent> {
    const { collection, namespace } = parsePath(path);
    const waiting: WatchEvent[] = [];
    let wake: (() => void) | undefined;
    const watcher = (changed: string, event: WatchEvent): void => {
      const object = event.object as Stored;
      if (changed !== collection || (namespace !== undefined && object.metadata.namespace !== namespace))
        return;
      waiting.push(event);
      wake?.();
    };
    this.#watchers.add(watcher);
    signal.addEventListener("abort", () => wake?.(), { once: true });
    while (!signal.aborted) {
      const event = waiting.shift();
      if (event !== undefined) yield event;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
    this.#watchers.delete(watcher);
  }

  #list({ collection, namespace }: Path): TransportResponse {
    const items = this.all(collection).filter(
      ({ metadata }) => namespace === undefined || metadata.namespace === namespace,
    );
    return {
      status: 200,
      body: { items: structuredClone(items), metadata: { resourceVersion: String(this.#revision) } },
    };
  }

  #create({ collection, namespace }: Path, object: Stored): TransportResponse {
    const key = `${collection}|${namespace ?? ""}|${object.metadata.name}`;
    if (this.objects.has(key))
      return failure(409, "AlreadyExists", `${collection} "${object.metadata.name}" already exists`);
    if (namespace !== undefined) object.metadata.namespace = namespace;
    return { status: 201, body: structuredClone(this.#put(key, object, undefined)) };
  }

  #put(key: string, object: Stored, old: Stored | undefined): Stored {
    this.#revision += 1;
    const sameSpec = JSON.stringify(old?.["spec"]) === JSON.stringify(object["spec"]);
    object.metadata = {
      ...object.metadata,
      uid: old?.metadata.uid ?? `uid-${this.#revision}`,
      resourceVersion: String(this.#revision),
      generation: (old?.metadata.generation ?? 0) + (sameSpec && old !== undefined ? 0 : 1),
      creationTimestamp: old?.metadata.creationTimestamp ?? "2026-01-01T00:00:00Z",
    };
    this.objects.set(key, object);
    this.#tell(key, { type: old === undefined ? "ADDED" : "MODIFIED", object: structuredClone(object) });
    return object;
  }

  #remove(key: string): void {
    const old = this.objects.get(key);
    if (old === undefined) return;
    this.#revision += 1;
    this.objects.delete(key);
    this.#tell(key, {
      type: "DELETED",
      object: {
        ...structuredClone(old),
        metadata: { ...old.metadata, resourceVersion: String(this.#revision) },
      },
    });
  }

  #tell(key: string, event: WatchEvent): void {
    for (const watcher of this.#watchers) watcher(key.split("|")[0] ?? "", event);
  }
}

function parsePath(path: string): Path {
  const found =
    /^\/(?:api\/v1|apis\/[^/]+\/[^/]+)(?:\/namespaces\/([^/]+)(?=\/))?\/([^/]+)(?:\/([^/]+))?(?:\/([^/]+))?$/.exec(
      path,
    );
  return { collection: found?.[2] ?? path, name: found?.[3], namespace: found?.[1], subresource: found?.[4] };
}

function failure(code: number, reason: string, message: string): TransportResponse {
  return {
    status: code,
    body: { kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure", reason, message, code },
  };
}

function merged(old: unknown, patch: unknown): unknown {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
  const next: Record<string, unknown> =
    typeof old === "object" && old !== null && !Array.isArray(old) ? { ...old } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete next[name];
    else next[name] = merged(next[name], value);
  }
  return next;
}

type JsonPatch = readonly { readonly op: string; readonly path: string; readonly value: unknown }[];

function jsonPatched(old: Stored, patch: JsonPatch): Stored {
  const next = structuredClone(old);
  for (const { path, value } of patch) next[path.slice(1)] = value;
  return next;
}
