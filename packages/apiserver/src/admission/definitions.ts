import { invalidObject } from "@cortado/kinds/field-errors";
import { textAt } from "@cortado/kinds/tree";
import { defaultDefinition, establishDefinition, kindsOf, validateDefinition } from "../crd/definition.ts";
import type { AdmissionStep, Server } from "../server.ts";
import { prefixOf } from "../storage/records.ts";

const isDefinition = (kind: { readonly group: string; readonly kind: string }): boolean =>
  kind.group === "apiextensions.k8s.io" && kind.kind === "CustomResourceDefinition";

/** Custom resource definitions: defaults, checks, and their establishment in the same write, as one server owns all names. */
export function definitionAdmission(server: () => Server): AdmissionStep {
  return {
    name: "CustomResourceDefinition",
    mutate({ kind, object, operation, subresource }) {
      if (!isDefinition(kind) || object === undefined || operation === "DELETE" || subresource !== "") return;
      defaultDefinition(object);
      const errors = validateDefinition(object);
      if (errors.length > 0) throw invalidObject(kind, textAt(object, "metadata", "name"), errors);
      establishDefinition(object, server().clock.nowMs());
    },
    settle({ kind, object, isDryRun, name }, isWritten) {
      // Served before the answer goes out: `kubectl apply` of a definition and its objects in one file must work.
      if (isDefinition(kind) && object !== undefined && isWritten && !isDryRun)
        server().kinds.define(
          `/registry/apiextensions.k8s.io/customresourcedefinitions/${name}`,
          kindsOf(object),
        );
    },
    async removed({ kind, object }) {
      if (!isDefinition(kind)) return;
      const [first] = kindsOf(object);
      if (first === undefined) return;
      // Its objects go with the definition.
      const { items } = await server().store.list({ prefix: prefixOf(first, "") });
      for (const item of items)
        await server().store.write({ kind: "delete", key: item.key, expect: { kind: "anything" } });
    },
  };
}
