import type { Schema } from "./schema.ts";

/** The schema of a built-in type by its OpenAPI name. */
export function schemaOf(_ref: string): Schema | undefined {
  return undefined;
}
