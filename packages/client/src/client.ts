import type { Draft, KubeObject, ObjectMeta } from "@cortado/kinds";
import { apiVersionOf, type ResourceType } from "@cortado/kinds/resources";
import { fromStatus, StatusError } from "@cortado/std/status";
import type { Transport, TransportRequest, WatchEvent } from "./transport.ts";

/** An object to be created or replaced: the client fills in apiVersion and kind from the resource. */
export type Unkinded<Kind extends KubeObject> = Omit<Draft<Kind>, "apiVersion" | "kind">;

/** As read from a server: the metadata that a server always sets is there. */
export type Stored<Kind extends KubeObject> = Kind & {
  readonly metadata: ObjectMeta & { readonly uid: string; readonly resourceVersion: string };
};

export type Where = { readonly name: string; readonly namespace?: string };
export type Selection = {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
};
export type Waiting = { readonly signal: AbortSignal };
export type Subresource = { readonly subresource?: string };
export type FieldManager = { readonly fieldManager?: string };
export type Page = { readonly limit?: number; readonly continue?: string };

export type ListOf<Kind extends KubeObject> = {
  readonly items: readonly Stored<Kind>[];
  readonly resourceVersion: string;
  readonly continue?: string;
};

export const patchTypes = {
  json: "application/json-patch+json",
  merge: "application/merge-patch+json",
  strategic: "application/strategic-merge-patch+json",
  apply: "application/apply-patch+yaml",
} as const;

export type PatchOptions = Where &
  Waiting &
  Subresource &
  FieldManager & {
    readonly type: keyof typeof patchTypes;
    readonly body: unknown;
    /** With "apply": take over the fields of other managers. */
    readonly force?: boolean;
  };

export type DeleteOptions = Where &
  Waiting & {
    readonly gracePeriodSeconds?: number;
    readonly propagationPolicy?: "Orphan" | "Background" | "Foreground";
    readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
  };

export type WatchOptions = Selection &
  Waiting & { readonly resourceVersion: string; readonly timeoutSeconds?: number };

/** A typed change seen by a watch; BOOKMARK carries only the new resourceVersion. */
export type Change<Kind extends KubeObject> = {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK";
  readonly object: Stored<Kind>;
};

/**
 * The typed client. Every call rejects with the server's Status as a StatusError ("NotFound", "Conflict", "Invalid", …), or with
 * "ServiceUnavailable" when no server answers.
 */
export interface Client {
  get<Kind extends KubeObject>(type: ResourceType<Kind>, options: Where & Waiting): Promise<Stored<Kind>>;
  list<Kind extends KubeObject>(
    type: ResourceType<Kind>,
    options: Selection & Page & Waiting,
  ): Promise<ListOf<Kind>>;
  create<Kind extends KubeObject>(
    type: ResourceType<Kind>,
    object: Unkinded<Kind>,
    options: Waiting & FieldManager & { readonly namespace?: string },
  ): Promise<Stored<Kind>>;
  /** POSTs to a subresource of an object: "token", "eviction", "binding". */
  createSub<Answer>(
    type: ResourceType,
    body: unknown,
    options: Where & Waiting & { readonly subresource: string },
  ): Promise<Answer>;
  update<Kind extends KubeObject>(
    type: ResourceType<Kind>,
    object: Unkinded<Kind>,
    options: Waiting & Subresource & FieldManager,
  ): Promise<Stored<Kind>>;
  patch<Kind extends KubeObject>(type: ResourceType<Kind>, options: PatchOptions): Promise<Stored<Kind>>;
  delete(type: ResourceType, options: DeleteOptions): Promise<void>;
  deleteCollection(type: ResourceType, options: Selection & Waiting): Promise<void>;
  watch<Kind extends KubeObject>(
    type: ResourceType<Kind>,
    options: WatchOptions,
  ): AsyncIterable<Change<Kind>>;
  /** Any other path of the server. */
  raw(request: TransportRequest): Promise<unknown>;
}

