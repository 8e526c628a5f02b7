import { at, fieldOf, listAt, textAt, treeAt, type Tree } from "@cortado/kinds/tree";
import { labelsMatch, type LabelRequirement } from "../selectors.ts";
import type { User } from "../api.ts";
import type { AccessQuestion, Decision } from "./question.ts";

export type Rule = {
  readonly verbs: readonly string[];
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames: readonly string[];
  readonly nonResourceURLs: readonly string[];
};

/** The whole of rbac.authorization.k8s.io in memory, and what follows from it. */
export class RolePolicy {
  readonly #clusterRoles = new Map<string, Tree>();
  readonly #roles = new Map<string, Tree>();
  readonly #clusterBindings = new Map<string, Tree>();
  readonly #bindings = new Map<string, Tree>();

  put(key: string, object: Tree): void {
    this.#mapOf(key).set(idOf(key), object);
  }

  gone(key: string): void {
    this.#mapOf(key).delete(idOf(key));
  }

  #mapOf(key: string): Map<string, Tree> {
    const plural = key.split("/")[3];
    if (plural === "clusterroles") return this.#clusterRoles;
    if (plural === "roles") return this.#roles;
    return plural === "clusterrolebindings" ? this.#clusterBindings : this.#bindings;
  }

  decide(question: AccessQuestion): Decision {
    if (question.user.groups.includes("system:masters")) return { allowed: true, reason: "" };
    for (const { rules, reason } of this.#grants(question.user, question.namespace))
      if (rules.some((rule) => covers(rule, question))) return { allowed: true, reason };
    return { allowed: false, reason: "" };
  }

  /** Every rule that a user holds, in the cluster and in one namespace. */
  rulesFor(user: User, namespace: string): readonly Rule[] {
    if (user.groups.includes("system:masters")) return everything;
    return [...this.#grants(user, namespace)].flatMap(({ rules }) => rules);
  }

  *#grants(
    user: User,
    namespace: string,
  ): Generator<{ readonly rules: readonly Rule[]; readonly reason: string }> {
    for (const [name, binding] of this.#clusterBindings)
      if (namesUser(binding, user, ""))
        yield {
          rules: this.rulesOf(treeAt(binding, "roleRef"), ""),
          reason: grantText(`ClusterRoleBinding ${JSON.stringify(name)}`, binding, user),
        };
    if (namespace === "") return;
    for (const [id, binding] of this.#bindings)
      if (id.startsWith(`${namespace}/`) && namesUser(binding, user, namespace))
        yield {
          rules: this.rulesOf(treeAt(binding, "roleRef"), namespace),
          reason: grantText(`RoleBinding ${JSON.stringify(id)}`, binding, user),
        };
  }

  /** The rules behind a roleRef; none when the role is not there. */
  rulesOf(ref: Tree, namespace: string): readonly Rule[] {
    const name = textAt(ref, "name");
    const role =
      textAt(ref, "kind") === "Role" ? this.#roles.get(`${namespace}/${name}`) : this.#clusterRoles.get(name);
    return role === undefined ? [] : this.#allRules(role);
  }

  #allRules(role: Tree): readonly Rule[] {
    const own = readRules(role);
    const selectors = listAt(role, "aggregationRule", "clusterRoleSelectors");
    if (selectors.length === 0) return own;
    const others = [...this.#clusterRoles.values()].filter(
      (other) => other !== role && selectors.some((selector) => matches(other, selector)),
    );
    return [...own, ...others.flatMap((other) => this.#allRules(other))];
  }
}

function grantText(source: string, binding: Tree, user: User): string {
  return `RBAC: allowed by ${source} of ${textAt(binding, "roleRef", "kind")} ${JSON.stringify(textAt(binding, "roleRef", "name"))} to User ${JSON.stringify(user.name)}`;
}

const everything: readonly Rule[] = [
  { verbs: ["*"], apiGroups: ["*"], resources: ["*"], resourceNames: [], nonResourceURLs: [] },
  { verbs: ["*"], apiGroups: [], resources: [], resourceNames: [], nonResourceURLs: ["*"] },
];

function idOf(key: string): string {
  return key.split("/").slice(4).join("/");
}

export function readRules(role: Tree): readonly Rule[] {
  return listAt(role, "rules").map((rule) => ({
    verbs: listAt(rule, "verbs").map(String),
    apiGroups: listAt(rule, "apiGroups").map(String),
    resources: listAt(rule, "resources").map(String),
    resourceNames: listAt(rule, "resourceNames").map(String),
    nonResourceURLs: listAt(rule, "nonResourceURLs").map(String),
  }));
}

function matches(role: Tree, selector: unknown): boolean {
  const labels = treeAt(role, "metadata", "labels");
  const equal = Object.entries(treeAt(selector, "matchLabels")).map(([key, value]): LabelRequirement => ({
    key,
    operator: "in",
    values: [String(value)],
  }));
  const set = listAt(selector, "matchExpressions").map((one): LabelRequirement => ({
    key: textAt(one, "key"),
    operator:
      ({ In: "in", NotIn: "notin", Exists: "exists", DoesNotExist: "absent" } as const)[
        textAt(one, "operator") as "In"
      ] ?? "in",
    values: listAt(one, "values").map(String),
  }));
  return labelsMatch(labels, [...equal, ...set]);
}

function namesUser(binding: Tree, user: User, namespace: string): boolean {
  return listAt(binding, "subjects").some((subject) => {
    const name = textAt(subject, "name");
    if (at(subject, "kind") === "User") return name === user.name;
    if (at(subject, "kind") === "Group") return user.groups.includes(name);
    const account = `system:serviceaccount:${textAt(subject, "namespace") || namespace}:${name}`;
    return fieldOf(subject, "kind") === "ServiceAccount" && account === user.name;
  });
}

/** Upstream's matching of one rule (kubernetes, pkg/apis/rbac/v1/evaluation_helpers.go). */
export function covers(rule: Rule, question: AccessQuestion): boolean {
  if (!has(rule.verbs, question.verb)) return false;
  if (question.path !== undefined)
    return rule.nonResourceURLs.some((url) => urlCovers(url, question.path ?? ""));
  if (!has(rule.apiGroups, question.group)) return false;
  const full =
    question.subresource === "" ? question.resource : `${question.resource}/${question.subresource}`;
  const isNamed =
    has(rule.resources, full) ||
    (question.subresource !== "" && rule.resources.includes(`*/${question.subresource}`));
  if (!isNamed) return false;
  return rule.resourceNames.length === 0 || rule.resourceNames.includes(question.name);
}

function has(list: readonly string[], wanted: string): boolean {
  return list.includes("*") || list.includes(wanted);
}

function urlCovers(url: string, path: string): boolean {
  if (url === "*" || url === path) return true;
  return url.endsWith("*") && path.startsWith(url.slice(0, -1));
}

/** What of `wanted` the holder of `held` may not do: nobody hands out more than they have. */
export function notCovered(held: readonly Rule[], wanted: readonly Rule[]): readonly Rule[] {
  return wanted.flatMap(splitRule).filter((one) => !held.some((rule) => includesRule(rule, one)));
}

function splitRule(rule: Rule): readonly Rule[] {
  const base = { apiGroups: [], resources: [], resourceNames: [], nonResourceURLs: [] };
  const parts: Rule[] = [];
  for (const verb of rule.verbs) {
    for (const url of rule.nonResourceURLs) parts.push({ ...base, verbs: [verb], nonResourceURLs: [url] });
    for (const apiGroup of rule.apiGroups)
      for (const resource of rule.resources)
        for (const name of rule.resourceNames.length === 0 ? [undefined] : rule.resourceNames)
          parts.push({
            ...base,
            verbs: [verb],
            apiGroups: [apiGroup],
            resources: [resource],
            resourceNames: name === undefined ? [] : [name],
          });
  }
  return parts;
}

function includesRule(held: Rule, one: Rule): boolean {
  const [verb = "", url] = [one.verbs[0], one.nonResourceURLs[0]];
  if (!has(held.verbs, verb)) return false;
  if (url !== undefined) return held.nonResourceURLs.some((known) => urlCovers(known, url));
  const resource = one.resources[0] ?? "";
  const sub = resource.split("/")[1];
  const isNamed = has(held.resources, resource) || (sub !== undefined && held.resources.includes(`*/${sub}`));
  const names =
    held.resourceNames.length === 0 ||
    (one.resourceNames[0] !== undefined && held.resourceNames.includes(one.resourceNames[0]));
  return has(held.apiGroups, one.apiGroups[0] ?? "") && isNamed && names;
}

export function ruleText(rule: Rule): string {
  const list = (name: string, values: readonly string[]): string =>
    values.length === 0 ? "" : `${name}:[${values.map((one) => JSON.stringify(one)).join(" ")}]`;
  const parts = [
    list("APIGroups", rule.apiGroups),
    list("Resources", rule.resources),
    list("ResourceNames", rule.resourceNames),
    list("NonResourceURLs", rule.nonResourceURLs),
    list("Verbs", rule.verbs),
  ];
  return `{${parts.filter((part) => part !== "").join(", ")}}`;
}
