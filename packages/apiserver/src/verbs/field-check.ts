import { jsonText } from "@cortado/wire/json";
import { StatusError } from "@cortado/std/status";
import { schemaOf } from "@cortado/kinds/generated-schemas";
import type { KindInfo } from "@cortado/kinds/kind-info";
import { checkShape, type ShapeOptions } from "@cortado/kinds/schema-check";
import type { Schema } from "@cortado/kinds/schema";
import type { Tree } from "@cortado/kinds/tree";
import type { Call } from "../server.ts";
import { badRequest } from "../errors.ts";

export function schemaFor(kind: Pick<KindInfo, "schema">): Schema | undefined {
  return "ref" in kind.schema ? schemaOf(kind.schema.ref) : kind.schema.own;
}

type Sent = {
  readonly object: Tree;
  readonly duplicates: readonly string[];
  readonly kind: KindInfo;
  /** What the object was made with, when it came as a patch. */
  readonly patch?: unknown;
};

/**
 * Brings what a client sent into the kind's shape: wrong types are refused, unknown fields go away and are told as the client's
 * fieldValidation says (apimachinery, strict decoding).
 */
export function checkFields(call: Call, { object, duplicates, kind, patch }: Sent): void {
  const mode = call.query.get("fieldValidation") ?? "";
  if (!["", "Ignore", "Warn", "Strict"].includes(mode))
    throw badRequest(
      `fieldValidation: Unsupported value: ${JSON.stringify(mode)}: supported values: "Ignore", "Strict", "Warn"`,
    );
  const schema = schemaFor(kind);
  if (schema === undefined) return;
  const options: ShapeOptions = { lookup: schemaOf, isCustom: kind.custom, structName: kind.kind };
  const { unknown, wrong } = checkShape(object, schema, options);
  const handled = `${kind.kind} in version ${JSON.stringify(kind.version)} cannot be handled as a ${kind.kind}`;
  if (wrong !== undefined && !kind.custom) throw badRequest(`${handled}: ${wrong}`);
  const problems = [
    ...duplicates.map((path) => `duplicate field ${JSON.stringify(path)}`),
    ...unknown.map((path) => `unknown field ${JSON.stringify(path)}`),
  ];
  if (problems.length === 0) return;
  if (mode === "Strict" && patch !== undefined) throw strictPatch(patch, problems);
  if (mode === "Strict")
    throw new StatusError(
      "BadRequest",
      kind.custom
        ? `strict decoding error: ${problems.join(", ")}`
        : `${handled}: strict decoding error: ${problems.join(", ")}`,
    );
  if (mode === "" || mode === "Warn") call.warnings.push(...problems);
}

// Upstream calls a patch with unknown fields invalid, where a whole object with them is a bad request.
function strictPatch(patch: unknown, problems: readonly string[]): StatusError {
  const text = `strict decoding error: ${problems.join(", ")}`;
  const message = `Invalid value: ${JSON.stringify(jsonText(patch))}: ${text}`;
  return new StatusError("Invalid", `The request is invalid: patch: ${message}`, {
    details: { causes: [{ reason: "FieldValueInvalid", message, field: "patch" }] },
  });
}
