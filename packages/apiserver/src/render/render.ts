import { apiVersionText, type KindInfo } from "@cortado/kinds/kind-info";
import { at, type Tree } from "@cortado/kinds/tree";
import { encodeJson, jsonText } from "@cortado/wire/json";
import type { ApiBody, ApiResponse, WatchEvent } from "../api.ts";
import { LIST_SLICE_BYTES, LIST_SLICE_ITEMS } from "../limits.ts";
import type { Call } from "../server.ts";
import { jsonPieces, objectOf, type StoredObject } from "../storage/records.ts";
import { breathe } from "../verbs/read.ts";
import type { Change, Outcome } from "../verbs/outcome.ts";
import { chooseForm, type Form } from "./accept.ts";
import { metadataOf, rowOf, tableHead, tableOf, type TableOptions } from "./table.ts";
import { yamlText } from "./yaml-text.ts";

type Rendering = {
  readonly call: Call;
  readonly kind: KindInfo;
  readonly form: Form;
  readonly table: TableOptions;
};

/** Writes what a verb answered in the form that the client asked for. */
export async function renderOutcome(call: Call, outcome: Outcome): Promise<ApiResponse> {
  const kind = outcome.kind === "object" ? (outcome.of ?? call.kind) : call.kind;
  if (call.request.form === "objects") return renderObjects(call, outcome, kind);
  const pretty = call.query.get("pretty") ?? "";
  const form = chooseForm(call.request.headers?.["accept"], {
    isPretty: pretty === "true" || pretty === "1",
    hasTable: kind.table !== undefined || kind.custom,
  });
  const table = {
    includeObject: call.query.get("includeObject") ?? "Metadata",
    nowMs: call.server.clock.nowMs(),
  };
  const rendering = { call, kind, form, table };
  switch (outcome.kind) {
    case "status":
      return response(outcome.status.code ?? 200, outcome.status, form);
    case "object":
      return renderOne(outcome, rendering);
    case "list":
      return {
        status: 200,
        headers: { "content-type": form.contentType },
        body: await renderList(outcome, rendering),
      };
    case "watch":
      return {
        status: 200,
        headers: { "content-type": form.contentType },
        body: { kind: "pieces", pieces: watchPieces(outcome.changes, rendering) },
      };
  }
}

export function encodeAs(value: unknown, form: Pick<Form, "encoding" | "isPretty">): Uint8Array {
  if (form.encoding === "yaml") return Buffer.from(yamlText(value));
  return form.isPretty
    ? Buffer.from(`${JSON.stringify(value, null, 2)}\n`)
    : Buffer.from(`${jsonText(value)}\n`);
}

export function response(status: number, value: unknown, form: Form): ApiResponse {
  return {
    status,
    headers: { "content-type": form.contentType },
    body: { kind: "bytes", bytes: encodeAs(value, form) },
  };
}

function renderOne(outcome: Outcome & { kind: "object" }, { kind, form, table }: Rendering): ApiResponse {
  const { code, object, stored } = outcome;
  if (form.as === "table") return response(code, tableOf(object, kind, { ...table, hasHead: true }), form);
  if (form.as === "metadata") return response(code, metadataOf(object), form);
  if (stored === undefined || form.encoding === "yaml" || form.isPretty) return response(code, object, form);
  const bytes = Buffer.concat([...jsonPieces(stored, kind), newline]);
  return { status: code, headers: { "content-type": form.contentType }, body: { kind: "bytes", bytes } };
}

const newline = Buffer.from("\n");

function listMeta(outcome: Outcome & { kind: "list" }): Tree {
  return {
    resourceVersion: String(outcome.revision),
    ...(outcome.next === "" ? {} : { continue: outcome.next }),
    ...(outcome.remaining === undefined ? {} : { remainingItemCount: outcome.remaining }),
  };
}

async function renderList(outcome: Outcome & { kind: "list" }, rendering: Rendering): Promise<ApiBody> {
  const { kind, form } = rendering;
  if (form.encoding === "yaml" || form.isPretty)
    return { kind: "bytes", bytes: encodeAs(await wholeList(outcome, rendering), form) };
  return { kind: "pieces", pieces: listPieces(outcome, rendering, listHead(outcome, kind, form)) };
}

function listHead(outcome: Outcome & { kind: "list" }, kind: KindInfo, form: Form): string {
  const metadata = listMeta(outcome);
  if (form.as === "table") return `${jsonText(tableHead(kind, metadata)).slice(0, -1)},"rows":[`;
  const named =
    form.as === "metadata"
      ? { kind: "PartialObjectMetadataList", apiVersion: "meta.k8s.io/v1" }
      : { kind: kind.listKind, apiVersion: apiVersionText(kind) };
  return `${jsonText({ ...named, metadata }).slice(0, -1)},"items":[`;
}

