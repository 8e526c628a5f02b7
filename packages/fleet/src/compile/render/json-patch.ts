import { copyTree, fieldOf, isTree, sameTree, setField, type Tree } from "@cortado/kinds/tree";
import { StatusError } from "@cortado/std/status";

/** RFC 7386: null takes a field away, anything but an object replaces. Neither is changed. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isTree(patch)) return copyTree(patch);
  const merged: Tree = isTree(target) ? copyTree(target) : {};
  for (const key of Object.keys(patch)) {
    if (patch[key] === null) delete merged[key];
    else setField(merged, key, mergePatch(fieldOf(merged, key), patch[key]));
  }
  return merged;
}

/** RFC 6902. The target is not changed. @throws StatusError "Invalid" that names the operation */
export function jsonPatch(target: unknown, operations: readonly unknown[]): unknown {
  let value: unknown = copyTree(target);
  for (const [index, operation] of operations.entries()) {
    try {
      value = applied(value, operation);
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      throw new StatusError("Invalid", `operation ${index + 1}: ${error.message}`, { cause: error });
    }
  }
  return value;
}

function applied(root: unknown, operation: unknown): unknown {
  const [op, path, from] = ["op", "path", "from"].map((key) => fieldOf(operation, key));
  const to = steps(path, "path");
  const value = copyTree(fieldOf(operation, "value"));
  const needsValue = op === "add" || op === "replace" || op === "test";
  if (needsValue && !(isTree(operation) && Object.hasOwn(operation, "value")))
    throw bad(`${op} needs a value`);
  switch (op) {
    case "add":
      return put(root, to, { value, isNew: true });
    case "replace":
      find(root, to);
      return put(root, to, { value, isNew: false });
    case "remove":
      return removed(root, to);
    case "copy":
      return put(root, to, { value: copyTree(find(root, steps(from, "from"))), isNew: true });
    case "move": {
      const moved = copyTree(find(root, steps(from, "from")));
      return put(removed(root, steps(from, "from")), to, { value: moved, isNew: true });
    }
    case "test":
      if (sameTree(find(root, to), value)) return root;
      throw bad(`the test of ${String(path)} fails`);
    default:
      throw bad(`op is add, remove, replace, move, copy or test, not ${JSON.stringify(op)}`);
  }
}

function bad(message: string): StatusError {
  return new StatusError("Invalid", message);
}

function steps(pointer: unknown, key: string): readonly string[] {
  if (pointer === "") return [];
  if (typeof pointer !== "string" || !pointer.startsWith("/")) throw bad(`${key} begins with /`);
  return pointer
    .slice(1)
    .split("/")
    .map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function find(root: unknown, path: readonly string[]): unknown {
  let here = root;
  for (const step of path) {
    if (Array.isArray(here) && place(step, here.length - 1) !== undefined) here = here[Number(step)];
    else if (isTree(here) && Object.hasOwn(here, step)) here = here[step];
    else throw bad(`there is nothing at /${path.join("/")}`);
  }
  return here;
}

function place(step: string, most: number): number | undefined {
  return /^(0|[1-9]\d{0,8})$/.test(step) && Number(step) <= most ? Number(step) : undefined;
}

type Putting = { readonly value: unknown; readonly isNew: boolean };

function put(root: unknown, path: readonly string[], { value, isNew }: Putting): unknown {
  const last = path.at(-1);
  if (last === undefined) return value;
  const parent = find(root, path.slice(0, -1));
  if (Array.isArray(parent)) {
    const at = isNew && last === "-" ? parent.length : place(last, isNew ? parent.length : parent.length - 1);
    if (at === undefined) throw bad(`/${path.join("/")} is outside of a list of ${parent.length}`);
    parent.splice(at, isNew ? 0 : 1, value);
  } else if (isTree(parent)) setField(parent, last, value);
  else throw bad(`there is no object at /${path.slice(0, -1).join("/")}`);
  return root;
}

function removed(root: unknown, path: readonly string[]): unknown {
  find(root, path);
  const last = path.at(-1);
  if (last === undefined) return undefined;
  const parent = find(root, path.slice(0, -1));
  if (Array.isArray(parent)) parent.splice(Number(last), 1);
  else delete (parent as Tree)[last];
  return root;
}
