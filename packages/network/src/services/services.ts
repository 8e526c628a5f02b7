import { startLoop, done, type LoopMetrics } from "@cortado/client/loop";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import { RULES_GATHER_MS } from "../limits.ts";
import type { NetworkTools } from "../nft.ts";
import type { Objects } from "../objects.ts";
import { planServices } from "./plan.ts";
import { serviceRules, tableChange, wholeTable, type Ruleset, type TableOptions } from "./ruleset.ts";

export type ServicesOptions = TableOptions & {
  readonly nodeName: string;
  readonly nodeIps: () => readonly string[];
  /** What this process answers itself. */
  readonly reservedIps: readonly string[];
};

export type ServicesPorts = {
  readonly tools: NetworkTools;
  readonly objects: Objects;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: LoopMetrics;
  readonly signal: AbortSignal;
};

/** Keeps the kernel's rules as the services ask; only what changed is written. Answers when the first rules are in force. */
export async function startServices(
  options: ServicesOptions,
  ports: ServicesPorts,
): Promise<{ readonly remove: () => Promise<void> }> {
  const { tools, objects, log } = ports;
  let written: Ruleset | undefined;
  const write = async (): Promise<void> => {
    const { nodeName, reservedIps } = options;
    const { services, slicesOf } = objects;
    const wanted = serviceRules(
      planServices({ services: services(), slicesOf, nodeName, nodeIps: options.nodeIps(), reservedIps }),
    );
    const script =
      written === undefined ? wholeTable(wanted, options) : tableChange(written, wanted, options.table);
    if (script === "") return;
    try {
      await tools.nft(script);
      written = wanted;
    } catch (error) {
      written = undefined; // somebody else may have changed the table: the next time it is made anew
      throw error;
    }
    log.debug("service rules written", { bytes: script.length, chains: wanted.chains.size });
  };
  const loop = startLoop({
    name: "service_rules",
    reconcile: async () => {
      await write();
      return done;
    },
    keys: () => ["all"],
    ...ports,
  });
  objects.onServices(() => loop.addAfter("all", RULES_GATHER_MS));
  await write();
  return {
    async remove() {
      await loop.idle();
      await tools.nft(`table ip ${options.table} {}\ndelete table ip ${options.table}\n`);
    },
  };
}
