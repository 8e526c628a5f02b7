import { isTree } from "@cortado/kinds/tree";
import type { CentralEvent } from "../central/central.ts";

/** A measured value, whatever a target calls it. */
export type Measured = {
  readonly store: CentralEvent["store"];
  /** Words joined by underscores. */
  readonly name: string;
  /** Only grows, but for a new start. */
  readonly isCounter: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly atMs: number;
  readonly value: number;
};

/** A machine's count, or a metric `{ name, value, labels }` as a service journals it; undefined: the event measures nothing. */
export function measuredOf(event: CentralEvent): Measured | undefined {
  const payload = JSON.parse(event.payload) as Readonly<Record<string, unknown>>;
  const { value } = payload;
  if (typeof value !== "number" || !Number.isFinite(value)) return undefined;
  const common = { store: event.store, atMs: Date.parse(event.at), value };
  if (event.kind === "machine") {
    const { counter, place, machine } = payload;
    if (typeof counter !== "string" || counter === "") return undefined;
    const labels = { place: String(place ?? ""), machine: String(machine ?? "") };
    return { ...common, name: nameOf(`cortado_machine_${counter}`), isCounter: true, labels };
  }
  const { name, labels } = payload;
  if (event.kind !== "metric" || typeof name !== "string" || name === "") return undefined;
  const texts = Object.entries(isTree(labels) ? labels : {}).map(
    ([key, text]) => [nameOf(key), String(text)] as const,
  );
  return { ...common, name: nameOf(name), isCounter: false, labels: Object.fromEntries(texts) };
}

/** What Prometheus takes for a name (prometheus.io/docs/concepts/data_model). */
function nameOf(text: string): string {
  return text.replaceAll(/[^a-zA-Z0-9_]/g, "_").replace(/^(?=\d)/, "_");
}
