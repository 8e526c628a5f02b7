import type { User } from "../api.ts";

/** What an authorizer is asked. */
export type AccessQuestion = {
  readonly user: User;
  readonly verb: string;
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  /** Set when it is about a path that is no resource. */
  readonly path?: string;
  /** What a list or watch is narrowed to; "" or absent: nothing. */
  readonly fieldSelector?: string;
};

export type Decision = { readonly allowed: boolean; readonly reason: string };

/** Decides who may do what. */
export type Authorizer = (question: AccessQuestion) => Promise<Decision> | Decision;

/** Upstream's sentence about a refusal (apiserver, pkg/endpoints/handlers/responsewriters/errors.go). */
export function refusalText(question: AccessQuestion): string {
  const who = `User ${JSON.stringify(question.user.name)} cannot ${question.verb}`;
  if (question.path !== undefined) return `${who} path ${JSON.stringify(question.path)}`;
  const resource =
    question.subresource === "" ? question.resource : `${question.resource}/${question.subresource}`;
  const where =
    question.namespace === ""
      ? "at the cluster scope"
      : `in the namespace ${JSON.stringify(question.namespace)}`;
  return `${who} resource ${JSON.stringify(resource)} in API group ${JSON.stringify(question.group)} ${where}`;
}
