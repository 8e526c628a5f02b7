import { StatusError } from "@cortado/std/status";
import { copyTree, fieldOf, isTree, sameTree, setField, textAt, type Tree } from "@cortado/kinds/tree";
import { JSON_PATCH_OPERATIONS_MAX } from "../limits.ts";
import { badRequest } from "../errors.ts";

/** Applies an RFC 6902 patch to a copy. @throws StatusError "BadRequest" for a bad patch, "Invalid" when a path or test fails */
export function applyJsonPatch(document: Tree, patch: unknown): Tree {
  if (!Array.isArray(patch))
    throw badRequest(
      "json: cannot unmarshal object into Go value of type jsonpatch.Patch: a JSON patch is a list of operations",
    );
  if (patch.length > JSON_PATCH_OPERATIONS_MAX)
    throw new StatusError(
      "RequestEntityTooLarge",
      `The allowed maximum operations in a JSON patch is ${JSON_PATCH_OPERATIONS_MAX}, got ${patch.length}`,
    );
  let result: unknown = copyTree(document);
  for (const operation of patch) result = applyOne(result, operation);
  if (!isTree(result)) throw badRequest("the patch leaves no object");
  return result;
}

function applyOne(document: unknown, operation: unknown): unknown {
  const op = textAt(operation, "op");
  const path = readPointer(operation, "path");
  switch (op) {
    case "add":
      return put(document, { path, value: valueOf(operation), isNew: true });
    case "replace":
      find(document, path);
      return put(document, { path, value: valueOf(operation), isNew: false });
    case "remove":
      find(document, path);
      return remove(document, path);
    case "test":
      if (!sameTree(find(document, path, true), valueOf(operation)))
        throw unprocessable(`testing value ${pointerText(path)} failed: test failed`);
      return document;
    case "copy":
      return put(document, {
        path,
        value: copyTree(find(document, readPointer(operation, "from"))),
        isNew: true,
      });
    case "move": {
      const from = readPointer(operation, "from");
      if (path.length > from.length && from.every((part, index) => part === path[index]))
        throw unprocessable(`cannot move ${pointerText(from)} into itself`);
      const value = find(document, from);
      return put(remove(document, from), { path, value, isNew: true });
    }
    default:
      throw badRequest(`unexpected kind: a JSON patch has no operation ${JSON.stringify(op)}`);
  }
}

function unprocessable(why: string): StatusError {
  return new StatusError("Invalid", `the server rejected our request due to an error in our request: ${why}`);
}

function readPointer(operation: unknown, field: "path" | "from"): readonly string[] {
  const text = fieldOf(operation, field);
  if (typeof text !== "string" || (text !== "" && !text.startsWith("/")))
    throw badRequest(`a JSON patch operation needs ${field}, which begins with "/"`);
  return text
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function pointerText(path: readonly string[]): string {
  return path.map((part) => `/${part.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

function valueOf(operation: unknown): unknown {
  if (!isTree(operation) || !Object.hasOwn(operation, "value"))
    throw badRequest(`the operation ${textAt(operation, "op")} needs a value`);
  return copyTree(operation["value"]);
}

const indexPattern = /^(0|[1-9][0-9]*)$/;

function find(document: unknown, path: readonly string[], orNothing = false): unknown {
  let here = document;
  for (const part of path) {
    const isThere = Array.isArray(here)
      ? indexPattern.test(part) && Number(part) < here.length
      : isTree(here) && Object.hasOwn(here, part);
    if (!isThere && orNothing) return null;
    if (!isThere) throw unprocessable(`${pointerText(path)} does not exist: doc is missing path or key`);
    here = Array.isArray(here) ? here[Number(part)] : fieldOf(here, part);
  }
  return here;
}

type Putting = { readonly path: readonly string[]; readonly value: unknown; readonly isNew: boolean };

function put(document: unknown, { path, value, isNew }: Putting): unknown {
  const last = path.at(-1);
  if (last === undefined) return value;
  const parent = find(document, path.slice(0, -1));
  if (Array.isArray(parent)) {
    const index = last === "-" && isNew ? parent.length : indexPattern.test(last) ? Number(last) : -1;
    if (index < 0 || index > parent.length)
      throw unprocessable(`${pointerText(path)} is outside of its list`);
    parent.splice(index, isNew ? 0 : 1, value);
  } else if (isTree(parent)) setField(parent, last, value);
  else throw unprocessable(`${pointerText(path)} does not exist: its parent is neither object nor list`);
  return document;
}

function remove(document: unknown, path: readonly string[]): unknown {
  const last = path.at(-1);
  if (last === undefined) return undefined;
  const parent = find(document, path.slice(0, -1));
  if (Array.isArray(parent)) parent.splice(Number(last), 1);
  else if (isTree(parent)) delete parent[last];
  return document;
}
