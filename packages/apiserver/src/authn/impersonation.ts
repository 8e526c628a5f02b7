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
    if (groups.length > 0 || uid !== undefined)
      throw new StatusError(
        "BadRequest",
        "requested impersonation without specifying a user name to impersonate",
      );
    return user;
  }
  const ask = (resource: string, wanted: string, place: Partial<AccessQuestion> = {}): Promise<void> =>
    mustMay({ ...whole, user, resource, name: wanted, ...place }, authorize);
  const account = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(name);
  if (account === null) await ask("users", name);
  else await ask("serviceaccounts", account[2] ?? "", { namespace: account[1] ?? "" });
  for (const group of groups) await ask("groups", group);
  if (uid !== undefined) await ask("uids", uid, { group: "authentication.k8s.io" });
  const extra = readExtra(headers);
  for (const [key, values] of Object.entries(extra))
    for (const one of values)
      await ask("userextras", one, { group: "authentication.k8s.io", subresource: key });
  const own =
    account === null ? [] : ["system:serviceaccounts", `system:serviceaccounts:${account[1] ?? ""}`];
  const all = groups.length === 0 ? own : groups;
  const isAnonymous = name === "system:anonymous";
  const wide = isAnonymous ? "system:unauthenticated" : "system:authenticated";
  return {
    name,
    groups: [...new Set([...all, wide])],
    ...(uid === undefined ? {} : { uid }),
    ...(Object.keys(extra).length === 0 ? {} : { extra }),
  };
}

const whole = { verb: "impersonate", group: "", version: "v1", subresource: "", namespace: "" };

async function mustMay(question: AccessQuestion, authorize: Authorizer): Promise<void> {
  const decision = await authorize(question);
  if (decision.allowed) return;
  const { resource, name } = question;
  const message = `${resource} ${JSON.stringify(name)} is forbidden: ${refusalText(question)}`;
  throw new StatusError("Forbidden", message, { details: { name, kind: resource } });
}

function readExtra(headers: Headers): Readonly<Record<string, readonly string[]>> {
  const prefix = "impersonate-extra-";
  const entries = Object.entries(headers).filter(([header]) => header.startsWith(prefix));
  return Object.fromEntries(
    entries.map(([header, value]) => [decodeKey(header.slice(prefix.length)), split(value)]),
  );
}

function decodeKey(key: string): string {
  try {
    return decodeURIComponent(key);
  } catch (cause) {
    throw new StatusError("BadRequest", `the header Impersonate-Extra-${key} has a broken escape`, { cause });
  }
}

function split(header: string | undefined): readonly string[] {
  return header === undefined
    ? []
    : header
        .split(",")
        .map((part) => part.trim())
        .filter((part) => part !== "");
}
