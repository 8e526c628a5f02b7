import { createHash } from "node:crypto";
import { sortedTree } from "../../canonical-json.ts";
import { messageOf } from "@cortado/std/status";
import { jsonText, parseJson } from "@cortado/wire/json";
import { parseYaml, yamlText } from "@cortado/wire/yaml";
import type { Arguments, FunctionTable } from "./arguments.ts";

/** Base64, digests, YAML, JSON and paths. */
export const encodings: FunctionTable = {
  b64enc: [1, 1, (given) => Buffer.from(given.text(0)).toString("base64")],
  b64dec: [1, 1, base64Decoded],
  b32enc: [1, 1, (given) => base32(new TextEncoder().encode(given.text(0)))],
  sha1sum: [1, 1, (given) => digest("sha1", given)],
  sha256sum: [1, 1, (given) => digest("sha256", given)],
  sha512sum: [1, 1, (given) => digest("sha512", given)],
  adler32sum: [1, 1, adler32],
  toJson: [1, 1, (given) => goJson(given)],
  mustToJson: [1, 1, (given) => goJson(given)],
  toRawJson: [1, 1, (given) => json(given)],
  mustToRawJson: [1, 1, (given) => json(given)],
  toPrettyJson: [1, 1, (given) => prettyJson(given)],
  mustToPrettyJson: [1, 1, (given) => prettyJson(given)],
  fromJson: [1, 1, (given) => read(given, parseJson)],
  mustFromJson: [1, 1, (given) => read(given, parseJson)],
  fromJsonArray: [1, 1, (given) => read(given, parseJson)],
  toYaml: [1, 1, (given) => yaml(given)],
  fromYaml: [1, 1, (given) => read(given, (text) => parseYaml(text).value)],
  fromYamlArray: [1, 1, (given) => read(given, (text) => parseYaml(text).value)],
  base: [
    1,
    1,
    (given) => given.text(0).replace(/\/+$/, "").split("/").at(-1) || (given.text(0) === "" ? "." : "/"),
  ],
  dir: [1, 1, (given) => cleaned(given.text(0).slice(0, given.text(0).lastIndexOf("/") + 1))],
  ext: [1, 1, (given) => /\.[^./]*$/.exec(given.text(0))?.[0] ?? ""],
  clean: [1, 1, (given) => cleaned(given.text(0))],
  isAbs: [1, 1, (given) => given.text(0).startsWith("/")],
};

function digest(algorithm: "sha1" | "sha256" | "sha512", given: Arguments): string {
  return createHash(algorithm).update(given.text(0)).digest("hex");
}

function base64Decoded(given: Arguments): string {
  const text = given.text(0);
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text))
    throw given.fault("was given text that is not base64");
  return Buffer.from(text, "base64").toString();
}

function base32(bytes: Uint8Array): string {
  const bits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, "0")).join("");
  const letters = (bits.match(/.{1,5}/g) ?? []).map(
    (five) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[Number.parseInt(five.padEnd(5, "0"), 2)] ?? "",
  );
  return letters.join("").padEnd(Math.ceil(letters.length / 8) * 8, "=");
}

function adler32(given: Arguments): string {
  let [low, high] = [1, 0];
  for (const byte of new TextEncoder().encode(given.text(0))) {
    low = (low + byte) % 65_521;
    high = (high + low) % 65_521;
  }
  return String(high * 65_536 + low);
}

function json(given: Arguments): string {
  given.run.weigh(given.any(0));
  return jsonText(sortedTree(given.any(0) ?? null));
}

/** Go escapes what a browser could take for markup. */
function goJson(given: Arguments): string {
  return json(given).replaceAll(
    /[<>&\u2028\u2029]/g,
    (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function prettyJson(given: Arguments): string {
  given.run.weigh(given.any(0));
  const plain = (_key: string, value: unknown): unknown =>
    typeof value === "bigint" ? Number(value) : value;
  return JSON.stringify(sortedTree(given.any(0) ?? null), plain, 2);
}

function yaml(given: Arguments): string {
  given.run.weigh(given.any(0));
  return yamlText(given.any(0) ?? null, { sortKeys: true }).replace(/\n$/, "");
}

function read(given: Arguments, parse: (text: string) => unknown): unknown {
  let value: unknown;
  try {
    value = parse(given.text(0));
  } catch (error) {
    throw given.fault(`cannot read its value: ${messageOf(error)}`);
  }
  given.run.weigh(value);
  return value;
}

function cleaned(path: string): string {
  const kept: string[] = [];
  for (const step of path.split("/")) {
    if (step === "" || step === ".") continue;
    if (step === ".." && kept.length > 0 && kept.at(-1) !== "..") kept.pop();
    else if (step !== ".." || !path.startsWith("/")) kept.push(step);
  }
  const joined = kept.join("/");
  if (path.startsWith("/")) return `/${joined}`;
  return joined === "" ? "." : joined;
}
