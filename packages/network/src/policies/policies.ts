import { done, startLoop } from "@cortado/client/loop";
import { RULES_GATHER_MS } from "../limits.ts";
import type { ServicesPorts } from "../services/services.ts";
import { policyTable } from "./plan.ts";

export type PoliciesOptions = {
  readonly table: string;
  readonly nodeName: string;
  readonly dnsIp: string;
  readonly bridge: string;
};

/** Holds the pods of this node to their network policies. Answers when the first rules are in force. */
export async function startPolicies(
  options: PoliciesOptions,
  ports: ServicesPorts,
): Promise<{ readonly remove: () => Promise<void> }> {
  const { objects, tools } = ports;
  const empty = `table ip ${options.table} {}\ndelete table ip ${options.table}\n`;
  let written: string | undefined;
  const write = async (): Promise<void> => {
    const { policies, pods, namespace } = objects;
    const table = policyTable({ ...options, policies: policies(), pods: pods(), namespace }) ?? "";
    if (table === written) return;
    // One transaction: there is no moment without rules.
    await tools.nft(empty + table);
    written = table;
  };
  const loop = startLoop({
    name: "network_policy",
    reconcile: async () => {
      await write();
      return done;
    },
    keys: () => ["all"],
    ...ports,
  });
  objects.onPolicies(() => loop.addAfter("all", RULES_GATHER_MS));
  await write();
  return {
    async remove() {
      await loop.idle();
      await tools.nft(empty);
    },
  };
}
