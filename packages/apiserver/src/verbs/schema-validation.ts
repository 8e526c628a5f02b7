import { schemaOf } from "@cortado/kinds/generated-schemas";
import type { FieldError } from "@cortado/kinds/field-errors";
import type { KindInfo } from "@cortado/kinds/kind-info";
import { validateSchema } from "@cortado/kinds/schema-check";
import type { Tree } from "@cortado/kinds/tree";

/** What a CRD's schema says about an object; built-in kinds were read by theirs and have rules of their own. */
export function validateBySchema(
  kind: KindInfo,
  object: Tree,
  _current: Tree | undefined,
): readonly FieldError[] {
  if (!("own" in kind.schema)) return [];
  return validateSchema(object, kind.schema.own, schemaOf);
}
