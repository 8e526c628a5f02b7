import type { Level } from "./bytes.ts";
import type { Malformed } from "./malformed.ts";
import { statements3 } from "./statements-3.ts";
import { statements5 } from "./statements-5.ts";
import { Inapplicable, Trial, type Statement, type Target } from "./trial.ts";

export type Outcome = {
  readonly number: string;
  readonly says: string;
  readonly result: "passed" | "failed" | "left out";
  /** Why it failed or was left out; empty when it passed. */
  readonly because: string;
};

export type SuiteLevel = 4 | 5;
export const levelNames: Readonly<Record<SuiteLevel, string>> = { 4: "MQTT 3.1.1", 5: "MQTT 5" };

export const suites: readonly { readonly level: SuiteLevel; readonly statements: readonly Statement[] }[] = [
  { level: 4, statements: statements3 },
  { level: 5, statements: statements5 },
];

const TEST_MS = 30_000;
/** Connections that try malformed packets at once. */
const TRIALS = 40;

/** Tries one statement on a server. */
export async function tryStatement(statement: Statement, target: Target, level: Level): Promise<Outcome> {
  const { number, says } = statement;
  if ("why" in statement) return { number, says, result: "left out", because: statement.why };
  const name = `v${level}-${number.replaceAll(/[^0-9]/g, "x")}${stamp()}`;
  await using trial = new Trial(target, { level, name });
  try {
    await inTime(statement.test(trial));
    return { number, says, result: "passed", because: "" };
  } catch (error) {
    const result = error instanceof Inapplicable ? "left out" : "failed";
    return { number, says, result, because: wordsOf(error) };
  }
}

/** Tries packets that no server may take; answers what it did of those that it took. */
export async function tryMalformed(
  list: readonly Malformed[],
  target: Target,
  level: Level,
): Promise<readonly string[]> {
  const faults: string[] = [];
  const queue = [...list.entries()];
  const work = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const [at, { name, packet, isFirst = false }] = next;
      await using trial = new Trial(target, { level, name: `m${level}-${at}${stamp()}` });
      try {
        await (isFirst ? trial.refusesFirst(packet) : trial.refuses(packet));
      } catch (error) {
        faults.push(`${name}: ${wordsOf(error)}`);
      }
    }
  };
  await Promise.all(Array.from({ length: TRIALS }, work));
  return faults;
}

const wordsOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).replaceAll(/\s+/g, " ").trim();

/** A server may leave a test without what it waits for. */
async function inTime(test: Promise<void>): Promise<void> {
  using late = new DisposableStack();
  const patience = new Promise<never>((_resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`it did not end within ${TEST_MS} ms`)), TEST_MS);
    late.defer(() => clearTimeout(timer));
  });
  await Promise.race([test, patience]);
}

/** Each run has names of its own: a server keeps what an earlier one left. */
const stamp = (): string => Math.floor(performance.timeOrigin % 1_000_000).toString(36);
