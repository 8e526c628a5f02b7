import { StatusError } from "@cortado/std/status";
import { at, textAt } from "@cortado/kinds/tree";
import { forbiddenObject, notFound } from "../errors.ts";
import type { AdmissionStep, Server } from "../server.ts";
import { readObject } from "../storage/records.ts";

const forever = ["default", "kube-system", "kube-public"];

/** Nothing is made in a namespace that is not there or is going; three namespaces stay for ever. */
export function namespaceLifecycle(server: () => Server): AdmissionStep {
  return {
    name: "NamespaceLifecycle",
    async mutate({ operation, kind, namespace, name }) {
      if (!kind.namespaced || operation !== "CREATE") return;
      const namespaces = server().kinds.find({ group: "", version: "v1", plural: "namespaces" });
      if (namespaces === undefined) return;
      const found = await readObject(server().store, namespaces, { namespace: "", name: namespace });
      if (found === undefined) throw notFound({ group: "", plural: "namespaces", name: namespace });
      if (at(found, "metadata", "deletionTimestamp") === undefined) return;
      const refusal = forbiddenObject(
        { ...kind, name },
        `unable to create new content in namespace ${namespace} because it is being terminated`,
      );
      const causes = [
        {
          reason: "NamespaceTerminating",
          message: `namespace ${namespace} is being terminated`,
          field: "metadata.namespace",
        },
      ];
      throw new StatusError("Forbidden", refusal.message, { details: { ...refusal.details, causes } });
    },
    validate({ operation, kind, name }) {
      if (operation === "DELETE" && kind.group === "" && kind.kind === "Namespace" && forever.includes(name))
        throw forbiddenObject({ ...kind, name }, "this namespace may not be deleted");
    },
  };
}

/** The name of whatever is being admitted, for messages. */
export function admittedName(object: unknown): string {
  return textAt(object, "metadata", "name") || textAt(object, "metadata", "generateName");
}