export function newClient(transport: Transport): Client {
  const send = async (request: TransportRequest): Promise<unknown> => {
    const { status, body } = await transport.send(request);
    if (status >= 400) throw fromStatus(body);
    return body;
  };
  return {
    async get<Kind extends KubeObject>(type: ResourceType<Kind>, { signal, ...where }: Where & Waiting) {
      return (await send({
        method: "GET",
        path: objectPath(type, where),
        query: {},
        signal,
      })) as Stored<Kind>;
    },
    async list<Kind extends KubeObject>(
      type: ResourceType<Kind>,
      { signal, namespace, ...query }: Selection & Page & Waiting,
    ) {
      const path = collectionPath(type, namespace);
      return toList<Kind>(await send({ method: "GET", path, query: toQuery(query), signal }));
    },
    async create<Kind extends KubeObject>(
      type: ResourceType<Kind>,
      object: Unkinded<Kind>,
      { signal, namespace, ...query }: Waiting & FieldManager & { readonly namespace?: string },
    ) {
      const path = collectionPath(type, namespace ?? object.metadata.namespace);
      const body = withKind(type, object);
      return (await send({ method: "POST", path, query: toQuery(query), body, signal })) as Stored<Kind>;
    },
    async createSub<Answer>(
      type: ResourceType,
      body: unknown,
      options: Where & Waiting & { readonly subresource: string },
    ) {
      const path = objectPath(type, options);
      return (await send({ method: "POST", path, query: {}, body, signal: options.signal })) as Answer;
    },
    async update<Kind extends KubeObject>(
      type: ResourceType<Kind>,
      object: Unkinded<Kind>,
      { signal, subresource, ...query }: Waiting & Subresource & FieldManager,
    ) {
      const path = objectPath(type, {
        ...whereOf(object),
        ...(subresource === undefined ? {} : { subresource }),
      });
      return (await send({
        method: "PUT",
        path,
        query: toQuery(query),
        body: withKind(type, object),
        signal,
      })) as Stored<Kind>;
    },
    async patch<Kind extends KubeObject>(type: ResourceType<Kind>, options: PatchOptions) {
      const { fieldManager, force, signal, body } = options;
      const query = toQuery({ fieldManager, ...(force === true ? { force: "true" } : {}) });
      const contentType = patchTypes[options.type];
      const path = objectPath(type, options);
      return (await send({ method: "PATCH", path, query, contentType, body, signal })) as Stored<Kind>;
    },
    async delete(type, { signal, gracePeriodSeconds, propagationPolicy, preconditions, ...where }) {
      const body = {
        kind: "DeleteOptions",
        apiVersion: "v1",
        gracePeriodSeconds,
        propagationPolicy,
        preconditions,
      };
      await send({ method: "DELETE", path: objectPath(type, where), query: {}, body, signal });
    },
    async deleteCollection(type, { signal, namespace, ...query }) {
      await send({ method: "DELETE", path: collectionPath(type, namespace), query: toQuery(query), signal });
    },
    watch: <Kind extends KubeObject>(type: ResourceType<Kind>, options: WatchOptions) =>
      watch<Kind>(transport, type, options),
    raw: send,
  };
}

async function* watch<Kind extends KubeObject>(
  transport: Transport,
  type: ResourceType<Kind>,
  { signal, namespace, timeoutSeconds, ...rest }: WatchOptions,
): AsyncIterable<Change<Kind>> {
  const timeout = timeoutSeconds === undefined ? {} : { timeoutSeconds: String(timeoutSeconds) };
  const query = toQuery({ ...rest, ...timeout, watch: "true", allowWatchBookmarks: "true" });
  for await (const event of transport.watch({
    method: "GET",
    path: collectionPath(type, namespace),
    query,
    signal,
  }))
    yield toChange<Kind>(event);
}

function toChange<Kind extends KubeObject>(event: WatchEvent): Change<Kind> {
  if (event.type === "ERROR") throw fromStatus(event.object);
  return { type: event.type, object: event.object as Stored<Kind> };
}

function toList<Kind extends KubeObject>(body: unknown): ListOf<Kind> {
  const list = body as { items?: Stored<Kind>[]; metadata?: { resourceVersion?: string; continue?: string } };
  const { resourceVersion = "", continue: next } = list.metadata ?? {};
  return {
    items: list.items ?? [],
    resourceVersion,
    ...(next === undefined || next === "" ? {} : { continue: next }),
  };
}

// Lists leave out the kind of their items, and callers build objects without it; the server wants it in a body.
function withKind<Kind extends KubeObject>(type: ResourceType<Kind>, object: Unkinded<Kind>): unknown {
  return { ...object, apiVersion: apiVersionOf(type), kind: type.kind };
}

function whereOf(object: {
  readonly metadata: { readonly name?: string; readonly namespace?: string };
}): Where {
  const { name, namespace } = object.metadata;
  if (name === undefined)
    throw new StatusError("BadRequest", "an update needs metadata.name; create the object instead");
  return { name, ...(namespace === undefined ? {} : { namespace }) };
}

/** The path of a collection; of a namespaced kind without a namespace: of all namespaces. */
export function collectionPath(type: ResourceType, namespace: string | undefined): string {
  const root = type.group === "" ? `/api/${type.version}` : `/apis/${type.group}/${type.version}`;
  const inside =
    type.namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : "";
  return `${root}${inside}/${type.plural}`;
}

export function objectPath(type: ResourceType, where: Where & Subresource): string {
  if (type.namespaced && where.namespace === undefined)
    throw new StatusError("BadRequest", `${type.plural} ${JSON.stringify(where.name)} needs a namespace`);
  const below = where.subresource === undefined ? "" : `/${where.subresource}`;
  return `${collectionPath(type, where.namespace)}/${encodeURIComponent(where.name)}${below}`;
}

function toQuery(fields: Readonly<Record<string, string | number | undefined>>): Record<string, string> {
  const query: Record<string, string> = {};
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) query[name] = String(value);
  return query;
}
