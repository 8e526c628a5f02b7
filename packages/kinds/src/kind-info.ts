import type { FieldError } from "./field-errors.ts";
import type { KubeObject } from "./kinds.ts";
import type { Schema } from "./schema/schema.ts";
import type { Tree } from "./tree.ts";

/** One column of a Table (`meta.k8s.io/v1`); priority 1 shows with `-o wide` only. */
export type Column = {
  readonly name: string;
  readonly type: "string" | "integer" | "number" | "boolean" | "date";
  readonly format?: string;
  readonly description?: string;
  readonly priority?: number;
};

export type Cell = string | number | boolean | null;

export type TableInfo = {
  readonly columns: readonly Column[];
  /** One cell for each column. */
  cells(object: Tree, context: { readonly nowMs: number }): readonly Cell[];
};

export const allVerbs = [
  "create",
  "delete",
  "deletecollection",
  "get",
  "list",
  "patch",
  "update",
  "watch",
] as const;

export type Subresource = {
  readonly name: string;
  readonly verbs: readonly string[];
  /** The kind that goes over the wire, where it is not the resource's own. */
  readonly group?: string;
  readonly version?: string;
  readonly kind?: string;
};

export type Scale = {
  /** Paths as in a CRD: `.spec.replicas`. */
  readonly specReplicas: string;
  readonly statusReplicas: string;
  /** The selector as text. */
  selector(object: Tree): string;
};

export type UpdateContext = { readonly subresource: string };

/** What a kind does beside being stored; every rule is optional. */
export type KindRules = {
  /** Problems of a name, none when it is fine; default: DNS-1123 subdomain. */
  nameProblems?(name: string): readonly string[];
  /** Fills what the client left out; runs on each write and must be idempotent. */
  defaults?(object: Tree): void;
  prepareForCreate?(object: Tree): void;
  prepareForUpdate?(next: Tree, current: Tree, context: UpdateContext): void;
  validate?(object: Tree): readonly FieldError[];
  validateUpdate?(next: Tree, current: Tree, context: UpdateContext): readonly FieldError[];
  /** Field selectors beside metadata.name and metadata.namespace. */
  readonly fields?: Readonly<Record<string, (object: Tree) => string>>;
  /** Seconds that a deletion waits; 0 deletes at once. */
  graceSeconds?(object: Tree): number;
  /** Finalizers that a new object gets are the kind's affair. */
  readonly scale?: Scale;
  /** Writes that may be forgotten by a crash (store.ts, Write). */
  isVolatile?(next: Tree, current: Tree | undefined): boolean;
};

/** A kind of the API, as data. */
export type KindInfo = {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly listKind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly namespaced: boolean;
  readonly verbs: readonly string[];
  readonly subresources: readonly Subresource[];
  /** Where the schema is: a name in the generated schemas, or a CRD's own. */
  readonly schema: { readonly ref: string } | { readonly own: Schema };
  /** Status is written by `/status` only, and `/status` writes status only. */
  readonly hasStatus: boolean;
  /** metadata.generation counts the changes of what is wanted. */
  readonly hasGeneration: boolean;
  /** An update may leave out the resourceVersion. */
  readonly updatesWithoutVersion: boolean;
  /** A PUT makes the object when it is absent. */
  readonly createsOnUpdate: boolean;
  /** A custom resource: takes no protobuf and no strategic patch; unknown fields are pruned by its schema. */
  readonly custom: boolean;
  /** The kind under which the bytes are kept, when it is another version or group. */
  readonly storedAs: StoredAs | undefined;
  readonly table: TableInfo | undefined;
  readonly rules: KindRules;
};

export type StoredAs = {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  /** Objects of this kind to the stored kind and back. */
  toStored(object: Tree): Tree;
  fromStored(object: Tree): Tree;
};

export type KindInput = Partial<Omit<KindInfo, "schema">> & {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly schema?: KindInfo["schema"];
};

/** Fills in what most kinds share. */
export function defineKind(input: KindInput): KindInfo {
  const base: KindInfo = {
    group: input.group,
    version: input.version,
    kind: input.kind,
    plural: input.plural,
    listKind: `${input.kind}List`,
    singular: input.kind.toLowerCase(),
    shortNames: [],
    categories: [],
    namespaced: true,
    verbs: allVerbs,
    subresources: [],
    schema: { ref: schemaName(input) },
    hasStatus: false,
    hasGeneration: false,
    updatesWithoutVersion: true,
    createsOnUpdate: false,
    custom: false,
    storedAs: undefined,
    table: undefined,
    rules: {},
  };
  const info = { ...base, ...input };
  return info.hasStatus ? { ...info, subresources: [...info.subresources, statusSubresource] } : info;
}

const statusSubresource: Subresource = { name: "status", verbs: ["get", "patch", "update"] };

/** `io.k8s.api.apps.v1.Deployment`: a built-in kind's name in OpenAPI. */
export function schemaName(kind: {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}): string {
  const { group, version } = kind;
  if (group === "apiextensions.k8s.io")
    return `io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.${version}.${kind.kind}`;
  if (group === "apiregistration.k8s.io")
    return `io.k8s.kube-aggregator.pkg.apis.apiregistration.${version}.${kind.kind}`;
  if (group === "metrics.k8s.io") return `io.k8s.metrics.pkg.apis.metrics.${version}.${kind.kind}`;
  const room = group === "" ? "core" : (group.split(".")[0] ?? group);
  return `io.k8s.api.${room}.${version}.${kind.kind}`;
}

/** `v1` or `GROUP/VERSION` of a kind. */
export function apiVersionText(kind: { readonly group: string; readonly version: string }): string {
  return kind.group === "" ? kind.version : `${kind.group}/${kind.version}`;
}

/** Reads a checked object as its type: the schema has been over it. */
export function asKind<Kept extends KubeObject>(object: Tree): Kept {
  return object as unknown as Kept;
}
