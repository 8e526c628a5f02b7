import { isTree } from "@cortado/kinds/tree";
import type { CentralEvent } from "../central/central.ts";
import type { Push } from "./push.ts";
import { measuredOf, type Measured } from "./samples.ts";

type Attribute = { readonly key: string; readonly value: Readonly<Record<string, unknown>> };

/** Severity numbers of OTLP (opentelemetry.io/docs/specs/otel/logs/data-model, "SeverityNumber"). */
const severities: Readonly<Record<string, number>> = { debug: 5, info: 9, warn: 13, warning: 13, error: 17 };

/** OTLP over HTTP in JSON (opentelemetry.io/docs/specs/otlp): counts and metrics as metrics, all else as log records, by store. */
export function otlpPushes(events: readonly CentralEvent[]): readonly Push[] {
  const measured = events.flatMap((event) => measuredOf(event) ?? []);
  const told = events.filter(({ kind }) => kind !== "machine" && kind !== "metric");
  const scope = { name: "cortado" };
  const logs = byStore(told).map((some) => ({
    resource: resourceOf(some[0]?.store),
    scopeLogs: [{ scope, logRecords: some.map(toRecord) }],
  }));
  const metrics = byStore(measured).map((some) => ({
    resource: resourceOf(some[0]?.store),
    scopeMetrics: [{ scope, metrics: some.map(toMetric) }],
  }));
  return [
    ...(logs.length === 0 ? [] : [json("/v1/logs", { resourceLogs: logs })]),
    ...(metrics.length === 0 ? [] : [json("/v1/metrics", { resourceMetrics: metrics })]),
  ];
}

function json(path: string, value: unknown): Push {
  return {
    path,
    headers: { "content-type": "application/json" },
    body: new TextEncoder().encode(JSON.stringify(value)),
  };
}

function byStore<Item extends { readonly store: CentralEvent["store"] }>(
  items: readonly Item[],
): readonly Item[][] {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const key = `${item.store.namespace}/${item.store.name}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return [...groups.values()];
}

function resourceOf(store: CentralEvent["store"] | undefined): { readonly attributes: readonly Attribute[] } {
  return {
    attributes: attributesOf({
      "service.name": "cortado-store",
      "cortado.store": store?.name,
      "cortado.namespace": store?.namespace,
    }),
  };
}

function toRecord({ id, kind, at, sequence, payload }: CentralEvent): unknown {
  const fields = JSON.parse(payload) as Readonly<Record<string, unknown>>;
  const level = String(fields["level"] ?? (kind === "alert" ? "warn" : "info")).toLowerCase();
  const body = [fields["text"], fields["message"]].find((text) => typeof text === "string") ?? payload;
  return {
    timeUnixNano: nanoseconds(at),
    severityNumber: severities[level] ?? severities["info"],
    severityText: level.toUpperCase(),
    body: { stringValue: body },
    attributes: attributesOf({
      ...fields,
      "cortado.kind": kind,
      "cortado.event.id": id,
      "cortado.sequence": sequence,
    }),
  };
}

function toMetric({ name, isCounter, labels, atMs, value }: Measured): unknown {
  const point = { attributes: attributesOf(labels), timeUnixNano: nanoseconds(atMs), asDouble: value };
  const cumulative = 2; // AGGREGATION_TEMPORALITY_CUMULATIVE
  return isCounter
    ? { name, sum: { aggregationTemporality: cumulative, isMonotonic: true, dataPoints: [point] } }
    : { name, gauge: { dataPoints: [point] } };
}

/** 64-bit numbers are texts in JSON. */
function nanoseconds(at: string | number): string {
  return String(BigInt(typeof at === "number" ? at : Date.parse(at)) * 1_000_000n);
}

function attributesOf(fields: Readonly<Record<string, unknown>>): readonly Attribute[] {
  return Object.entries(fields).flatMap(([key, value]) =>
    value === undefined || value === null ? [] : [{ key, value: valueOf(value) }],
  );
}

function valueOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === "boolean") return { boolValue: value };
  if (typeof value === "number")
    return Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value };
  return { stringValue: isTree(value) || Array.isArray(value) ? JSON.stringify(value) : String(value) };
}
