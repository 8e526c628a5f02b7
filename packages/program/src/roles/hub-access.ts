import type { User } from "@cortado/apiserver/api";
import type { Client } from "@cortado/client";
import { at } from "@cortado/kinds/tree";
import { StatusError } from "@cortado/std/status";

/** What somebody wants of a hub beside its API, in the words of RBAC. */
export type AccessWish = {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  readonly namespace?: string;
  readonly name?: string;
};

export type Asking = { readonly client: Client; readonly signal: AbortSignal };
type Who = Pick<User, "name" | "groups">;

/** Asks the hub's own RBAC. */
export async function mayUser(user: Who, wish: AccessWish, { client, signal }: Asking): Promise<boolean> {
  const body = {
    apiVersion: "authorization.k8s.io/v1",
    kind: "SubjectAccessReview",
    spec: { user: user.name, groups: user.groups, resourceAttributes: wish },
  };
  const path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
  const review = await client.raw({ method: "POST", path, query: {}, body, signal });
  return at(review, "status", "allowed") === true;
}

/** @throws StatusError "Forbidden" that says which right is lacking */
export async function mustMay(user: Who, wish: AccessWish, asking: Asking): Promise<void> {
  if (await mayUser(user, wish, asking)) return;
  const { verb, group, resource, subresource, namespace = "", name = "" } = wish;
  const what = subresource === undefined ? resource : `${resource}/${subresource}`;
  const where = namespace === "" ? "" : ` in namespace ${JSON.stringify(namespace)}`;
  throw new StatusError(
    "Forbidden",
    `${what}.${group} ${JSON.stringify(name)} is forbidden: User ${JSON.stringify(user.name)} cannot ${verb} resource ${JSON.stringify(what)} in API group ${JSON.stringify(group)}${where}`,
    { details: { group, kind: resource, ...(name === "" ? {} : { name }) } },
  );
}
