import { parseRevision, type ListResult, type Revision } from "@cortado/store";
import { hasReason, StatusError } from "@cortado/std/status";
import type { Call } from "../server.ts";
import { badRequest, expired, notFound } from "../errors.ts";
import { readSelection, selected, selectsAll, type Selection } from "../selectors.ts";
import { keyOf, keyPrefix, objectOf, prefixOf, storedOf, type StoredObject } from "../storage/records.ts";
import { LIST_SLICE_ITEMS } from "../limits.ts";
import type { Outcome } from "./outcome.ts";

/** The event loop gets a turn. */
export function breathe(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

export async function getOne(call: Call): Promise<Outcome> {
  const { kind, info, server } = call;
  await checkFuture(call);
  const found = await server.store.get(keyOf(kind, info));
  if (found === undefined) throw notFound({ ...kind, name: info.name });
  const stored = storedOf(found);
  return { kind: "object", code: 200, object: objectOf(stored, kind), stored };
}

async function checkFuture(call: Call): Promise<Revision | undefined> {
  const text = call.query.get("resourceVersion") ?? "";
  if (text === "" || text === "0") return undefined;
  const asked = parseRevision(text);
  const { revision } = call.server.store;
  if (asked <= revision) return asked;
  const message = `Too large resource version: ${asked}, current: ${revision}`;
  const causes = [{ reason: "ResourceVersionTooLarge", message: "Too large resource version" }];
  throw new StatusError("Timeout", message, { details: { causes, retryAfterSeconds: 1 } });
}

/** A continue token: where the next page begins, and the revision that all pages are true for. */
type PageToken = { readonly revision: Revision | undefined; readonly after: string };

function writeToken(token: PageToken): string {
  const text = JSON.stringify({ v: "meta.k8s.io/v1", rv: token.revision ?? -1, start: token.after });
  return Buffer.from(text).toString("base64url");
}

function readToken(text: string): PageToken {
  try {
    const { v, rv, start } = JSON.parse(Buffer.from(text, "base64url").toString()) as {
      v: string;
      rv: number;
      start: string;
    };
    if (v !== "meta.k8s.io/v1" || typeof start !== "string" || !Number.isSafeInteger(rv))
      throw new Error("it is not one of ours");
    return { revision: rv < 0 ? undefined : (rv as Revision), after: start };
  } catch (error) {
    throw new StatusError("BadRequest", `continue key is not valid: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

export async function listMany(call: Call): Promise<Outcome> {
  const { kind, info, query } = call;
  const selection = readSelection(query, kind);
  const limit = readLimit(query.get("limit"));
  const token = query.get("continue") ? readToken(query.get("continue") ?? "") : undefined;
  const at = await readAt(call, token);
  const prefix = prefixOf(kind, info.namespace);
  const named = token === undefined && at === undefined ? namedField(selection, call) : undefined;
  if (named !== undefined) return listNamed(call, named, selection);
  return collect(call, { prefix, limit, selection, at, after: token?.after });
}

function readLimit(text: string | null): number {
  if (text === null || text === "") return 0;
  const limit = Number(text);
  if (!Number.isSafeInteger(limit) || limit < 0)
    throw badRequest(`limit: Invalid value: ${JSON.stringify(text)}: must be a whole number`);
  return limit;
}

async function readAt(call: Call, token: PageToken | undefined): Promise<Revision | undefined> {
  const match = call.query.get("resourceVersionMatch") ?? "";
  const version = call.query.get("resourceVersion") ?? "";
  if (token !== undefined) {
    if (version !== "" && version !== "0")
      throw badRequest("specifying resource version is not allowed when using continue");
    return token.revision;
  }
  if (match !== "" && version === "")
    throw badRequest("resourceVersionMatch is forbidden unless resourceVersion is provided");
  if (match !== "" && match !== "Exact" && match !== "NotOlderThan")
    throw badRequest(
      `resourceVersionMatch: Unsupported value: ${JSON.stringify(match)}: supported values: "Exact", "NotOlderThan"`,
    );
  if (match === "Exact" && version === "0")
    throw badRequest('resourceVersionMatch "Exact" is forbidden for resourceVersion "0"');
  const asked = await checkFuture(call);
  return match === "Exact" ? asked : undefined;
}

function namedField(selection: Selection, { kind, info }: Call): string | undefined {
  if (kind.namespaced && info.namespace === "") return undefined;
  return selection.fields.find(
    ({ field, isEqual, value }) =>
      field === "metadata.name" && isEqual && value !== "" && !value.includes("/"),
  )?.value;
}

async function listNamed(call: Call, name: string, selection: Selection): Promise<Outcome> {
  const { store } = call.server;
  const { revision } = store;
  const found = await store.get(keyOf(call.kind, { namespace: call.info.namespace, name }));
  const stored = found === undefined ? [] : [storedOf(found)];
  const items = stored.filter((one) => selected(objectOf(one, call.kind), selection, call.kind));
  return { kind: "list", items, revision, next: "", remaining: undefined };
}

type Collecting = {
  readonly prefix: string;
  readonly limit: number;
  readonly selection: Selection;
  readonly at: Revision | undefined;
  readonly after: string | undefined;
};

async function collect(call: Call, { prefix, limit, selection, at, after }: Collecting): Promise<Outcome> {
  const isAll = selectsAll(selection);
  const root = keyPrefix(call.kind);
  const items: StoredObject[] = [];
  let page: ListResult;
  let last = after === undefined ? undefined : root + after;
  let revision = at;
  do {
    page = await readPage(call, { prefix, at: revision, after: last, limit });
    revision = page.revision;
    for (const [index, found] of page.items.entries()) {
      last = found.key;
      const stored = storedOf(found);
      if (isAll || selected(objectOf(stored, call.kind), selection, call.kind)) items.push(stored);
      if (!isAll && index % LIST_SLICE_ITEMS === LIST_SLICE_ITEMS - 1) await breathe();
      if (limit > 0 && items.length >= limit) {
        const left = page.items.length - index - 1 + page.remaining;
        return {
          kind: "list",
          items,
          revision,
          ...nextPage({ left, isAll, revision, after: found.key.slice(root.length) }),
        };
      }
    }
  } while (limit > 0 && page.remaining > 0);
  return { kind: "list", items, revision, next: "", remaining: undefined };
}

type Ending = {
  readonly left: number;
  readonly isAll: boolean;
  readonly revision: Revision;
  readonly after: string;
};

function nextPage({ left, isAll, revision, after }: Ending): { next: string; remaining: number | undefined } {
  if (left === 0) return { next: "", remaining: undefined };
  return { next: writeToken({ revision, after }), remaining: isAll ? left : undefined };
}

type PageQuery = {
  readonly prefix: string;
  readonly at: Revision | undefined;
  readonly after: string | undefined;
  readonly limit: number;
};

async function readPage(call: Call, { prefix, at, after, limit }: PageQuery): Promise<ListResult> {
  try {
    return await call.server.store.list({
      prefix,
      ...(at === undefined ? {} : { at }),
      ...(after === undefined ? {} : { after }),
      ...(limit === 0 ? {} : { limit }),
    });
  } catch (error) {
    if (!hasReason(error, "Expired") || after === undefined) throw error;
    // The client may go on from here without the promise that all pages are of one moment.
    const token = writeToken({ revision: undefined, after: after.slice(keyPrefix(call.kind).length) });
    throw expired(
      "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue " +
        "parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided " +
        "token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was " +
        "returned and now may show up in the list.",
      { continue: token },
    );
  }
}
