// Counts what machines say of themselves: espresso cycles and grinder hours. Keeps the totals in the function's own folder, so that
// they survive restarts; a message that comes again (same X-Call-Id) counts once. A GET answers the totals.
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";

type Event = { body: string; method: string; headers: Record<string, string> };
type Totals = { machines: Record<string, number>; seen: string[] };

const file = `${process.env["CORTADO_DATA"] ?? "/tmp"}/totals.json`;

export default function handle(event: Event, _context: unknown): unknown {
  const totals: Totals = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Totals) : { machines: {}, seen: [] };
  if (event.method === "GET") return totals.machines;
  const topic = event.headers["x-topic"] ?? "";
  const counter = topic.endsWith("/hours") ? "hours" : "cycles";
  const value = readCount(event.body, counter);
  if (value === undefined) return "no number";
  const id = event.headers["x-call-id"] ?? "";
  if (totals.seen.includes(id)) return totals.machines;
  // Machines count for themselves and publish where they stand: the highest number is the truth, however messages come.
  totals.machines[topic] = Math.max(totals.machines[topic] ?? 0, value);
  totals.seen = [...totals.seen, id].slice(-500);
  writeFileSync(`${file}.next`, JSON.stringify(totals), { flush: true });
  renameSync(`${file}.next`, file);
  return totals.machines;
}

function readCount(body: string, counter: string): number | undefined {
  const value = JSON.parse(body) as unknown;
  const found = typeof value === "object" && value !== null ? (value as Record<string, unknown>)[counter] : value;
  return Number.isFinite(Number(found)) ? Number(found) : undefined;
}
