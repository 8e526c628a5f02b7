import { StatusError } from "@cortado/std/status";
import type { EventKind, StoreEvent, TelemetryJournal } from "./journal/journal.ts";

export type Allowance = { readonly bytesPerSecond: number; readonly burstBytes: number };
type UplinkClass = {
  readonly name: string;
  readonly kinds: readonly EventKind[];
  readonly budget: Allowance;
  readonly isUrgent: boolean;
};

const KIB = 1_024;
/** What a class may have saved up: two minutes of its rate. */
const BURST_S = 120;

/**
 * What of the journal leaves a store, the most important first, and how many bytes of it. Urgent classes go though the budget of
 * all is used up. A shop with 3,000 orders a day sends 1 MB of orders; what counts is the return from weeks in the dark. Logs and
 * metrics together are held to about 500 MB a day, what a metered line can bear.
 */
export const uplinkClasses: readonly UplinkClass[] = [
  { name: "order", kinds: ["order", "payment"], budget: allowance(512 * KIB), isUrgent: true },
  { name: "alert", kinds: ["alert"], budget: allowance(128 * KIB), isUrgent: true },
  { name: "machine", kinds: ["machine"], budget: allowance(32 * KIB), isUrgent: false },
  { name: "event", kinds: ["event"], budget: allowance(32 * KIB), isUrgent: false },
  { name: "metric", kinds: ["metric"], budget: allowance(2 * KIB), isUrgent: false },
  { name: "log", kinds: ["log"], budget: allowance(4 * KIB), isUrgent: false },
];

/** Of all classes together; `total` in settings. */
export const uplinkBudget: Allowance = allowance(1_024 * KIB);

function allowance(bytesPerSecond: number): Allowance {
  return { bytesPerSecond, burstBytes: bytesPerSecond * BURST_S };
}

export type Uplink = {
  readonly classes: readonly UplinkClass[];
  readonly budget: Allowance;
  readonly trimmedThrough: number;
  read(query: {
    readonly after: number;
    readonly kinds: readonly string[];
    readonly limit: number;
  }): Promise<readonly StoreEvent[]>;
  trim(through: number): Promise<void>;
  subscribe(listener: () => void): Disposable;
};

/** The journal as an agent sends it. `budgets`: other bytes a second, by the name of the class or `total`; 0: none of it is sent. */
export function uplinkOf(journal: TelemetryJournal, budgets: Readonly<Record<string, number>> = {}): Uplink {
  for (const name of Object.keys(budgets))
    if (name !== "total" && !uplinkClasses.some((one) => one.name === name))
      throw new StatusError(
        "BadRequest",
        `telemetry-budget: there is no class ${name}; there are ${uplinkClasses.map((one) => one.name).join(", ")} and total`,
      );
  const budgetOf = (name: string, otherwise: Allowance): Allowance =>
    Object.hasOwn(budgets, name) ? allowance(budgets[name] ?? 0) : otherwise;
  const budget = budgetOf("total", uplinkBudget);
  const all = uplinkClasses.map((one) => ({ ...one, budget: budgetOf(one.name, one.budget) }));
  return {
    classes: all.filter(
      (one) => one.budget.bytesPerSecond > 0 && (one.isUrgent || budget.bytesPerSecond > 0),
    ),
    budget,
    trimmedThrough: journal.trimmedThrough,
    read: ({ after, kinds, limit }) => journal.read({ after, kinds: kinds as readonly EventKind[], limit }),
    trim: (through) => journal.trim(through),
    subscribe: (listener) => journal.subscribe(listener),
  };
}
