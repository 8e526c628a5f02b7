import { toTime } from "@cortado/std/clock";
import {
  apiVersionText,
  defineKind,
  type Cell,
  type Column,
  type KindInfo,
  type Scale,
  type Subresource,
} from "@cortado/kinds/kind-info";
import { table, created, nameOf } from "@cortado/kinds/columns";
import { ageText } from "@cortado/kinds/age";
import type { Schema } from "@cortado/kinds/schema";
import { invalid, notSupported, required, type FieldError } from "@cortado/kinds/field-errors";
import {
  at,
  fieldOf,
  growTree,
  isTree,
  listAt,
  setDefault,
  setField,
  textAt,
  treeAt,
  type Tree,
} from "@cortado/kinds/tree";
import { fillDefaults } from "@cortado/kinds/schema-check";
import { readPath } from "../render/json-path.ts";

/** The kinds that a CustomResourceDefinition serves, as data for the same machinery as the built-in ones. */
export function kindsOf(definition: Tree): readonly KindInfo[] {
  const served = listAt(definition, "spec", "versions").filter(
    (version) => fieldOf(version, "served") === true,
  );
  if (!isEstablished(definition)) return [];
  return served.map((version) => kindOf(definition, version as Tree));
}

export function isEstablished(definition: Tree): boolean {
  return listAt(definition, "status", "conditions").some(
    (one) => textAt(one, "type") === "Established" && textAt(one, "status") === "True",
  );
}

const scaleSubresource: Subresource = {
  name: "scale",
  verbs: ["get", "patch", "update"],
  group: "autoscaling",
  version: "v1",
  kind: "Scale",
};

function kindOf(definition: Tree, version: Tree): KindInfo {
  const names = treeAt(definition, "spec", "names");
  const schema = readSchema(version);
  const subresources = treeAt(version, "subresources");
  const scale = fieldOf(subresources, "scale");
  const selectable = listAt(version, "selectableFields").map((one) => textAt(one, "jsonPath"));
  return defineKind({
    group: textAt(definition, "spec", "group"),
    version: textAt(version, "name"),
    kind: textAt(names, "kind"),
    plural: textAt(names, "plural"),
    singular: textAt(names, "singular"),
    listKind: textAt(names, "listKind"),
    shortNames: listAt(names, "shortNames").map(String),
    categories: listAt(names, "categories").map(String),
    namespaced: textAt(definition, "spec", "scope") === "Namespaced",
    schema: { own: schema },
    custom: true,
    hasStatus: isTree(fieldOf(subresources, "status")),
    hasGeneration: true,
    updatesWithoutVersion: false,
    subresources: isTree(scale) ? [scaleSubresource] : [],
    table: columnsOf(version),
    rules: {
      defaults: (object) => fillDefaults(object, schema),
      fields: Object.fromEntries(
        selectable.map((path) => [
          path.replace(/^\./, ""),
          (object: Tree): string => String(readPath(object, path)[0] ?? ""),
        ]),
      ),
      ...(isTree(scale) ? { scale: scaleOf(scale) } : {}),
    },
  });
}

function scaleOf(scale: Tree): Scale {
  const path = textAt(scale, "labelSelectorPath");
  return {
    specReplicas: textAt(scale, "specReplicasPath"),
    statusReplicas: textAt(scale, "statusReplicasPath"),
    selector: (object) => (path === "" ? "" : String(readPath(object, path)[0] ?? "")),
  };
}

function readSchema(version: Tree): Schema {
  const given = at(version, "schema", "openAPIV3Schema");
  return isTree(given) ? (given as Schema) : { type: "object", "x-kubernetes-preserve-unknown-fields": true };
}

function columnsOf(version: Tree): ReturnType<typeof table> {
  const extra = listAt(version, "additionalPrinterColumns").filter(isTree);
  if (extra.length === 0)
    return table(["Name", "Age"], (object, age) => [nameOf(object), age(created(object))]);
  const columns = extra.map((one): Column => ({
    name: textAt(one, "name"),
    type: textAt(one, "type") as Column["type"],
    format: textAt(one, "format"),
    description:
      textAt(one, "description") ||
      `Custom resource definition column (in JSONPath format): ${textAt(one, "jsonPath")}`,
    priority: typeof one["priority"] === "number" ? one["priority"] : 0,
  }));
  const paths = extra.map((one) => textAt(one, "jsonPath"));
  const first = table(["Name"], (object) => [nameOf(object)]).columns;
  return {
    columns: [...first, ...columns],
    cells: (object, { nowMs }) => [
      nameOf(object),
      ...columns.map((column, index) => cellOf(readPath(object, paths[index] ?? "")[0], column, nowMs)),
    ],
  };
}

