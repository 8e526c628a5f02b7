import type { MqttAccess } from "@cortado/kinds/mqtt";
import { filterMatches } from "@cortado/wire/mqtt";

export type AclRule = {
  /** Filters; %u and %c stand for user name and client id. */
  readonly topics: readonly string[];
  readonly access: readonly MqttAccess[];
  /** With `*` for any text; absent: all. */
  readonly clientIds?: readonly string[];
};

export type Asking = { readonly user: string; readonly clientId: string };

/** Whether any rule lets somebody publish to a topic, or get messages on it. */
export function allowsTopic(
  rules: readonly AclRule[],
  { access, topic, ...asking }: Asking & { readonly access: "read" | "write"; readonly topic: string },
): boolean {
  return rules.some(
    (rule) =>
      rule.access.includes(access) && filtersOf(rule, asking).some((filter) => filterMatches(filter, topic)),
  );
}

/** Whether any rule lets somebody subscribe to a filter: one that may be read, or asked for, as a whole. */
export function allowsFilter(
  rules: readonly AclRule[],
  { filter, ...asking }: Asking & { readonly filter: string },
): boolean {
  return rules.some(
    (rule) =>
      (rule.access.includes("read") || rule.access.includes("subscribe")) &&
      filtersOf(rule, asking).some((allowed) => covers(allowed, filter)),
  );
}

function filtersOf({ topics, clientIds }: AclRule, { user, clientId }: Asking): readonly string[] {
  if (clientIds !== undefined && !clientIds.some((pattern) => globMatches(pattern, clientId))) return [];
  return topics.flatMap((topic) => {
    const isUnsafe =
      (topic.includes("%u") && /[+#/]/.test(user)) || (topic.includes("%c") && /[+#/]/.test(clientId));
    // A name with a wildcard in it would make more of the rule than it says.
    return isUnsafe ? [] : [topic.replaceAll("%u", user).replaceAll("%c", clientId)];
  });
}

/** Whether all that one filter matches is matched by another. */
export function covers(wide: string, narrow: string): boolean {
  const [wider, narrower] = [wide.split("/"), narrow.split("/")];
  // No wildcard at the front reaches a topic that begins with $ (MQTT 3.1.1, section 4.7.2).
  const isDollar = narrower[0]?.startsWith("$") === true;
  if (isDollar && (wider[0] === "#" || wider[0] === "+")) return false;
  for (const [at, level] of wider.entries()) {
    if (level === "#") return true;
    const other = narrower[at];
    if (other === undefined || other === "#") return false;
    if (level !== "+" && level !== other) return false;
  }
  return wider.length === narrower.length;
}

/** Whether a text is what a pattern says, `*` standing for any text. */
export function globMatches(pattern: string, text: string): boolean {
  const [first = "", ...rest] = pattern.split("*");
  if (rest.length === 0) return pattern === text;
  const last = rest.pop() ?? "";
  if (!text.startsWith(first) || !text.endsWith(last) || text.length < first.length + last.length)
    return false;
  const end = text.length - last.length;
  let at = first.length;
  for (const part of rest) {
    const found = text.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}
