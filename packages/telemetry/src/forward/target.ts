import { isTree, type Tree } from "@cortado/kinds/tree";
import { StatusError } from "@cortado/std/status";
import { parseYaml } from "@cortado/wire/yaml";
import { FORWARD_TARGETS_MAX } from "../limits.ts";
import { knownKinds } from "../central/retention.ts";

export const targetKinds = ["otlp", "loki", "remote-write"] as const;
export type TargetKind = (typeof targetKinds)[number];

/** Where events are passed on to. */
export type ForwardTarget = {
  /** Of its place in the store of events: another name begins anew. */
  readonly name: string;
  readonly kind: TargetKind;
  readonly url: URL;
  /** Of events. */
  readonly kinds: readonly string[];
  /** For credentials and tenants. */
  readonly headers: Readonly<Record<string, string>>;
  readonly begin: "oldest" | "now";
};

/** What each kind of target is for: lines, samples, or both. */
const defaultKinds: Readonly<Record<TargetKind, readonly string[]>> = {
  otlp: knownKinds,
  loki: ["order", "payment", "alert", "event", "log"],
  "remote-write": ["machine", "metric"],
};

const fields = ["name", "kind", "url", "kinds", "headers", "begin"];

/** Reads the file of `cortado hub --forward`. @throws StatusError "Invalid" that names the file, the target and the field */
export function readTargets(text: string, file: string): readonly ForwardTarget[] {
  const parsed: unknown = parseYaml(text).value;
  const list = isTree(parsed) ? parsed["targets"] : undefined;
  if (!Array.isArray(list) || list.length === 0 || list.length > FORWARD_TARGETS_MAX)
    throw new StatusError("Invalid", `${file}: targets is a list of 1 to ${FORWARD_TARGETS_MAX}`);
  const targets = list.map((one: unknown, at) => readTarget(one, `${file}: targets[${at}]`));
  const twice = targets.find(({ name }, at) => targets.findIndex((one) => one.name === name) !== at);
  if (twice !== undefined) throw new StatusError("Invalid", `${file}: two targets are named ${twice.name}`);
  return targets;
}

function readTarget(value: unknown, where: string): ForwardTarget {
  const bad = (field: string, what: string): StatusError =>
    new StatusError("Invalid", `${where}.${field} ${what}`);
  if (!isTree(value)) throw new StatusError("Invalid", `${where} is no object`);
  for (const field of Object.keys(value))
    if (!fields.includes(field)) throw bad(field, `is not known; there are ${fields.join(", ")}`);
  const { name, kind, begin = "now" } = value;
  if (typeof name !== "string" || !/^[a-z0-9][-a-z0-9]{0,62}$/.test(name))
    throw bad("name", "must be of small letters, digits and dashes");
  if (!isTargetKind(kind)) throw bad("kind", `must be one of ${targetKinds.join(", ")}`);
  if (begin !== "now" && begin !== "oldest") throw bad("begin", "must be now or oldest");
  const url = typeof value["url"] === "string" ? URL.parse(value["url"]) : null;
  if (url === null || !/^https?:$/.test(url.protocol))
    throw bad("url", "must be a URL such as http://loki.example:3100");
  const kinds = value["kinds"] ?? defaultKinds[kind];
  const isKnown = (one: unknown): one is string => typeof one === "string" && knownKinds.includes(one);
  if (!Array.isArray(kinds) || kinds.length === 0 || !kinds.every(isKnown))
    throw bad("kinds", `must be a list of some of ${knownKinds.join(", ")}`);
  return { name, kind, url, kinds, begin, headers: readHeaders(value, bad) };
}

function isTargetKind(value: unknown): value is TargetKind {
  return (targetKinds as readonly unknown[]).includes(value);
}

function readHeaders(
  value: Tree,
  bad: (field: string, what: string) => StatusError,
): Readonly<Record<string, string>> {
  const headers = value["headers"] ?? {};
  if (!isTree(headers)) throw bad("headers", "must be names and texts");
  for (const [name, text] of Object.entries(headers))
    if (typeof text !== "string" || !/^[-\w]+$/.test(name) || !/^[\x20-\x7e]*$/.test(text))
      throw bad(`headers.${name}`, "must be a text without line breaks");
  return headers as Readonly<Record<string, string>>;
}
