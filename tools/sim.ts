// Runs simulations: npm run sim -- --seed 41 --stores 50 --minutes 10 [--seeds 5], or --world fleet --clusters 1000 --minutes 3 --kills 50
import { execFileSync } from "node:child_process";
import { parseArgs } from "node:util";
import {
  simulate,
  simulateFleet,
  type FleetFault,
  type RoomFault,
  type Simulation,
} from "@cortado/simulator";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "41" },
    seeds: { type: "string", default: "1" },
    world: { type: "string", default: "coffee-chain" },
    stores: { type: "string", default: "50" },
    minutes: { type: "string" },
    clusters: { type: "string", default: "1000" },
    kills: { type: "string", default: "50" },
    fault: { type: "string" },
  },
});
const { world } = values;
if (world !== "coffee-chain" && world !== "fleet")
  throw new Error(`there is no world ${world}; there are coffee-chain and fleet`);

const first = wholeNumber(values.seed);
for (let seed = first; seed < first + wholeNumber(values.seeds); seed += 1) {
  const startMs = performance.now();
  const { words, run } = world === "fleet" ? fleet(seed) : chain(seed);
  const { traceHash, counts, broken } = await run();
  const took = ((performance.now() - startMs) / 1_000).toFixed(1);
  console.log(
    `seed ${seed}, ${words}, commit ${commit()}: trace ${traceHash} (${took} s, ${Math.round(process.memoryUsage.rss() / 2 ** 20)} MB)`,
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
  const regressions = world === "fleet" ? "fleet-regressions.json" : "regressions.json";
  console.log(
    `  again: npm run sim -- --seed ${seed} ${words}; add the seed to packages/simulator/src/${regressions}`,
  );
  process.exitCode = 1;
  break;
}

type Run = { readonly words: string; readonly run: () => Promise<Simulation> };

function chain(seed: number): Run {
  const stores = wholeNumber(values.stores);
  const minutes = wholeNumber(values.minutes ?? "10");
  const fault = values.fault === undefined ? {} : { fault: values.fault as RoomFault };
  return {
    words: `--stores ${stores} --minutes ${minutes}`,
    run: () => simulate({ seed, stores, minutes, ...fault }),
  };
}

function fleet(seed: number): Run {
  const clusters = wholeNumber(values.clusters);
  const minutes = wholeNumber(values.minutes ?? "3");
  const kills = wholeNumber(values.kills);
  const fault = values.fault === undefined ? {} : { fault: values.fault as FleetFault };
  return {
    words: `--world fleet --clusters ${clusters} --minutes ${minutes} --kills ${kills}`,
    run: () => simulateFleet({ seed, clusters, minutes, kills, ...fault }),
  };
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
