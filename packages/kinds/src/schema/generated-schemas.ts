import { descriptionLoaders } from "../generated/descriptions.ts";
import { messageText } from "../generated/messages.ts";
import { schemaTexts } from "../generated/schemas.ts";
import type { Schema } from "./schema.ts";

const parsed = new Map<string, Readonly<Record<string, Schema>>>();

/** The schema of a built-in type by its OpenAPI name; a package is parsed when the first of its types is asked for. */
export function schemaOf(ref: string): Schema | undefined {
  const dot = ref.lastIndexOf(".");
  const own = schemasOf(ref.slice(0, dot));
  const name = ref.slice(dot + 1);
  return own !== undefined && Object.hasOwn(own, name) ? own[name] : undefined;
}

/** All types of one package, such as `io.k8s.api.apps.v1`. */
export function schemasOf(packageName: string): Readonly<Record<string, Schema>> | undefined {
  const known = parsed.get(packageName);
  if (known !== undefined) return known;
  const text = schemaTexts[packageName];
  if (text === undefined) return undefined;
  const schemas = JSON.parse(text) as Readonly<Record<string, Schema>>;
  parsed.set(packageName, schemas);
  return schemas;
}

/** What each type and field is for; kept out of memory, so ask only when a person does. The type's own text has the key "". */
export async function descriptionsOf(
  packageName: string,
): Promise<Readonly<Record<string, Readonly<Record<string, string>>>>> {
  const loaded = await descriptionLoaders[packageName]?.();
  return loaded === undefined ? {} : (JSON.parse(loaded.text) as Record<string, Record<string, string>>);
}

/** A field of a protobuf message: number, JSON name, type (`*` repeats, `@` maps, `~` writes into its owner), message. */
export type MessageField = readonly [number, string, string, string?];

let messages: Readonly<Record<string, readonly MessageField[]>> | undefined;

export function messageOf(name: string): readonly MessageField[] | undefined {
  messages ??= JSON.parse(messageText) as Record<string, readonly MessageField[]>;
  return Object.hasOwn(messages, name) ? messages[name] : undefined;
}
