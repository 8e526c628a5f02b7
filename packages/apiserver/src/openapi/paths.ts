import type { KindInfo } from "@cortado/kinds/kind-info";
import type { Tree } from "@cortado/kinds/tree";
import { patchTypes } from "../verbs/patch.ts";

export type DocumentForm = "v2" | "v3";

const meta = "io.k8s.apimachinery.pkg.apis.meta.v1";

function refTo(name: string, form: DocumentForm): Tree {
  return { $ref: (form === "v3" ? "#/components/schemas/" : "#/definitions/") + name };
}

/** `com.openfaas.v1.Function`: a custom kind's name in documents. */
export function customName(kind: KindInfo): string {
  return `${kind.group.split(".").toReversed().join(".")}.${kind.version}.${kind.kind}`;
}

export function componentName(kind: KindInfo): string {
  return "ref" in kind.schema ? kind.schema.ref : customName(kind);
}

/** A custom kind and its list, with the metadata that every object has. */
export function customComponents(kind: KindInfo, form: DocumentForm): Tree {
  if (!("own" in kind.schema)) return {};
  const name = customName(kind);
  const own = kind.schema.own as Tree;
  const standard = {
    apiVersion: {
      type: "string",
      description: "APIVersion defines the versioned schema of this representation of an object.",
    },
    kind: {
      type: "string",
      description: "Kind is a string value representing the REST resource this object represents.",
    },
    metadata:
      form === "v3"
        ? { allOf: [refTo(`${meta}.ObjectMeta`, form)], description: "Standard object's metadata." }
        : refTo(`${meta}.ObjectMeta`, form),
  };
  const groupVersionKind = (word: string): Tree[] => [
    { group: kind.group, kind: word, version: kind.version },
  ];
  return {
    [name]: {
      ...own,
      properties: { ...(own["properties"] as Tree | undefined), ...standard },
      "x-kubernetes-group-version-kind": groupVersionKind(kind.kind),
    },
    [`${name}List`]: {
      type: "object",
      description: `${kind.listKind} is a list of ${kind.kind}`,
      required: ["items"],
      properties: {
        ...standard,
        metadata:
          form === "v3" ? { allOf: [refTo(`${meta}.ListMeta`, form)] } : refTo(`${meta}.ListMeta`, form),
        items: { type: "array", items: refTo(name, form) },
      },
      "x-kubernetes-group-version-kind": groupVersionKind(kind.listKind),
    },
  };
}

function parameter(name: string, type: string, form: DocumentForm): Tree {
  const place = { name, in: "query" };
  return form === "v3"
    ? { ...place, schema: { type, uniqueItems: true } }
    : { ...place, type, uniqueItems: true };
}

function pathParameter(name: string, form: DocumentForm): Tree {
  const place = { name, in: "path", required: true };
  return form === "v3"
    ? { ...place, schema: { type: "string", uniqueItems: true } }
    : { ...place, type: "string", uniqueItems: true };
}

const writeNames = ["dryRun", "fieldManager", "fieldValidation"];
const listNames = [
  "allowWatchBookmarks",
  "continue",
  "fieldSelector",
  "labelSelector",
  "limit",
  "resourceVersion",
  "resourceVersionMatch",
  "sendInitialEvents",
  "timeoutSeconds",
  "watch",
];
const numbers = new Set(["limit", "timeoutSeconds"]);
const booleans = new Set(["allowWatchBookmarks", "sendInitialEvents", "watch", "force"]);

function parameters(names: readonly string[], form: DocumentForm): readonly Tree[] {
  return names.map((name) =>
    parameter(name, numbers.has(name) ? "integer" : booleans.has(name) ? "boolean" : "string", form),
  );
}

type Operation = {
  readonly kind: KindInfo;
  readonly verb: string;
  readonly action: string;
  readonly form: DocumentForm;
};

function operation({ kind, verb, action, form }: Operation): Tree {
  const name = action === "list" ? `${componentName(kind)}List` : componentName(kind);
  const code = action === "post" ? "201" : "200";
  const ok =
    form === "v3"
      ? { description: "OK", content: { "application/json": { schema: refTo(name, form) } } }
      : { description: "OK", schema: refTo(name, form) };
  const queries =
    action === "patch"
      ? [...writeNames, "force"]
      : action === "list"
        ? listNames
        : action === "get"
          ? []
          : writeNames;
  const wantsBody = ["post", "put", "patch"].includes(action);
  const group = kind.group === "" ? "core" : kind.group;
  return {
    tags: [`${group.replaceAll(".", "_")}_${kind.version}`],
    operationId: `${verb}${kind.group}${kind.version}${kind.namespaced ? "Namespaced" : ""}${kind.kind}`,
    parameters: [
      ...parameters(queries, form),
      ...(form === "v2" && wantsBody
        ? [{ name: "body", in: "body", required: true, schema: bodySchema(kind, action, form) }]
        : []),
    ],
    ...(form === "v3" && wantsBody
      ? { requestBody: { required: true, content: bodyContent(kind, action) } }
      : {}),
    responses: { [code]: ok, "401": { description: "Unauthorized" } },
    "x-kubernetes-action": action,
    "x-kubernetes-group-version-kind": { group: kind.group, kind: kind.kind, version: kind.version },
  };
}

function bodySchema(kind: KindInfo, action: string, form: DocumentForm): Tree {
  return action === "patch" ? { type: "object" } : refTo(componentName(kind), form);
}

function bodyContent(kind: KindInfo, action: string): Tree {
  if (action !== "patch") return { "application/json": { schema: refTo(componentName(kind), "v3") } };
  const types = Object.values<string>(patchTypes).filter(
    (type) => !kind.custom || type !== patchTypes.strategic,
  );
  return Object.fromEntries(types.map((type) => [type, { schema: { type: "object" } }]));
}

/** The paths of a kind with the operations that it has. */
export function pathsOf(kind: KindInfo, form: DocumentForm): Tree {
  const root = kind.group === "" ? `/api/${kind.version}` : `/apis/${kind.group}/${kind.version}`;
  const collection = kind.namespaced
    ? `${root}/namespaces/{namespace}/${kind.plural}`
    : `${root}/${kind.plural}`;
  const place = kind.namespaced ? [pathParameter("namespace", form)] : [];
  const has = (verb: string): boolean => kind.verbs.includes(verb);
  const make = (verb: string, action: string): Tree => operation({ kind, verb, action, form });
  const paths: Tree = {};
  paths[collection] = {
    ...(has("list") ? { get: make("list", "list") } : {}),
    ...(has("create") ? { post: make("create", "post") } : {}),
    ...(has("deletecollection") ? { delete: make("deleteCollection", "deletecollection") } : {}),
    parameters: place,
  };
  if (has("get"))
    paths[`${collection}/{name}`] = {
      get: make("read", "get"),
      ...(has("update") ? { put: make("replace", "put") } : {}),
      ...(has("patch") ? { patch: make("patch", "patch") } : {}),
      ...(has("delete") ? { delete: make("delete", "delete") } : {}),
      parameters: [pathParameter("name", form), ...place],
    };
  for (const one of kind.subresources) {
    if (one.name !== "status" && one.name !== "scale") continue;
    paths[`${collection}/{name}/${one.name}`] = {
      get: make("read", "get"),
      put: make("replace", "put"),
      patch: make("patch", "patch"),
      parameters: [pathParameter("name", form), ...place],
    };
  }
  return paths;
}
