import type { FieldError } from "../field-errors.ts";
import type { Tree } from "../tree.ts";
import type { Schema, SchemaLookup } from "./schema.ts";

export type ShapeOptions = { readonly lookup: SchemaLookup; readonly isCustom: boolean; readonly structName: string };
export type Shape = { readonly unknown: readonly string[]; readonly wrong: string | undefined };

export function checkShape(_object: Tree, _schema: Schema, _options: ShapeOptions): Shape {
  return { unknown: [], wrong: undefined };
}

export function validateSchema(_object: Tree, _schema: Schema, _lookup: SchemaLookup): readonly FieldError[] {
  return [];
}

export function fillDefaults(_object: Tree, _schema: Schema): void {}
