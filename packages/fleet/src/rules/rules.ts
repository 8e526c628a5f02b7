import { RE2JS } from "@bufbuild/re2";
import type { Bundle, FleetPolicy, GitRepo, GitRepoRestriction } from "@cortado/kinds/fleet";
import type { LabelSelector } from "@cortado/kinds";
import { StatusError } from "@cortado/std/status";

/** What the GitRepoRestrictions and Policies of a namespace say together: lists are joined, the first default by name counts. */
export type Rules = {
  readonly restrictions: readonly GitRepoRestriction[];
  readonly policies: readonly FleetPolicy[];
};

/** What a store has to heed when it applies a bundle. */
export type ApplyLimits = {
  readonly createNamespace?: false;
  readonly allowedTargetNamespaceSelector?: LabelSelector;
};

type Named = { readonly metadata: { readonly name?: string } };

/** One list of what is allowed, and who says so. */
type Allowed = { readonly values: readonly string[]; readonly saidBy: readonly string[] };

/**
 * The spec of a GitRepo with the defaults of its namespace filled in (fleet.md 1.3). Pure.
 * @throws StatusError "Forbidden" that names the field, what is allowed and the object that says so; "Invalid" for a pattern that is none
 */
export function restrictRepo(spec: GitRepo["spec"], rules: Rules): GitRepo["spec"] {
  const { restrictions, policies } = byName(rules);
  if (restrictions.length === 0 && policies.length === 0) return spec;
  const given = (value: string | undefined, ...defaults: readonly (string | undefined)[]): string =>
    [value, ...defaults].find((one) => one !== undefined && one !== "") ?? "";
  const serviceAccount = given(
    spec.serviceAccount,
    ...restrictions.map((one) => one.defaultServiceAccount),
    ...policies.map((one) => one.gitRepo?.defaultServiceAccount),
  );
  const clientSecretName = given(
    spec.clientSecretName,
    ...restrictions.map((one) => one.defaultClientSecretName),
    ...policies.map((one) => one.gitRepo?.defaultClientSecretName),
  );
  checkPatterns(spec.repo, "spec.repo", { restrictions, policies });
  checkAccount(serviceAccount, "spec.serviceAccount", { restrictions, policies });
  for (const allowed of [
    allowedBy(restrictions, (one) => one.allowedClientSecretNames),
    allowedBy(policies, (one) => one.gitRepo?.allowedClientSecretNames),
  ])
    check(clientSecretName, "spec.clientSecretName", allowed);
  checkNamespace(spec.targetNamespace ?? "", restrictions);
  return {
    ...spec,
    ...(serviceAccount === "" ? {} : { serviceAccount }),
    ...(clientSecretName === "" ? {} : { clientSecretName }),
  };
}

/** Why a Bundle may not be deployed; undefined: it may. Its targets may name accounts of their own, and are looked at, too. */
export function bundleProblem(bundle: Bundle, rules: Rules, isOfRepo: boolean): string | undefined {
  const { policies, restrictions } = byName(rules);
  // A restriction speaks of GitRepos; a Policy of whatever brings bundles.
  const heeded = { policies, restrictions: isOfRepo ? restrictions : [] };
  if (heeded.policies.length === 0 && heeded.restrictions.length === 0) return undefined;
  const { serviceAccount = "", targets = [] } = (bundle.spec ?? {}) as {
    serviceAccount?: string;
    targets?: readonly { name?: string; serviceAccount?: string }[];
  };
  try {
    checkAccount(serviceAccount, "serviceAccount", heeded);
    for (const [at, target] of targets.entries())
      if ((target.serviceAccount ?? "") !== "")
        checkAccount(
          target.serviceAccount ?? "",
          `serviceAccount of target ${target.name ?? String(at)}`,
          heeded,
        );
    return undefined;
  } catch (error) {
    return error instanceof StatusError ? error.message : String(error);
  }
}

/** What goes with a bundle to the store, as only the store knows its namespaces. */
export function applyLimits(rules: Rules, isOfRepo: boolean): ApplyLimits {
  const { restrictions, policies } = byName(rules);
  const selectors = isOfRepo ? restrictions.flatMap((one) => one.allowedTargetNamespaceSelector ?? []) : [];
  const mayCreate = policies.length === 0 || policies.some((one) => one.allowNamespaceCreation === true);
  return {
    ...(mayCreate ? {} : { createNamespace: false as const }),
    ...(selectors.length === 0
      ? {}
      : {
          allowedTargetNamespaceSelector: {
            matchLabels: Object.assign({}, ...selectors.map((one) => one.matchLabels ?? {})) as Record<
              string,
              string
            >,
            matchExpressions: selectors.flatMap((one) => one.matchExpressions ?? []),
          },
        }),
  };
}

