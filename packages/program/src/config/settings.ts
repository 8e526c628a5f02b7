import { readFileSync } from "node:fs";
import { load } from "js-yaml";
import { StatusError } from "@cortado/std/status";

// What the settings of all commands have alike: their file, and how a value is read.

export type Setting = {
  readonly kind: "text" | "number" | "list" | "pairs" | "flag";
  readonly help: string;
  readonly fallback?: string;
};
export type Values<Name extends string> = Partial<Record<Name, unknown>>;
export type LogLevel = "debug" | "info" | "warn" | "error";

export type SettingsFile<Name extends string> = {
  readonly path: string;
  /** Absent it is an empty one, unless somebody named it. */
  readonly mustExist: boolean;
  readonly settings: Readonly<Record<Name, Setting>>;
  /** For messages: "cortado server". */
  readonly command: string;
};

/** Reads a file of settings as `name: value`. @throws StatusError naming the key that is not known */
export function readSettingsFile<Name extends string>({
  path,
  mustExist,
  settings,
  command,
}: SettingsFile<Name>): Values<Name> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    if (!mustExist) return {};
    throw new StatusError("NotFound", `${path} cannot be read; name another file with --config`, { cause });
  }
  let parsed: unknown;
  try {
    parsed = load(text) ?? {};
  } catch (cause) {
    throw new StatusError("BadRequest", `${path}: ${(cause as Error).message.split("\n")[0]}`, { cause });
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed))
    throw new StatusError("BadRequest", `${path}: settings are written as "name: value"`);
  for (const name of Object.keys(parsed))
    if (!Object.hasOwn(settings, name))
      throw new StatusError(
        "BadRequest",
        `${path}: ${name} is not a setting of ${command}; see ${command} --help`,
      );
  return parsed as Values<Name>;
}

export function toRuntime(runtime: string): "containerd" | "simulated" {
  if (runtime === "containerd" || runtime === "simulated") return runtime;
  throw new StatusError(
    "BadRequest",
    `runtime: ${JSON.stringify(runtime)} is not known; use containerd or simulated`,
  );
}

/** @throws StatusError that names the setting */
export function toNumber(name: string, value: unknown): number {
  const number = Number(value);
  if (value === undefined || value === "" || !Number.isInteger(number) || number < 0)
    throw new StatusError("BadRequest", `${name}: ${JSON.stringify(value)} is not a whole number`);
  return number;
}

export function toFlag(name: string, value: unknown): boolean {
  if (value === undefined || value === false || value === "false") return false;
  if (value === true || value === "true") return true;
  throw new StatusError("BadRequest", `${name}: ${JSON.stringify(value)} is neither true nor false`);
}

export function toList(value: unknown): readonly string[] {
  if (value === undefined) return [];
  const items = Array.isArray(value) ? value : [value];
  return items.flatMap((item) => String(item).split(",")).filter((item) => item !== "");
}

/** KEY=VALUE, several of them. @throws StatusError that names the setting */
export function toPairs(name: string, value: unknown): Readonly<Record<string, string>> {
  const pairs: Record<string, string> = {};
  for (const item of toList(value)) {
    const at = item.indexOf("=");
    if (at < 1) throw new StatusError("BadRequest", `${name}: ${JSON.stringify(item)} is not KEY=VALUE`);
    pairs[item.slice(0, at)] = item.slice(at + 1);
  }
  return pairs;
}

export function toNodeName(name: string): string {
  const lower = name.toLowerCase();
  if (/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(lower)) return lower;
  throw new StatusError(
    "BadRequest",
    `node-name: ${JSON.stringify(name)} is not a DNS name; use letters, digits and dashes`,
  );
}

export function toLevel(text: string): LogLevel {
  if (text === "debug" || text === "info" || text === "warn" || text === "error") return text;
  throw new StatusError(
    "BadRequest",
    `log-level: ${JSON.stringify(text)} is not known; use debug, info, warn or error`,
  );
}
