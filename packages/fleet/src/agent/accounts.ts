import type { Client } from "@cortado/client";
import { serviceAccounts } from "@cortado/kinds/resources";
import { hasReason, StatusError } from "@cortado/std/status";
import type { AgentPorts } from "./ports.ts";

/** Used for bundles that name no account, where it is there (Fleet's). */
const DEFAULT_ACCOUNT = "fleet-default";

export type AccountPorts = {
  readonly ports: Pick<AgentPorts, "client" | "asServiceAccount">;
  /** Of the agent: accounts are looked for there. */
  readonly namespace: string;
  readonly signal: AbortSignal;
};

/** The client with the rights of an account, or the agent's own. @throws StatusError "Forbidden" when this agent cannot act as another */
export function clientAs(
  account: string | undefined,
  { ports, namespace }: Omit<AccountPorts, "signal">,
): Client {
  if (account === undefined) return ports.client;
  if (ports.asServiceAccount === undefined)
    throw new StatusError(
      "Forbidden",
      `the bundle wants ServiceAccount ${account}, and this agent cannot act as another; ` +
        "leave serviceAccount out, or run the agent with the right to impersonate",
    );
  return ports.asServiceAccount({ namespace, name: account });
}

/** With whose rights a bundle is applied and read for: of the account that it names, or of `fleet-default`; undefined: the agent's own. */
export async function accountFor(
  asked: string | undefined,
  { ports, namespace, signal }: AccountPorts,
): Promise<string | undefined> {
  if (asked !== undefined) return asked;
  try {
    await ports.client.get(serviceAccounts, { name: DEFAULT_ACCOUNT, namespace, signal });
    return DEFAULT_ACCOUNT;
  } catch (error) {
    if (hasReason(error, "NotFound")) return undefined;
    throw error;
  }
}
