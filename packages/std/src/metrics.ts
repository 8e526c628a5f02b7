import { assert } from "./assert.ts";

export type Labels = Readonly<Record<string, string>>;
export type MetricOptions = { readonly help: string; readonly labels?: readonly string[] };
export type HistogramOptions = MetricOptions & { readonly buckets: readonly number[] };

export interface Counter {
  add(by?: number, labels?: Labels): void;
}
export interface Gauge {
  set(value: number, labels?: Labels): void;
}
export interface Histogram {
  observe(value: number, labels?: Labels): void;
}

/** Where rooms declare what they count; `text` is the Prometheus exposition format 0.0.4. */
export interface Metrics {
  counter(name: string, options: MetricOptions): Counter;
  gauge(name: string, options: MetricOptions): Gauge;
  histogram(name: string, options: HistogramOptions): Histogram;
  /** Called before each exposition, to set gauges that cost something to know. */
  beforeText(collect: () => void): void;
  text(): string;
}

/** Series of one metric: an object's name must never be a label, so this many is a fault of ours. */
export const SERIES_MAX = 1_000;

type Family = { readonly type: string; readonly help: string; readonly lines: () => Iterable<string> };

export function newMetrics(): Metrics {
  const families = new Map<string, Family>();
  const collectors: (() => void)[] = [];
  const declare = (name: string, family: Family): void => {
    assert(!families.has(name), `metric ${name} is declared once`);
    families.set(name, family);
  };
  return {
    counter(name, options) {
      const series = newSeries(options);
      declare(name, { type: "counter", help: options.help, lines: () => plainLines(name, series.values) });
      return { add: (by = 1, labels = {}) => series.change(labels, (value) => value + by) };
    },
    gauge(name, options) {
      const series = newSeries(options);
      declare(name, { type: "gauge", help: options.help, lines: () => plainLines(name, series.values) });
      return { set: (value, labels = {}) => series.change(labels, () => value) };
    },
    histogram(name, options) {
      const histogram = newHistogram(name, options);
      declare(name, { type: "histogram", help: options.help, lines: histogram.lines });
      return histogram;
    },
    beforeText: (collect) => collectors.push(collect),
    text() {
      for (const collect of collectors) collect();
      const lines: string[] = [];
      for (const [name, family] of families) {
        lines.push(`# HELP ${name} ${family.help.replaceAll("\n", " ")}`, `# TYPE ${name} ${family.type}`);
        lines.push(...family.lines());
      }
      return `${lines.join("\n")}\n`;
    },
  };
}

type Series = {
  readonly values: Map<string, number>;
  change(labels: Labels, step: (value: number) => number): void;
};

function newSeries(options: MetricOptions): Series {
  const names = options.labels ?? [];
  const values = new Map<string, number>();
  if (names.length === 0) values.set("", 0);
  return {
    values,
    change(labels, step) {
      const key = labelText(names, labels);
      assert(values.size < SERIES_MAX || values.has(key), "a metric's labels have few values");
      values.set(key, step(values.get(key) ?? 0));
    },
  };
}

function* plainLines(name: string, values: ReadonlyMap<string, number>): Iterable<string> {
  for (const [labels, value] of values)
    yield `${name}${labels === "" ? "" : `{${labels}}`} ${numberText(value)}`;
}

function newHistogram(name: string, options: HistogramOptions): Histogram & { lines(): Iterable<string> } {
  const names = options.labels ?? [];
  const bounds = [...options.buckets, Number.POSITIVE_INFINITY];
  const series = new Map<string, { readonly counts: number[]; sum: number; count: number }>();
  return {
    observe(value, labels = {}) {
      const key = labelText(names, labels);
      assert(series.size < SERIES_MAX || series.has(key), "a metric's labels have few values");
      const one = series.get(key) ?? { counts: bounds.map(() => 0), sum: 0, count: 0 };
      series.set(key, one);
      const at = bounds.findIndex((bound) => value <= bound);
      if (at >= 0) one.counts[at] = (one.counts[at] ?? 0) + 1;
      one.sum += value;
      one.count += 1;
    },
    *lines() {
      for (const [labels, one] of series) {
        const rest = labels === "" ? "" : `${labels},`;
        let sum = 0;
        for (const [at, bound] of bounds.entries()) {
          sum += one.counts[at] ?? 0;
          yield `${name}_bucket{${rest}le="${numberText(bound)}"} ${sum}`;
        }
        const braces = labels === "" ? "" : `{${labels}}`;
        yield `${name}_sum${braces} ${numberText(one.sum)}`;
        yield `${name}_count${braces} ${one.count}`;
      }
    },
  };
}

function numberText(value: number): string {
  return value === Number.POSITIVE_INFINITY ? "+Inf" : String(value);
}

function labelText(names: readonly string[], labels: Labels): string {
  assert(Object.keys(labels).length === names.length, `a sample has the labels ${names.join(", ")}`);
  return names.map((name) => `${name}="${escapeLabel(labels[name] ?? "")}"`).join(",");
}

function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
