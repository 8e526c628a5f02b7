import { TOPIC_BYTES_MAX, TOPIC_LEVELS_MAX } from "./limits.ts";

/**
 * Why a topic name may not be published to; undefined when it may (MQTT 3.1.1, section 4.7). A leading slash is an empty first
 * level like any other and stays.
 */
export function topicNameFault(topic: string): string | undefined {
  if (topic.includes("+") || topic.includes("#")) return "a topic name holds no wildcard";
  return commonFault(topic);
}

/** Why a filter may not be subscribed to; undefined when it may. */
export function topicFilterFault(filter: string): string | undefined {
  const fault = commonFault(filter);
  if (fault !== undefined) return fault;
  const levels = filter.split("/");
  for (const [at, level] of levels.entries()) {
    if (level === "+" || level === "") continue;
    if (level === "#") {
      if (at !== levels.length - 1) return "# may only be the last level of a filter";
    } else if (level.includes("+") || level.includes("#")) return "a wildcard must be a level of its own";
  }
  return undefined;
}

/** Whether a filter matches a topic. A topic that begins with $ is matched by no filter that begins with a wildcard. */
export function filterMatches(filter: string, topic: string): boolean {
  return levelsMatch(filter.split("/"), topic.split("/"));
}

/** The same on split text, for a caller that matches one against many. */
export function levelsMatch(filter: readonly string[], topic: readonly string[]): boolean {
  if (topic[0]?.startsWith("$") === true && (filter[0] === "+" || filter[0] === "#")) return false;
  for (let at = 0; at < filter.length; at += 1) {
    const level = filter[at];
    if (level === "#") return true; // also the parent level itself: "a/#" matches "a"
    if (at >= topic.length) return false;
    if (level !== "+" && level !== topic[at]) return false;
  }
  return filter.length === topic.length;
}

function commonFault(text: string): string | undefined {
  if (text.length === 0) return "a topic or filter has at least one character";
  if (text.includes("\u0000")) return "a topic or filter holds no NUL character";
  // Three bytes a character at most: only long texts need to be measured.
  if (text.length * 3 > TOPIC_BYTES_MAX && utf8Bytes(text) > TOPIC_BYTES_MAX)
    return `a topic or filter is over ${TOPIC_BYTES_MAX} bytes`;
  let levels = 1;
  for (let at = text.indexOf("/"); at >= 0; at = text.indexOf("/", at + 1)) levels += 1;
  return levels > TOPIC_LEVELS_MAX ? `a topic or filter has more than ${TOPIC_LEVELS_MAX} levels` : undefined;
}

function utf8Bytes(text: string): number {
  return new TextEncoder().encode(text).byteLength;
}

/** A shared subscription's two parts (MQTT 5, section 4.8.2). */
export type Share = { readonly group: string; readonly filter: string };

/**
 * The group and filter of `$share/GROUP/FILTER`; undefined for an ordinary filter. Cut by position: a filter after the group may
 * begin with a slash.
 */
export function shareOf(filter: string): Share | undefined {
  if (!filter.startsWith("$share/")) return undefined;
  const end = filter.indexOf("/", 7);
  return end < 0
    ? { group: filter.slice(7), filter: "" }
    : { group: filter.slice(7, end), filter: filter.slice(end + 1) };
}

/** Why a filter that begins with $share/ names no group's subscription. */
export function shareFault(filter: string): string | undefined {
  const share = shareOf(filter);
  if (share === undefined) return undefined;
  if (share.group === "") return "a shared subscription needs a group: $share/GROUP/FILTER";
  if (/[+#]/.test(share.group)) return "the group of a shared subscription holds no wildcard (MQTT-4.8.2-2)";
  return topicFilterFault(share.filter);
}
