import { createHash } from "node:crypto";
import { descriptionsOf, schemaOf } from "@cortado/kinds/generated-schemas";
import { schemaName, type KindInfo } from "@cortado/kinds/kind-info";
import type { Schema } from "@cortado/kinds/schema";
import { isTree, setField, type Tree } from "@cortado/kinds/tree";
import { StatusError } from "@cortado/std/status";
import type { ApiRequest, ApiResponse } from "../api.ts";
import { unknownPath } from "../errors.ts";
import type { KindTable } from "../kind-table.ts";
import { readAccept } from "../render/accept.ts";
import { jsonResponse } from "../respond.ts";
import { componentName, customComponents, pathsOf, type DocumentForm } from "./paths.ts";

// Asked for with an @, which is no legal content type; answered without it, as upstream does (kube-openapi, pkg/handler).
const protobufV2Asked = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
const protobufV2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/**
 * openapi.v2.Document of gnostic: swagger = 1, info = 2 { title = 1, version = 2 }, paths = 8. kubectl asks for it, in this form
 * only, about a kind that v3 does not know, and skips its own validation of what is not in it; a kind that is served is in v3.
 */
const emptyProtobufV2: Uint8Array = Buffer.concat([
  Buffer.from([0x0a, 3]),
  Buffer.from("2.0"),
  Buffer.from([0x12, 19, 0x0a, 10]),
  Buffer.from("Kubernetes"),
  Buffer.from([0x12, 5]),
  Buffer.from("v1.36"),
  Buffer.from([0x42, 0]),
]);

/** The OpenAPI documents of what is served at the moment: made when asked for and not kept, as few ask and they are big. */
export class OpenApiDocuments {
  readonly #kinds: KindTable;
  readonly #hashes = new Map<string, { readonly generation: number; readonly hash: string }>();

  constructor(kinds: KindTable) {
    this.#kinds = kinds;
  }

  async serve(request: ApiRequest): Promise<ApiResponse> {
    const parts = request.path.split("/").filter((part) => part !== "");
    if (parts[1] === "v2" && parts.length === 2) return this.#serveV2(request);
    if (parts[1] !== "v3") throw unknownPath();
    if (parts.length === 2)
      return jsonResponse(request, {
        paths: Object.fromEntries(
          this.#places().map((place) => [
            place,
            { serverRelativeURL: `/openapi/v3/${place}?hash=${this.#hash(place)}` },
          ]),
        ),
      });
    const place = parts.slice(2).join("/");
    if (!this.#places().includes(place)) throw unknownPath();
    return this.#serveV3(request, place);
  }

  #places(): readonly string[] {
    return [...new Set(this.#kinds.all().map(placeOf))].toSorted();
  }

  #of(place: string): readonly KindInfo[] {
    return this.#kinds.all().filter((kind) => placeOf(kind) === place);
  }

  // The hash is of what the document is made from, so that the index needs no document.
  #hash(place: string): string {
    const known = this.#hashes.get(place);
    if (known?.generation === this.#kinds.generation) return known.hash;
    const material = this.#of(place).map((kind) => [
      kind.kind,
      kind.plural,
      kind.namespaced,
      kind.verbs,
      kind.subresources,
      kind.schema,
    ]);
    const hash = createHash("sha256")
      .update(JSON.stringify(material))
      .update("2")
      .digest("hex")
      .toUpperCase()
      .slice(0, 64);
    this.#hashes.set(place, { generation: this.#kinds.generation, hash });
    return hash;
  }

  async #serveV3(request: ApiRequest, place: string): Promise<ApiResponse> {
    const hash = this.#hash(place);
    const query =
      request.query instanceof URLSearchParams ? request.query : new URLSearchParams(request.query ?? {});
    const asked = query.get("hash");
    if (asked !== null && asked !== "" && asked !== hash)
      return {
        status: 301,
        headers: { location: `/openapi/v3/${place}?hash=${hash}` },
        body: { kind: "none" },
      };
    const etag = `"${hash}"`;
    const keep =
      asked === null || asked === ""
        ? { "cache-control": "no-cache, private" }
        : { "cache-control": "public, immutable", expires: "Thu, 01 Jan 2099 00:00:00 GMT" };
    const headers = { etag, vary: "Accept", ...keep };
    if (request.headers?.["if-none-match"] === etag) return { status: 304, headers, body: { kind: "none" } };
    const isJson = readAccept(request.headers?.["accept"]).some((one) =>
      ["application/json", "*/*", "application/*"].includes(one.type),
    );
    if (!isJson) throw new StatusError("NotAcceptable", "OpenAPI documents are served as application/json");
    const document = await documentOf(this.#of(place), "v3");
    return jsonResponse(request, document, headers);
  }

  async #serveV2(request: ApiRequest): Promise<ApiResponse> {
    const accepted = readAccept(request.headers?.["accept"]);
    const isJson = accepted.some((one) => ["application/json", "*/*", "application/*"].includes(one.type));
    if (!isJson && accepted.some((one) => one.type === protobufV2Asked || one.type === protobufV2))
      return {
        status: 200,
        headers: { "content-type": protobufV2 },
        body: { kind: "bytes", bytes: emptyProtobufV2 },
      };
    if (!isJson)
      throw new StatusError(
        "NotAcceptable",
        "OpenAPI v2 is served as application/json only; v3 has everything that it has",
      );
    const document = await documentOf(this.#kinds.all(), "v2");
    const etag = `"${createHash("sha256")
      .update(
        this.#places()
          .map((place) => this.#hash(place))
          .join(),
      )
      .digest("hex")
      .toUpperCase()}"`;
    return jsonResponse(request, document, { etag });
  }
}

