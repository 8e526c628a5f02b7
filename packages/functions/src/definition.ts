import type { FunctionResource } from "@cortado/kinds";
import { StatusError } from "@cortado/std/status";
import {
  EXEC_TIMEOUT_MS,
  EXEC_TIMEOUT_MS_MAX,
  FUNCTION_MEMORY_BYTES,
  FUNCTION_MILLI_CPU,
  FUNCTION_PIDS_MAX,
  REPLICAS_LIMIT,
  REPLICAS_MAX,
  REPLICAS_MIN,
  TRIGGER_TRIES,
  TRIGGER_TRIES_MAX,
  TRIGGER_WAIT_MS,
  TRIGGER_WAIT_MS_MAX,
} from "./limits.ts";
import type { Limits } from "./runtime/cgroups.ts";
import { languageOf, type LanguageName } from "./runtime/languages.ts";

/** Annotations of ours on a Function. */
export const annotationNames = {
  source: "cortado.local/source",
  alertOn: "cortado.local/alert-on",
  data: "cortado.local/data",
  callbackUrl: "cortado.local/callback-url",
  callbackOn: "cortado.local/callback-on",
  replicas: "cortado.local/replicas",
  tries: "cortado.local/trigger-tries",
  longestWait: "cortado.local/trigger-longest-wait",
} as const;

/** What a Function object means to us; read once for each version of it. */
export type Definition = {
  readonly name: string;
  readonly namespace: string;
  readonly image: string;
  /** Undefined for a container function. */
  readonly language: LanguageName | undefined;
  /** The ConfigMap with the code. */
  readonly source: string | undefined;
  readonly environment: Readonly<Record<string, string>>;
  readonly limits: Limits;
  readonly least: number;
  readonly most: number;
  readonly timeoutMs: number;
  /** MQTT filters. */
  readonly topics: readonly string[];
  /** How often it is called for a message before that is a dead letter, and the longest wait between two calls. */
  readonly retry: { readonly tries: number; readonly longestWaitMs: number };
  /** Cron expressions. */
  readonly schedules: readonly string[];
  readonly alertOn: string | undefined;
  /** Where answers go that begin with `callbackOn` (all, when that is absent). */
  readonly callback: { readonly url: string; readonly on: string } | undefined;
  readonly dataBytes: number | undefined;
  readonly annotations: Readonly<Record<string, string>>;
};

/** @throws StatusError "Invalid" that names what a person must change */
export function readDefinition(object: FunctionResource): Definition {
  const { spec, metadata } = object;
  // kubectl users write metadata.annotations, OpenFaaS' tools spec.annotations; the latter wins.
  const annotations: Record<string, string> = { ...metadata.annotations, ...spec.annotations };
  const language = languageOf(spec.image);
  const source = annotations[annotationNames.source];
  if (language !== undefined && source === undefined)
    throw invalid(
      `image ${spec.image} needs the annotation ${annotationNames.source} with the name of the ConfigMap that holds the code`,
    );
  if (spec.secrets !== undefined && spec.secrets.length > 0)
    throw invalid(
      "spec.secrets: secrets for functions come with a later release; use the environment or a container function",
    );
  const least =
    count(spec.labels?.["com.openfaas.scale.min"], "label com.openfaas.scale.min") ?? REPLICAS_MIN;
  const most = Math.max(
    1,
    Math.min(
      count(spec.labels?.["com.openfaas.scale.max"], "label com.openfaas.scale.max") ??
        Math.max(REPLICAS_MAX, least),
      REPLICAS_LIMIT,
    ),
  );
  const asked = count(annotations[annotationNames.replicas], `annotation ${annotationNames.replicas}`);
  const data = annotations[annotationNames.data];
  const callbackUrl = annotations[annotationNames.callbackUrl];
  return {
    name: metadata.name,
    namespace: metadata.namespace ?? "",
    image: spec.image,
    language,
    source,
    environment: {
      ...spec.environment,
      OPENFAAS_NAME: metadata.name,
      OPENFAAS_NAMESPACE: metadata.namespace ?? "",
    },
    limits: limitsOf(spec),
    least: Math.min(asked ?? least, most),
    most,
    timeoutMs: duration(spec.environment?.["exec_timeout"]) ?? EXEC_TIMEOUT_MS,
    ...triggersOf(annotations),
    retry: retryOf(annotations),
    alertOn: annotations[annotationNames.alertOn],
    callback:
      callbackUrl === undefined
        ? undefined
        : { url: callbackUrl, on: annotations[annotationNames.callbackOn] ?? "" },
    dataBytes: data === undefined ? undefined : quantity(data, `annotation ${annotationNames.data}`),
    annotations,
  };
}

