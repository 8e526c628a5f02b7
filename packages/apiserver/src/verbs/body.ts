import { StatusError, messageOf } from "@cortado/std/status";
import { checkDepth, duplicateKeys, parseJson } from "@cortado/wire/json";
import { parseYaml } from "@cortado/wire/yaml";
import { apiVersionText, type KindInfo } from "@cortado/kinds/kind-info";
import { copyTree, fieldOf, isTree, setField, textAt, type Tree } from "@cortado/kinds/tree";
import type { Call } from "../server.ts";
import { badRequest } from "../errors.ts";
import { decodeProtobufBody } from "./protobuf-body.ts";

export type ReadBody = {
  readonly value: Tree;
  /** Paths of keys that were given twice. */
  readonly duplicates: readonly string[];
  readonly isProtobuf: boolean;
};

const decoder = new TextDecoder("utf-8", { fatal: true });

/** What the client sent, as a tree that may be changed. @throws StatusError "BadRequest", "UnsupportedMediaType" */
export function readBody(call: Call, options: { readonly takesProtobuf: boolean }): ReadBody {
  const { body, headers } = call.request;
  if (!(body instanceof Uint8Array)) return readObjectBody(body);
  if (body.byteLength === 0) throw badRequest("the request has no body; send the object");
  const type = mediaType(headers?.["content-type"] ?? "application/json");
  if (type === "application/vnd.kubernetes.protobuf" && options.takesProtobuf)
    return { value: decodeProtobufBody(body), duplicates: [], isProtobuf: true };
  if (type === "application/yaml") return fromYaml(textOf(body));
  if (type !== "application/json") throw unsupportedMedia(options.takesProtobuf);
  return fromJson(textOf(body));
}

function readObjectBody(body: unknown): ReadBody {
  if (!isTree(body)) throw badRequest("the request has no body; send the object");
  checkDepth(body);
  return { value: copyTree(body), duplicates: [], isProtobuf: false };
}

export function mediaType(header: string): string {
  return (header.split(";")[0] ?? "").trim().toLowerCase();
}

export function unsupportedMedia(takesProtobuf: boolean): StatusError {
  const types = [
    "application/json",
    "application/yaml",
    ...(takesProtobuf ? ["application/vnd.kubernetes.protobuf"] : []),
  ];
  return new StatusError(
    "UnsupportedMediaType",
    `the body of the request was in an unknown format - accepted media types include: ${types.join(", ")}`,
  );
}

export function textOf(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new StatusError("BadRequest", "the body is not UTF-8 text", { cause });
  }
}

export function fromJson(text: string): ReadBody {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    throw new StatusError("BadRequest", `couldn't get version/kind; json parse error: ${messageOf(error)}`, {
      cause: error,
    });
  }
  const duplicates = duplicateKeys(text);
  if (!isTree(value))
    throw badRequest(
      "couldn't get version/kind; json parse error: json: cannot unmarshal into Go value of type struct { APIVersion string; Kind string }",
    );
  return { value, duplicates, isProtobuf: false };
}

export function fromYaml(text: string): ReadBody {
  // JSON is YAML, and its duplicates have paths.
  if (text.trimStart().startsWith("{")) {
    try {
      return fromJson(text);
    } catch {
      // A flow mapping that is not JSON; YAML's own words fit better.
    }
  }
  const { value, duplicates } = parseYaml(text);
  if (!isTree(value)) throw badRequest("the YAML document is not a mapping; send one object");
  return { value, duplicates, isProtobuf: false };
}

/** Fills in apiVersion and kind, or refuses others than the path asks for. */
export function checkKind(object: Tree, kind: Pick<KindInfo, "group" | "version" | "kind">): void {
  const wanted = apiVersionText(kind);
  const version = textAt(object, "apiVersion");
  const named = textAt(object, "kind");
  if (version !== "" && version !== wanted)
    throw badRequest(
      `the API version in the data (${version}) does not match the expected API version (${wanted})`,
    );
  if (named !== "" && named !== kind.kind)
    throw badRequest(
      `${named} in version ${JSON.stringify(version === "" ? kind.version : version)} cannot be handled as a ${kind.kind}: the kind in the data does not match the path`,
    );
  setField(object, "apiVersion", wanted);
  setField(object, "kind", kind.kind);
  if (fieldOf(object, "metadata") === undefined || fieldOf(object, "metadata") === null)
    setField(object, "metadata", {});
}