function cellOf(value: unknown, column: Column, nowMs: number): Cell {
  if (value === undefined || value === null) return null;
  if (column.type === "date") return ageText(value, nowMs);
  if (column.type === "integer" || column.type === "number") return typeof value === "number" ? value : null;
  if (column.type === "boolean") return typeof value === "boolean" ? value : null;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Fills in what upstream fills in. */
export function defaultDefinition(definition: Tree): void {
  const spec = growTree(definition, "spec");
  const names = growTree(spec, "names");
  setDefault(names, "singular", textAt(names, "kind").toLowerCase());
  setDefault(names, "listKind", `${textAt(names, "kind")}List`);
  setDefault(spec, "conversion", { strategy: "None" });
}

/** Says what is served and stored; our one server accepts names at once. */
export function establishDefinition(definition: Tree, nowMs: number): void {
  const time = toTime(nowMs);
  const stored = listAt(definition, "spec", "versions")
    .filter((one) => fieldOf(one, "storage") === true)
    .map((one) => textAt(one, "name"));
  const before = listAt(definition, "status", "storedVersions").map(String);
  const conditions = listAt(definition, "status", "conditions");
  setField(definition, "status", {
    conditions:
      conditions.length > 0
        ? conditions
        : [
            {
              type: "NamesAccepted",
              status: "True",
              reason: "NoConflicts",
              message: "no conflicts found",
              lastTransitionTime: time,
            },
            {
              type: "Established",
              status: "True",
              reason: "InitialNamesAccepted",
              message: "the initial names have been accepted",
              lastTransitionTime: time,
            },
          ],
    acceptedNames: treeAt(definition, "spec", "names"),
    storedVersions: [...new Set([...before, ...stored])],
  });
}

/** Upstream's checks of a definition that keep the machinery sound; what is not built is refused by name. */
export function validateDefinition(definition: Tree): readonly FieldError[] {
  const errors: FieldError[] = [];
  const spec = treeAt(definition, "spec");
  const wanted = `${textAt(spec, "names", "plural")}.${textAt(spec, "group")}`;
  const name = textAt(definition, "metadata", "name");
  if (name !== wanted)
    errors.push(invalid("metadata.name", name, `must be spec.names.plural+"."+spec.group`));
  if (!["Cluster", "Namespaced"].includes(textAt(spec, "scope")))
    errors.push(notSupported("spec.scope", textAt(spec, "scope"), ["Cluster", "Namespaced"]));
  for (const field of ["plural", "kind"])
    if (textAt(spec, "names", field) === "") errors.push(required(`spec.names.${field}`));
  const versions = listAt(spec, "versions");
  if (versions.filter((one) => fieldOf(one, "storage") === true).length !== 1)
    errors.push(
      invalid(
        "spec.versions",
        versions.map((one) => textAt(one, "name")),
        "must have exactly one version marked as storage version",
      ),
    );
  if (textAt(spec, "conversion", "strategy") === "Webhook")
    errors.push(notSupported("spec.conversion.strategy", "Webhook", ["None"]));
  for (const [index, version] of versions.entries()) {
    const path = `spec.versions[${index}].schema.openAPIV3Schema`;
    const schema = at(version, "schema", "openAPIV3Schema");
    if (!isTree(schema)) errors.push(required(path, "schemas are required"));
    else errors.push(...validateStructural(schema, path, true));
  }
  return errors;
}

function validateStructural(schema: Tree, path: string, isRoot: boolean): readonly FieldError[] {
  const errors: FieldError[] = [];
  const isFree =
    schema["x-kubernetes-int-or-string"] === true || schema["x-kubernetes-preserve-unknown-fields"] === true;
  if (isRoot && schema["type"] !== "object")
    errors.push(invalid(`${path}.type`, schema["type"] ?? "", "must be object at the root"));
  else if (textAt(schema, "type") === "" && !isFree)
    errors.push(required(`${path}.type`, "must not be empty for specified object fields"));
  if (Array.isArray(schema["x-kubernetes-validations"]) && schema["x-kubernetes-validations"].length > 0)
    errors.push({
      type: "Forbidden",
      field: `${path}.x-kubernetes-validations`,
      detail:
        "rules in CEL are not built yet; state the rule with the schema's own words, or check it in the controller",
    });
  if (schema["$ref"] !== undefined)
    errors.push({ type: "Forbidden", field: `${path}.$ref`, detail: "$ref is not supported" });
  for (const [key, child] of Object.entries(treeAt(schema, "properties")))
    if (isTree(child)) errors.push(...validateStructural(child, `${path}.properties[${key}]`, false));
  if (isTree(schema["items"])) errors.push(...validateStructural(schema["items"], `${path}.items`, false));
  if (isTree(schema["additionalProperties"]))
    errors.push(...validateStructural(schema["additionalProperties"], `${path}.additionalProperties`, false));
  return errors;
}

/** `GROUP/VERSION` texts, for logs. */
export function servedText(definition: Tree): string {
  return kindsOf(definition).map(apiVersionText).join(", ");
}
