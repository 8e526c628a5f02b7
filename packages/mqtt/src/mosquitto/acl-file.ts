import { filterMatches, topicFilterFault } from "@cortado/wire/mqtt";
import { confLines, type LineNote } from "./lines.ts";

/** What mosquitto calls read is to be sent a message, and write is to publish one. */
export type AclAccess = "read" | "write" | "readwrite" | "deny";
export type AclRule = {
  readonly access: AclAccess;
  /** A filter; in patterns `%u` and `%c` stand for user and client id. */
  readonly topic: string;
};

/** An acl_file of mosquitto's. */
export type AclFile = {
  /** For who gave no user name. */
  readonly anonymous: readonly AclRule[];
  readonly users: ReadonlyMap<string, readonly AclRule[]>;
  /** For everybody. */
  readonly patterns: readonly AclRule[];
};

export type AclQuestion = {
  /** Absent: the client gave none. */
  readonly user: string | undefined;
  readonly clientId: string;
  readonly access: "read" | "write";
  readonly topic: string;
};

const accesses: readonly AclAccess[] = ["read", "write", "readwrite", "deny"];

/** Reads an acl_file; what cannot be read is in `faults`, by line, and left out. */
export function readAclFile(
  text: string,
  file: string,
): { readonly acl: AclFile; readonly faults: readonly LineNote[] } {
  const anonymous: AclRule[] = [];
  const patterns: AclRule[] = [];
  const users = new Map<string, AclRule[]>();
  const faults: LineNote[] = [];
  let rules = anonymous;
  for (const { line, key, value } of confLines(text, file)) {
    const wrong = (message: string): void => void faults.push({ file, line, message });
    if (key === "user") {
      if (value === "") wrong("user names nobody");
      rules = users.get(value) ?? [];
      users.set(value, rules);
    } else if (key === "topic" || key === "pattern") {
      const rule = readRule(value);
      const fault = rule.topic === "" ? "it names no topic" : topicFilterFault(rule.topic);
      if (fault === undefined) (key === "topic" ? rules : patterns).push(rule);
      else wrong(`${key} ${value}: ${fault}`);
    } else wrong(`${key} is none of user, topic and pattern`);
  }
  return { acl: { anonymous, users, patterns }, faults };
}

/** Without an access before it, a topic may be read and written; it may hold spaces. */
function readRule(value: string): AclRule {
  const [first = "", ...rest] = value.split(/\s+/);
  const access = accesses.find((one) => one === first);
  if (access === undefined || rest.length === 0) return { access: "readwrite", topic: value };
  return { access, topic: value.slice(first.length).trimStart() };
}

/**
 * As mosquitto answers: a rule that denies goes before all that allow, those of the user before patterns, and what no rule names is
 * denied. A wildcard at a rule's beginning does not stand for a `$`.
 */
export function aclAllows(
  { anonymous, users, patterns }: AclFile,
  { user, clientId, access, topic }: AclQuestion,
): boolean {
  const own = user === undefined ? anonymous : (users.get(user) ?? []);
  const filled = patterns.flatMap((rule) => fill(rule, { user, clientId }));
  for (const rules of [own, filled]) {
    const matching = rules.filter((rule) => filterMatches(rule.topic, topic));
    if (matching.some((rule) => rule.access === "deny")) return false;
    if (matching.some((rule) => rule.access === "readwrite" || rule.access === access)) return true;
  }
  return false;
}

/** A name that is a wildcard itself must not widen a pattern: whoever has one gets none. */
function fill(
  { access, topic }: AclRule,
  { user, clientId }: { readonly user: string | undefined; readonly clientId: string },
): readonly AclRule[] {
  const needsUser = topic.includes("%u");
  if (needsUser && user === undefined) return [];
  const names = [...(needsUser ? [user ?? ""] : []), ...(topic.includes("%c") ? [clientId] : [])];
  if (names.some((name) => /[+#/]/.test(name))) return [];
  return [{ access, topic: topic.replaceAll("%u", () => user ?? "").replaceAll("%c", () => clientId) }];
}
