/** Which rows a table shows, and in what order. Pure. */

export type Sorting<Row> = { readonly by: keyof Row & string; readonly isDown: boolean };

type Filterable = { readonly words: string; readonly state: string };

/** Every word of the filter has to be in a row, in any order; `state` narrows to one. */
export function shownRows<Row extends Filterable>(
  rows: Iterable<Row>,
  options: { readonly filter: string; readonly state: string; readonly sorting: Sorting<Row> },
): readonly Row[] {
  const wanted = options.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const found: Row[] = [];
  for (const row of rows)
    if (
      (options.state === "" || row.state === options.state) &&
      wanted.every((word) => row.words.includes(word))
    )
      found.push(row);
  return sorted(found, options.sorting);
}

/** How many rows each state has, the states that ask for a person first. */
export function statesOf(
  rows: Iterable<Filterable>,
): readonly { readonly state: string; readonly count: number }[] {
  const counts = new Map<string, number>();
  for (const { state } of rows) counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts]
    .map(([state, count]) => ({ state, count }))
    .toSorted((one, other) => rankOf(one.state) - rankOf(other.state) || (one.state < other.state ? -1 : 1));
}

// One collator for all: making one for each comparison takes seconds at ten thousand rows.
const collator = new Intl.Collator("en", { numeric: true });

function sorted<Row extends Filterable>(rows: Row[], { by, isDown }: Sorting<Row>): readonly Row[] {
  const sign = isDown ? -1 : 1;
  const compare = (one: unknown, other: unknown): number => {
    if (typeof one === "number" && typeof other === "number") return one - other;
    return collator.compare(String(one), String(other));
  };
  if (by === "state")
    return rows.sort(
      (one, other) => sign * (rankOf(one.state) - rankOf(other.state) || compare(one.words, other.words)),
    );
  return rows.sort((one, other) => sign * compare(one[by], other[by]));
}

/** Fleet's order of states, worst first (fleet.md 3.4), with darkness before all. */
const order = [
  "Offline",
  "Stalled",
  "ErrApplied",
  "WaitApplied",
  "Modified",
  "OutOfSync",
  "Pending",
  "NotReady",
  "Warning",
  "WaitCheckIn",
];

export function rankOf(state: string): number {
  const at = order.indexOf(state);
  return at < 0 ? order.length : at;
}

/** Which of many rows are near what is seen. */
export function windowOf(options: {
  readonly count: number;
  readonly scrolledPx: number;
  readonly heightPx: number;
  readonly rowPx: number;
  readonly beyond: number;
}): { readonly from: number; readonly to: number } {
  const { count, scrolledPx, heightPx, rowPx, beyond } = options;
  const from = Math.max(0, Math.min(count, Math.floor(scrolledPx / rowPx)) - beyond);
  const to = Math.min(count, Math.ceil((scrolledPx + heightPx) / rowPx) + beyond);
  return { from: Math.min(from, to), to };
}

/** "3 min ago"; empty for never. */
export function agoText(thenMs: number, nowMs: number): string {
  if (thenMs === 0) return "never";
  const seconds = Math.max(0, Math.round((nowMs - thenMs) / 1_000));
  for (const [size, name] of [
    [86_400, "d"],
    [3_600, "h"],
    [60, "min"],
  ] as const)
    if (seconds >= size) return `${Math.floor(seconds / size)} ${name} ago`;
  return `${seconds} s ago`;
}
