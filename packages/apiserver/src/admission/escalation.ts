import { listAt, textAt, treeAt, type Tree } from "@cortado/kinds/tree";
import { notCovered, readRules, ruleText, type RolePolicy, type Rule } from "../authz/rbac.ts";
import { forbiddenObject } from "../errors.ts";
import type { Admission, AdmissionStep } from "../server.ts";

const rbacGroup = "rbac.authorization.k8s.io";

/** Nobody hands out rights that they do not have (kubernetes, pkg/registry/rbac/escalation_check.go). */
export function escalationCheck(policy: RolePolicy): AdmissionStep {
  return {
    name: "RBACEscalation",
    async validate(admission) {
      const { kind, object, operation, call } = admission;
      if (kind.group !== rbacGroup || object === undefined || operation === "DELETE") return;
      if (call.user.groups.includes("system:masters")) return;
      const isRole = kind.kind === "Role" || kind.kind === "ClusterRole";
      if (await mayAnyway(admission, isRole ? "escalate" : "bind")) return;
      const wanted = isRole
        ? readRules(object)
        : policy.rulesOf(treeAt(object, "roleRef"), admission.namespace);
      const aggregates = isRole && listAt(object, "aggregationRule", "clusterRoleSelectors").length > 0;
      const all: readonly Rule[] = aggregates
        ? [{ verbs: ["*"], apiGroups: ["*"], resources: ["*"], resourceNames: [], nonResourceURLs: [] }]
        : wanted;
      const missing = notCovered(policy.rulesFor(call.user, admission.namespace), all);
      if (missing.length === 0) return;
      const who = `user ${JSON.stringify(call.user.name)} (groups=${JSON.stringify(call.user.groups)}) is attempting to grant RBAC permissions not currently held`;
      throw forbiddenObject(
        { ...kind, name: admission.name },
        `${who}:\n${missing.map(ruleText).join("\n")}`,
      );
    },
  };
}

async function mayAnyway({ call, kind, namespace, object }: Admission, verb: string): Promise<boolean> {
  const ref: Tree = treeAt(object, "roleRef");
  const resource = verb === "escalate" ? kind.plural : `${textAt(ref, "kind").toLowerCase()}s`;
  const name = verb === "escalate" ? textAt(object, "metadata", "name") : textAt(ref, "name");
  const question = {
    user: call.user,
    verb,
    group: rbacGroup,
    version: "v1",
    resource,
    subresource: "",
    namespace,
    name,
  };
  return (await call.server.authorize(question)).allowed;
}