function triggersOf(annotations: Readonly<Record<string, string>>): Pick<Definition, "topics" | "schedules"> {
  const topics = (annotations["topic"] ?? "")
    .split(",")
    .map((text) => text.trim())
    .filter((text) => text !== "");
  const schedules = (annotations["schedule"] ?? "")
    .split(";")
    .map((text) => text.trim())
    .filter((text) => text !== "");
  if (schedules.length > 0 && !topics.includes("cron-function"))
    throw invalid("annotation schedule needs the annotation topic: cron-function");
  if (schedules.length === 0 && topics.includes("cron-function"))
    throw invalid("annotation topic: cron-function needs the annotation schedule");
  return { topics: topics.filter((topic) => topic !== "cron-function"), schedules };
}

function retryOf(annotations: Readonly<Record<string, string>>): Definition["retry"] {
  const { tries: triesName, longestWait } = annotationNames;
  const tries = count(annotations[triesName], `annotation ${triesName}`) ?? TRIGGER_TRIES;
  if (tries < 1 || tries > TRIGGER_TRIES_MAX)
    throw invalid(`annotation ${triesName}: ${tries} is not from 1 to ${TRIGGER_TRIES_MAX}`);
  const waitMs = durationMs(annotations[longestWait], `annotation ${longestWait}`) ?? TRIGGER_WAIT_MS;
  if (waitMs > TRIGGER_WAIT_MS_MAX)
    throw invalid(
      `annotation ${longestWait}: ${JSON.stringify(annotations[longestWait])} is over ${TRIGGER_WAIT_MS_MAX / 60_000}m`,
    );
  return { tries, longestWaitMs: waitMs };
}

function limitsOf({ limits }: FunctionResource["spec"]): Limits {
  return {
    memoryBytes:
      limits?.memory === undefined ? FUNCTION_MEMORY_BYTES : quantity(limits.memory, "spec.limits.memory"),
    pids: FUNCTION_PIDS_MAX,
    milliCpu:
      limits?.cpu === undefined
        ? FUNCTION_MILLI_CPU
        : Math.max(1, Math.round(quantity(limits.cpu, "spec.limits.cpu") * 1_000)),
  };
}

const units: Readonly<Record<string, number>> = {
  "": 1,
  m: 0.001,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  Ki: 1_024,
  Mi: 1_048_576,
  Gi: 1_073_741_824,
};

/** A Kubernetes quantity as a number of its base unit. */
export function quantity(text: string, field: string): number {
  const found = /^(\d+(?:\.\d+)?)(m|k|M|G|Ki|Mi|Gi)?$/.exec(text.trim());
  const unit = units[found?.[2] ?? ""];
  if (found === null || unit === undefined)
    throw invalid(`${field}: ${JSON.stringify(text)} is no quantity such as 64Mi or 100m`);
  return Number(found[1]) * unit;
}

function count(text: string | undefined, field: string): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,4}$/.test(text)) throw invalid(`${field}: ${JSON.stringify(text)} is no whole number`);
  return Number(text);
}

const durationUnits: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** A function's `exec_timeout`; undefined when absent. */
export function duration(text: string | undefined): number | undefined {
  const ms = durationMs(text, "environment exec_timeout");
  return ms === undefined ? undefined : clampTimeout(ms);
}

/** Go's durations as OpenFaaS writes them ("30s", "1m30s"), or bare seconds; undefined when absent. */
function durationMs(text: string | undefined, field: string): number | undefined {
  if (text === undefined || text === "") return undefined;
  if (/^\d+$/.test(text)) return Number(text) * 1_000;
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text))
    throw invalid(`${field}: ${JSON.stringify(text)} is no duration such as 30s`);
  let ms = 0;
  for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g))
    ms += Number(number) * (durationUnits[unit ?? ""] ?? 0);
  return ms;
}

function clampTimeout(ms: number): number {
  return ms <= 0 ? EXEC_TIMEOUT_MS_MAX : Math.min(ms, EXEC_TIMEOUT_MS_MAX);
}

function invalid(message: string): StatusError {
  return new StatusError("Invalid", message);
}
