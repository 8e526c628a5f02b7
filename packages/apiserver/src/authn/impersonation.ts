import { StatusError } from "@cortado/std/status";
import type { User } from "../api.ts";
import { refusalText, type AccessQuestion, type Authorizer } from "../authz/question.ts";

type Headers = Readonly<Record<string, string | undefined>>;

/** Who a request is to be taken for, when its headers ask for somebody else and the sender may. @throws StatusError "Forbidden" */
export async function impersonate(user: User, headers: Headers, authorize: Authorizer): Promise<User> {
  const name = headers["impersonate-user"];
  const groups = split(headers["impersonate-group"]);
  const uid = headers["impersonate-uid"];
  if (name === undefined || name === "") {
    if (groups.length > 0 || uid !== undefined) throw new StatusError("BadRequest", "requested impersonation without specifying a user name to impersonate");
    return user;
  }
  const ask = async (resource: string, wanted: string, place: Partial<AccessQuestion> = {}): Promise<void> => {
    const question: AccessQuestion = { user, verb: "impersonate", group: "", version: "v1", resource, subresource: "", namespace: "", name: wanted, ...place };
    const decision = await authorize(question);
    if (!decision.allowed) throw new StatusError("Forbidden", `${resource} ${JSON.stringify(wanted)} is forbidden: ${refusalText(question)}`, { details: { name: wanted, kind: resource } });
  };
  const account = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(name);
  if (account === null) await ask("users", name);
  else await ask("serviceaccounts", account[2] ?? "", { namespace: account[1] ?? "" });
  for (const group of groups) await ask("groups", group);
  if (uid !== undefined) await ask("uids", uid, { group: "authentication.k8s.io" });
  const extra: Record<string, readonly string[]> = {};
  for (const [header, value] of Object.entries(headers)) {
    if (!header.startsWith("impersonate-extra-") || value === undefined) continue;
    const key = decodeURIComponent(header.slice("impersonate-extra-".length));
    extra[key] = split(value);
    for (const one of extra[key] ?? []) await ask("userextras", one, { group: "authentication.k8s.io", subresource: key });
  }
  const own = account === null ? [] : ["system:serviceaccounts", `system:serviceaccounts:${account[1] ?? ""}`];
  const all = groups.length === 0 ? own : groups;
  const isAnonymous = name === "system:anonymous";
  const wide = isAnonymous ? "system:unauthenticated" : "system:authenticated";
  return { name, groups: [...new Set([...all, wide])], ...(uid === undefined ? {} : { uid }), ...(Object.keys(extra).length === 0 ? {} : { extra }) };
}

function split(header: string | undefined): readonly string[] {
  return header === undefined ? [] : header.split(",").map((part) => part.trim()).filter((part) => part !== "");
}
