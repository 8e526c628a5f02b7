import { badRequest } from "./errors.ts";

/** What a request is about, read from its method and path alone (apiserver, pkg/endpoints/request/requestinfo.go). */
export type RequestInfo = {
  readonly isResource: boolean;
  readonly path: string;
  /** get, list, watch, create, update, patch, delete, deletecollection; of other paths the method in small letters. */
  readonly verb: string;
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  /** What follows the subresource: the path behind `proxy`. */
  readonly rest: string;
};

const verbs: Readonly<Record<string, string>> = {
  POST: "create",
  PUT: "update",
  PATCH: "patch",
  DELETE: "delete",
};

export function readRequestInfo(method: string, path: string, query: URLSearchParams): RequestInfo {
  const parts = path.split("/").filter((part) => part !== "");
  const group = parts[0] === "apis" ? (parts[1] ?? "") : "";
  const version = parts[0] === "apis" ? (parts[2] ?? "") : (parts[1] ?? "");
  const rest = parts.slice(parts[0] === "apis" ? 3 : 2);
  const isResource = (parts[0] === "api" || parts[0] === "apis") && rest.length > 0;
  if (!isResource) return { ...empty, path, verb: method.toLowerCase() };
  let isOldWatch = false;
  if (rest[0] === "watch") {
    rest.shift();
    isOldWatch = true;
  }
  const place = readPlace(rest);
  const info = { ...empty, isResource, path, group, version, ...place };
  return { ...info, verb: isOldWatch ? "watch" : verbOf(method, info, query) };
}

const empty: RequestInfo = {
  isResource: false,
  path: "",
  verb: "",
  group: "",
  version: "",
  plural: "",
  subresource: "",
  namespace: "",
  name: "",
  rest: "",
};

type Place = Pick<RequestInfo, "plural" | "subresource" | "namespace" | "name" | "rest">;

// `/namespaces/NS/pods` is pods in NS, but `/namespaces/NS/status` and `/finalize` are the namespace's own.
const ownOfNamespaces = new Set(["status", "finalize"]);

function readPlace(parts: readonly string[]): Place {
  const decoded = parts.map(decodePart);
  const isInside =
    decoded[0] === "namespaces" && decoded.length > 2 && !ownOfNamespaces.has(decoded[2] ?? "");
  const namespace = decoded[0] === "namespaces" ? (decoded[1] ?? "") : "";
  const [plural = "", name = "", subresource = "", ...rest] = isInside ? decoded.slice(2) : decoded;
  return {
    plural,
    name,
    subresource,
    namespace: isInside || plural === "namespaces" ? namespace : "",
    rest: rest.join("/"),
  };
}

function decodePart(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw badRequest(`the path has a broken escape: ${part}`);
  }
}

function verbOf(
  method: string,
  info: Pick<RequestInfo, "name" | "subresource">,
  query: URLSearchParams,
): string {
  if (method === "GET" || method === "HEAD") {
    if (info.name !== "") return "get";
    const watch = query.get("watch");
    return watch === "true" || watch === "1" || watch === "" ? "watch" : "list";
  }
  if (method === "DELETE" && info.name === "") return "deletecollection";
  return verbs[method] ?? method.toLowerCase();
}