function byName({ restrictions, policies }: Rules): Rules {
  const order = (one: Named, other: Named): number =>
    (one.metadata.name ?? "") < (other.metadata.name ?? "") ? -1 : 1;
  return { restrictions: restrictions.toSorted(order), policies: policies.toSorted(order) };
}

function allowedBy<Kind extends Named & { readonly kind: string }>(
  objects: readonly Kind[],
  listOf: (object: Kind) => readonly string[] | undefined,
): Allowed {
  const saying = objects.filter((one) => (listOf(one) ?? []).length > 0);
  return {
    values: [...new Set(saying.flatMap((one) => listOf(one) ?? []))],
    saidBy: saying.map((one) => `${one.kind} ${one.metadata.name ?? ""}`),
  };
}

function checkAccount(account: string, field: string, { restrictions, policies }: Rules): void {
  check(
    account,
    field,
    allowedBy(restrictions, (one) => one.allowedServiceAccounts),
  );
  check(
    account,
    field,
    allowedBy(policies, (one) => one.allowedServiceAccounts),
  );
  const asking = policies.filter((one) => one.requireServiceAccount === true);
  if (account === "" && asking.length > 0)
    throw refused(
      `${field} is empty, and ${asking.map((one) => `Policy ${one.metadata.name ?? ""}`).join(", ")} wants one; name the ServiceAccount that deploys`,
    );
}

function check(value: string, field: string, { values, saidBy }: Allowed): void {
  if (values.length === 0 || values.includes(value)) return;
  const what = value === "" ? `${field} is empty` : `${field} ${JSON.stringify(value)} is not allowed`;
  throw refused(`${what}: ${saidBy.join(", ")} allows ${values.join(", ")}`);
}

function checkNamespace(namespace: string, restrictions: readonly GitRepoRestriction[]): void {
  const allowed = allowedBy(restrictions, (one) => one.allowedTargetNamespaces);
  const selecting = restrictions.filter((one) => one.allowedTargetNamespaceSelector !== undefined);
  if (namespace === "" && (allowed.values.length > 0 || selecting.length > 0))
    throw refused(
      `spec.targetNamespace is empty, and GitRepoRestriction ${[...allowed.saidBy.map((one) => one.split(" ")[1]), ...selecting.map((one) => one.metadata.name)].join(", ")} restricts it; name one${allowed.values.length > 0 ? ` of ${allowed.values.join(", ")}` : " whose labels are allowed"}`,
    );
  check(namespace, "spec.targetNamespace", allowed);
}

/** A restriction's patterns may match anywhere, a Policy's must match the whole (fleet.md 1.3). */
function checkPatterns(repo: string, field: string, { restrictions, policies }: Rules): void {
  const loose = allowedBy(restrictions, (one) => one.allowedRepoPatterns);
  const whole = allowedBy(policies, (one) => one.gitRepo?.allowedRepoPatterns);
  for (const [{ values, saidBy }, isWhole] of [
    [loose, false],
    [whole, true],
  ] as const) {
    if (values.length === 0 || values.some((pattern) => matches(pattern, repo, { isWhole, saidBy })))
      continue;
    throw refused(
      `${field} ${JSON.stringify(repo)} is not allowed: ${saidBy.join(", ")} allows ${values.join(", ")}`,
    );
  }
}

function matches(
  pattern: string,
  text: string,
  { isWhole, saidBy }: { readonly isWhole: boolean; readonly saidBy: readonly string[] },
): boolean {
  try {
    const compiled = RE2JS.compile(pattern);
    return isWhole ? compiled.testExact(text) : compiled.test(text);
  } catch (cause) {
    throw new StatusError(
      "Invalid",
      `pattern ${JSON.stringify(pattern)} of ${saidBy.join(", ")} is no regular expression; mend it, until then nothing is allowed`,
      { cause },
    );
  }
}

function refused(message: string): StatusError {
  return new StatusError("Forbidden", message);
}