function placeOf(kind: KindInfo): string {
  return kind.group === "" ? `api/${kind.version}` : `apis/${kind.group}/${kind.version}`;
}

async function documentOf(kinds: readonly KindInfo[], form: DocumentForm): Promise<Tree> {
  const components: Tree = {};
  const pending: string[] = [];
  for (const kind of kinds) {
    if (kind.custom) Object.assign(components, customComponents(kind, form));
    else if ("ref" in kind.schema) pending.push(kind.schema.ref);
    for (const one of kind.subresources)
      if (one.kind !== undefined)
        pending.push(schemaName({ group: one.group ?? "", version: one.version ?? "v1", kind: one.kind }));
  }
  pending.push(...commonTypes);
  await addTypes(components, { pending, kinds, form });
  // A kind whose schema nobody has is an object of which nothing is known, so that no reference leads nowhere.
  for (const kind of kinds) {
    const name = componentName(kind);
    if (!Object.hasOwn(components, name))
      components[name] = {
        type: "object",
        "x-kubernetes-group-version-kind": [{ group: kind.group, kind: kind.kind, version: kind.version }],
      };
    if (!Object.hasOwn(components, `${name}List`)) components[`${name}List`] = listSchema(name, kind, form);
  }
  const info = { title: "Kubernetes", version: "v1.36.0+cortado1" };
  const paths = Object.assign({}, ...kinds.map((kind) => pathsOf(kind, form))) as Tree;
  return form === "v3"
    ? { openapi: "3.0.0", info, paths, components: { schemas: components } }
    : { swagger: "2.0", info, paths, definitions: components };
}

const meta = "io.k8s.apimachinery.pkg.apis.meta.v1";
const commonTypes = [`${meta}.ObjectMeta`, `${meta}.ListMeta`, `${meta}.DeleteOptions`, `${meta}.Status`];

type Adding = {
  readonly pending: string[];
  readonly kinds: readonly KindInfo[];
  readonly form: DocumentForm;
};

async function addTypes(components: Tree, { pending, kinds, form }: Adding): Promise<void> {
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (Object.hasOwn(components, name)) continue;
    const schema = schemaOf(name);
    if (schema === undefined) continue;
    const dot = name.lastIndexOf(".");
    const texts = (await cachedDescriptions(name.slice(0, dot)))[name.slice(dot + 1)] ?? {};
    const shown = describe(written(schema, form, pending) as Tree, texts);
    const kind = kinds.find((one) => "ref" in one.schema && one.schema.ref === name);
    if (kind !== undefined) {
      setField(shown, "x-kubernetes-group-version-kind", [
        { group: kind.group, kind: kind.kind, version: kind.version },
      ]);
      const listName = `${name}List`;
      components[listName] = listSchema(name, kind, form);
    }
    components[name] = shown;
  }
  descriptions.clear();
}

const descriptions = new Map<string, Awaited<ReturnType<typeof descriptionsOf>>>();

async function cachedDescriptions(packageName: string): ReturnType<typeof descriptionsOf> {
  const known = descriptions.get(packageName) ?? (await descriptionsOf(packageName));
  descriptions.set(packageName, known);
  return known;
}

function describe(schema: Tree, texts: Readonly<Record<string, string>>): Tree {
  if (texts[""] !== undefined && texts[""] !== "") schema["description"] = texts[""];
  for (const [key, property] of Object.entries((schema["properties"] ?? {}) as Tree)) {
    const text = texts[key];
    if (isTree(property) && text !== undefined) property["description"] = text;
  }
  return schema;
}

/** Where references point in a document. */
export function refPrefix(form: DocumentForm): string {
  return form === "v3" ? "#/components/schemas/" : "#/definitions/";
}

/** A schema as a document writes it; names of types that it needs go to `pending`. */
function written(schema: Schema, form: DocumentForm, pending: string[]): unknown {
  const { $ref, enum: words, ...rest } = schema;
  if ($ref !== undefined) {
    pending.push($ref);
    // In v3 a reference stands alone, so what else is said goes around it.
    const ref = { $ref: refPrefix(form) + $ref };
    return form === "v3" ? { allOf: [ref], default: {} } : ref;
  }
  const result: Tree = {};
  for (const [key, value] of Object.entries(rest)) {
    if (key === "properties")
      result[key] = Object.fromEntries(
        Object.entries(value as Readonly<Record<string, Schema>>).map(([name, one]) => [
          name,
          written(one, form, pending),
        ]),
      );
    else if (key === "items" || key === "additionalProperties")
      result[key] = isTree(value) ? written(value as Schema, form, pending) : value;
    else if (key === "x-kubernetes-int-or-string") Object.assign(result, { type: "string" });
    else if (key === "format" && value === "quantity") continue;
    else if (key === "x-kubernetes-preserve-unknown-fields" && schema.type === "object") continue;
    else result[key] = value;
  }
  // apiVersion and kind are words of one choice in the typings only.
  if (words !== undefined && words.length > 1) result["enum"] = words;
  return result;
}

function listSchema(itemName: string, kind: KindInfo, form: DocumentForm): Tree {
  const ref = (name: string): Tree => ({ $ref: refPrefix(form) + name });
  return {
    description: `${kind.listKind} is a list of ${kind.kind} objects.`,
    type: "object",
    required: ["items"],
    properties: {
      apiVersion: { type: "string" },
      kind: { type: "string" },
      metadata: form === "v3" ? { allOf: [ref(`${meta}.ListMeta`)] } : ref(`${meta}.ListMeta`),
      items: {
        type: "array",
        items: form === "v3" ? { allOf: [ref(itemName)], default: {} } : ref(itemName),
      },
    },
    "x-kubernetes-group-version-kind": [{ group: kind.group, kind: kind.listKind, version: kind.version }],
  };
}
