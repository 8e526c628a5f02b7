import { StatusError } from "@cortado/std/status";
import { schemaOf } from "@cortado/kinds/generated-schemas";
import { copyTree, isTree, type Tree } from "@cortado/kinds/tree";
import { checkDepth, duplicateKeys, parseJson } from "@cortado/wire/json";
import { parseYaml } from "@cortado/wire/yaml";
import { badRequest } from "../errors.ts";
import { applyJsonPatch } from "../patch/json-patch.ts";
import { applyMergePatch } from "../patch/merge-patch.ts";
import { applyStrategicPatch } from "../patch/strategic-patch.ts";
import type { Call } from "../server.ts";
import { applyOneObject } from "./apply.ts";
import { checkKind, mediaType, textOf } from "./body.ts";
import { checkFields, schemaFor } from "./field-check.ts";
import type { Outcome } from "./outcome.ts";
import { changeObject } from "./update.ts";

export const patchTypes = {
  json: "application/json-patch+json",
  merge: "application/merge-patch+json",
  strategic: "application/strategic-merge-patch+json",
  apply: "application/apply-patch+yaml",
} as const;

export async function patchOne(call: Call): Promise<Outcome> {
  const type = mediaType(call.request.headers?.["content-type"] ?? "");
  if (type === patchTypes.apply) {
    const applied = readPatch(call, "yaml");
    return applyOneObject(call, applied.patch, applied.duplicates);
  }
  const { patch, duplicates } = readPatch(call, "json");
  const patcher = patcherOf(call, type, patch);
  return changeObject(call, {
    subresource: call.info.subresource,
    produce(current) {
      const next = patcher(current);
      checkKind(next, call.kind);
      checkFields(call, { object: next, duplicates, kind: call.kind, patch });
      return next;
    },
  });
}

export function patcherOf(call: Call, type: string, patch: unknown): (current: Tree) => Tree {
  if (type === patchTypes.json) return (current) => applyJsonPatch(current, patch);
  if (
    !Object.values<string>(patchTypes).includes(type) ||
    (type === patchTypes.strategic && call.kind.custom)
  )
    throw unsupportedPatch(call);
  if (!isTree(patch)) throw badRequest("the patch is not an object");
  if (type === patchTypes.merge) return (current) => applyMergePatch(current, patch);
  const schema = schemaFor(call.kind);
  return (current) => applyStrategicPatch(current, copyTree(patch), { schema, lookup: schemaOf });
}

function unsupportedPatch(call: Call): StatusError {
  const types = Object.values<string>(patchTypes).filter(
    (type) => !call.kind.custom || type !== patchTypes.strategic,
  );
  return new StatusError(
    "UnsupportedMediaType",
    `the body of the request was in an unknown format - accepted media types include: ${types.join(", ")}`,
  );
}

type Patch = { readonly patch: unknown; readonly duplicates: readonly string[] };

export function readPatch(call: Call, format: "json" | "yaml"): Patch {
  const { body } = call.request;
  if (!(body instanceof Uint8Array)) {
    checkDepth(body);
    return { patch: copyTree(body), duplicates: [] };
  }
  const text = textOf(body);
  if (format === "yaml" && !text.trimStart().startsWith("{")) {
    const { value, duplicates } = parseYaml(text);
    return { patch: value, duplicates };
  }
  try {
    return { patch: parseJson(text), duplicates: duplicateKeys(text) };
  } catch (cause) {
    if (format === "yaml" && cause instanceof SyntaxError)
      return { patch: parseYaml(text).value, duplicates: [] };
    if (cause instanceof StatusError) throw cause;
    throw new StatusError("BadRequest", `error decoding patch: ${(cause as Error).message}`, { cause });
  }
}
