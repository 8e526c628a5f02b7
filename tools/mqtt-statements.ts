// Tries the numbered statements of MQTT 3.1.1 and 5 on any server: npm run statements -- HOST:PORT [--web-socket ws://HOST:PORT/PATH]
// [--scram USER:PASSWORD] [--markdown]. It publishes and leaves nothing behind; ends with 1 when a statement does not hold.
import { parseArgs } from "node:util";
import { malformedPackets } from "../tests/mqtt/suite/malformed.ts";
import { levelNames, suites, tryMalformed, tryStatement, type Outcome } from "../tests/mqtt/suite/run.ts";
import type { Target } from "../tests/mqtt/suite/trial.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    "web-socket": { type: "string" },
    scram: { type: "string" },
    markdown: { type: "boolean", default: false },
  },
});
const target = readTarget();

for (const { level, statements } of suites) {
  const outcomes = await Promise.all(statements.map((statement) => tryStatement(statement, target, level)));
  const list = malformedPackets(level);
  const taken = await tryMalformed(list, target, level);
  const count = (result: Outcome["result"]): number => outcomes.filter((one) => one.result === result).length;
  say(`\n${values.markdown ? "## " : ""}${levelNames[level]}\n`);
  for (const { number, says, result, because } of outcomes)
    if (result !== "passed") say(lineOf([`MQTT-${number}`, says, result, because]));
  for (const name of taken) say(lineOf(["malformed", name, "taken", ""]));
  say(
    `\n${outcomes.length} statements: ${count("passed")} hold, ${count("failed")} do not, ${count("left out")} left out; ` +
      `${list.length} malformed packets: ${list.length - taken.length} refused, ${taken.length} taken`,
  );
  if (count("failed") + taken.length > 0) process.exitCode = 1;
}

function lineOf(words: readonly string[]): string {
  return values.markdown ? `| ${words.join(" | ")} |` : words.filter((word) => word !== "").join(": ");
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function readTarget(): Target {
  const [address = ""] = positionals;
  const [, host, port] = /^(?:mqtt:\/\/)?([^:/]+):(\d+)$/.exec(address) ?? [];
  if (host === undefined || port === undefined)
    throw new Error(
      `${JSON.stringify(address)} is no HOST:PORT; for example npm run statements -- 127.0.0.1:1883`,
    );
  const [username, password] = values.scram?.split(":") ?? [];
  return {
    host,
    port: Number(port),
    ...(values["web-socket"] === undefined ? {} : { webSocket: values["web-socket"] }),
    ...(username === undefined || password === undefined ? {} : { scram: { username, password } }),
  };
}