async function* listPieces(
  outcome: Outcome & { kind: "list" },
  rendering: Rendering,
  head: string,
): AsyncGenerator<Uint8Array, void, void> {
  let pieces: Uint8Array[] = [Buffer.from(head)];
  let bytes = 0;
  let sinceBreath = 0;
  const isPlain = rendering.form.as === "plain";
  for (const [index, stored] of outcome.items.entries()) {
    if (index > 0) pieces.push(comma);
    for (const piece of itemPieces(stored, rendering)) {
      pieces.push(piece);
      bytes += piece.byteLength;
    }
    sinceBreath += 1;
    if (bytes < LIST_SLICE_BYTES && (isPlain || sinceBreath < LIST_SLICE_ITEMS)) continue;
    yield Buffer.concat(pieces);
    [pieces, bytes, sinceBreath] = [[], 0, 0];
    await breathe();
  }
  yield Buffer.concat([...pieces, Buffer.from("]}\n")]);
}

const comma = Buffer.from(",");

function itemPieces(stored: StoredObject, { kind, form, table }: Rendering): readonly Uint8Array[] {
  if (form.as === "table") return [encodeJson(rowOf(objectOf(stored, kind), kind, table))];
  if (form.as === "metadata") return [encodeJson(metadataOf(objectOf(stored, kind)))];
  return jsonPieces(stored, kind);
}

async function wholeList(
  outcome: Outcome & { kind: "list" },
  { kind, form, table }: Rendering,
): Promise<Tree> {
  const objects = await parseAll(outcome.items, kind);
  const metadata = listMeta(outcome);
  if (form.as === "table")
    return { ...tableHead(kind, metadata), rows: objects.map((object) => rowOf(object, kind, table)) };
  if (form.as === "metadata")
    return {
      kind: "PartialObjectMetadataList",
      apiVersion: "meta.k8s.io/v1",
      metadata,
      items: objects.map(metadataOf),
    };
  return { kind: kind.listKind, apiVersion: apiVersionText(kind), metadata, items: objects };
}

async function parseAll(items: readonly StoredObject[], kind: KindInfo): Promise<Tree[]> {
  const objects: Tree[] = [];
  for (const [index, stored] of items.entries()) {
    objects.push(objectOf(stored, kind));
    if (index % LIST_SLICE_ITEMS === LIST_SLICE_ITEMS - 1) await breathe();
  }
  return objects;
}

async function* watchPieces(
  changes: AsyncIterable<Change>,
  rendering: Rendering,
): AsyncGenerator<Uint8Array, void, void> {
  const { kind, form } = rendering;
  let isFirst = true;
  for await (const change of changes) {
    if (form.as === "plain" && form.encoding === "json" && "stored" in change) {
      const pieces = jsonPieces(change.stored, kind);
      yield Buffer.concat([Buffer.from(`{"type":"${change.type}","object":`), ...pieces, Buffer.from("}\n")]);
      continue;
    }
    const object = watchObject(change, rendering, isFirst);
    isFirst = false;
    yield encodeJson({ type: change.type, object });
    yield newline;
  }
}

function watchObject(change: Change, { kind, form, table }: Rendering, isFirst: boolean): unknown {
  if (change.type === "ERROR") return change.status;
  const object = change.type === "BOOKMARK" ? bookmarkOf(change, kind) : objectOf(change.stored, kind);
  if (form.as === "metadata") return metadataOf(object);
  if (form.as !== "table") return object;
  return change.type === "BOOKMARK"
    ? { ...tableHead(kind, object["metadata"] as Tree), rows: [] }
    : tableOf(object, kind, { ...table, hasHead: isFirst });
}

function bookmarkOf(change: Change & { type: "BOOKMARK" }, kind: KindInfo): Tree {
  const annotations = change.isInitialEnd ? { annotations: { "k8s.io/initial-events-end": "true" } } : {};
  return {
    kind: kind.kind,
    apiVersion: apiVersionText(kind),
    metadata: { resourceVersion: String(change.revision), ...annotations },
  };
}

async function renderObjects(call: Call, outcome: Outcome, kind: KindInfo): Promise<ApiResponse> {
  const headers = {};
  switch (outcome.kind) {
    case "status":
      return { status: outcome.status.code ?? 200, headers, body: { kind: "object", value: outcome.status } };
    case "object":
      return { status: outcome.code, headers, body: { kind: "object", value: outcome.object } };
    case "list": {
      const items = await parseAll(outcome.items, kind);
      return {
        status: 200,
        headers,
        body: {
          kind: "object",
          value: {
            kind: kind.listKind,
            apiVersion: apiVersionText(kind),
            metadata: listMeta(outcome),
            items,
          },
        },
      };
    }
    case "watch":
      return { status: 200, headers, body: { kind: "watch", events: watchObjects(outcome.changes, kind) } };
  }
}

async function* watchObjects(
  changes: AsyncIterable<Change>,
  kind: KindInfo,
): AsyncGenerator<WatchEvent, void, void> {
  for await (const change of changes) {
    if (change.type === "ERROR") yield { type: "ERROR", object: change.status };
    else if (change.type === "BOOKMARK") yield { type: "BOOKMARK", object: bookmarkOf(change, kind) };
    else yield { type: change.type, object: objectOf(change.stored, kind) };
  }
}

/** The resourceVersion of what was answered, for headers and logs. */
export function versionOf(object: Tree): string {
  return String(at(object, "metadata", "resourceVersion") ?? "");
}
