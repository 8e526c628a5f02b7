import { toTime } from "@cortado/std/clock";
import { asTexts } from "./texts.ts";
import { at, isTree, setField, textAt, treeAt, type Tree } from "@cortado/kinds/tree";
import type { User } from "../api.ts";
import type { RolePolicy } from "../authz/rbac.ts";
import type { AccessQuestion } from "../authz/question.ts";
import { badRequest } from "../errors.ts";
import type { TokenReader } from "../ports.ts";
import type { Call } from "../server.ts";
import { checkKind, readBody } from "../verbs/body.ts";
import { checkFields } from "../verbs/field-check.ts";
import type { Outcome } from "../verbs/outcome.ts";

export type ReviewTools = { readonly policy: RolePolicy; readonly readToken: TokenReader };

/** Kinds that are questions: they are answered at once and never stored. */
export async function answerReview(call: Call, tools: ReviewTools): Promise<Outcome> {
  const { value, duplicates } = readBody(call, { takesProtobuf: true });
  checkKind(value, call.kind);
  checkFields(call, { object: value, duplicates, kind: call.kind });
  switch (call.kind.kind) {
    case "SelfSubjectAccessReview":
      return answer(value, await accessStatus(call, call.user, treeAt(value, "spec")));
    case "SubjectAccessReview":
    case "LocalSubjectAccessReview":
      return answer(value, await accessStatus(call, reviewedUser(call, value), treeAt(value, "spec")));
    case "SelfSubjectRulesReview":
      return answer(value, rulesStatus(call, tools.policy, textAt(value, "spec", "namespace")));
    case "SelfSubjectReview":
      return answer(
        {
          ...value,
          metadata: { ...treeAt(value, "metadata"), creationTimestamp: toTime(call.server.clock.nowMs()) },
        },
        { userInfo: userInfo(call.user) },
      );
    case "TokenReview":
      return answer(value, await tokenStatus(value, tools.readToken));
    default:
      throw badRequest(`${call.kind.kind} is not a review that this server answers`);
  }
}

function answer(review: Tree, status: Tree): Outcome {
  setField(review, "status", status);
  return { kind: "object", code: 201, object: review };
}

export function userInfo(user: User): Tree {
  return {
    username: user.name,
    ...(user.uid === undefined || user.uid === "" ? {} : { uid: user.uid }),
    groups: [...user.groups],
    ...(user.extra === undefined ? {} : { extra: user.extra }),
  };
}

function reviewedUser(call: Call, review: Tree): User {
  const spec = treeAt(review, "spec");
  const user = { name: textAt(spec, "user"), groups: asTexts(spec["groups"]), uid: textAt(spec, "uid") };
  if (user.name === "" && user.groups.length === 0)
    throw badRequest(
      `${call.kind.kind}.authorization.k8s.io "" is invalid: spec.user: Invalid value: "": at least one of user or group must be specified`,
    );
  if (call.kind.namespaced && textAt(spec, "resourceAttributes", "namespace") !== call.info.namespace)
    throw badRequest(
      `LocalSubjectAccessReview: spec.resourceAttributes.namespace must match the namespace of the request, ${call.info.namespace}`,
    );
  return user;
}

async function accessStatus(call: Call, user: User, spec: Tree): Promise<Tree> {
  const resource = spec["resourceAttributes"];
  const path = spec["nonResourceAttributes"];
  if (isTree(resource) === isTree(path))
    throw badRequest(
      `${call.kind.kind}.authorization.k8s.io "" is invalid: spec.resourceAttributes: Invalid value: exactly one of nonResourceAttributes or resourceAttributes must be specified`,
    );
  const base = { user, verb: textAt(resource ?? path, "verb"), version: "v1" };
  const question: AccessQuestion = isTree(resource)
    ? {
        ...base,
        group: textAt(resource, "group"),
        resource: textAt(resource, "resource"),
        subresource: textAt(resource, "subresource"),
        namespace: textAt(resource, "namespace"),
        name: textAt(resource, "name"),
      }
    : {
        ...base,
        group: "",
        resource: "",
        subresource: "",
        namespace: "",
        name: "",
        path: textAt(path, "path"),
      };
  const decision = await call.server.authorize(question);
  return { allowed: decision.allowed, ...(decision.reason === "" ? {} : { reason: decision.reason }) };
}

function rulesStatus(call: Call, policy: RolePolicy, namespace: string): Tree {
  const rules = policy.rulesFor(call.user, namespace);
  return {
    resourceRules: rules
      .filter((rule) => rule.nonResourceURLs.length === 0)
      .map(({ verbs, apiGroups, resources, resourceNames }) => ({
        verbs,
        apiGroups,
        resources,
        ...(resourceNames.length === 0 ? {} : { resourceNames }),
      })),
    nonResourceRules: rules
      .filter((rule) => rule.nonResourceURLs.length > 0)
      .map(({ verbs, nonResourceURLs }) => ({ verbs, nonResourceURLs })),
    incomplete: false,
  };
}

async function tokenStatus(review: Tree, readToken: TokenReader): Promise<Tree> {
  const audiences = asTexts(at(review, "spec", "audiences"));
  const user = await readToken(textAt(review, "spec", "token"), { audiences });
  if (user === undefined)
    return { authenticated: false, user: {}, error: "the token is not valid here, or no more" };
  return {
    authenticated: true,
    user: userInfo(user),
    ...(audiences.length === 0 ? {} : { audiences: [...audiences] }),
  };
}
