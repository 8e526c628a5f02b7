// Runs simulations: npm run sim -- --seed 41 --stores 50 --minutes 10 [--seeds 5]
import { execFileSync } from "node:child_process";
import { parseArgs } from "node:util";
import { simulate, type RoomFault } from "@cortado/simulator";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "41" },
    seeds: { type: "string", default: "1" },
    stores: { type: "string", default: "50" },
    minutes: { type: "string", default: "10" },
    world: { type: "string", default: "coffee-chain" },
    fault: { type: "string" },
  },
});
if (values.world !== "coffee-chain")
  throw new Error(`there is no world ${values.world}; there is coffee-chain`);

const [first, seeds, stores, minutes] = [values.seed, values.seeds, values.stores, values.minutes].map(
  wholeNumber,
) as [number, number, number, number];
for (let seed = first; seed < first + seeds; seed += 1) {
  const startMs = performance.now();
  const fault = values.fault === undefined ? {} : { fault: values.fault as RoomFault };
  const { traceHash, counts, broken } = await simulate({ seed, stores, minutes, ...fault });
  const took = ((performance.now() - startMs) / 1_000).toFixed(1);
  console.log(
    `seed ${seed}, ${stores} stores, ${minutes} minutes, commit ${commit()}: trace ${traceHash} (${took} s, ${Math.round(process.memoryUsage.rss() / 2 ** 20)} MB)`,
  );
  console.log(
    `  ${Object.entries(counts)
      .toSorted()
      .map(([kind, count]) => `${kind} ${count}`)
      .join(", ")}`,
  );
  if (broken === undefined) continue;
  const { sentence, store, atMs, detail, tail } = broken;
  console.log(`  BROKEN: ${sentence}\n  ${store} at ${atMs} ms: ${detail}\n  the last lines of the trace:`);
  for (const line of tail) console.log(`    ${line}`);
  console.log(
    `  again: npm run sim -- --seed ${seed} --stores ${stores} --minutes ${minutes}; add the seed to packages/simulator/src/regressions.json`,
  );
  process.exitCode = 1;
  break;
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new Error(`${JSON.stringify(text)} is not a whole number`);
  return Number(text);
}

function commit(): string {
  try {
    const dirty =
      execFileSync("git", ["status", "--porcelain"], { encoding: "utf8" }) === "" ? "" : "+changes";
    return `${execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim()}${dirty}`;
  } catch {
    return "unknown";
  }
}
