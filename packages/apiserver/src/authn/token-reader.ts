import { textAt } from "@cortado/kinds/tree";
import type { TokenReader } from "../ports.ts";
import type { Server } from "../server.ts";
import { readObject } from "../storage/records.ts";
import type { ServiceAccountTokens } from "./service-account-tokens.ts";

type Readers = {
  readonly server: Server;
  readonly tokens: ServiceAccountTokens | undefined;
  readonly others: TokenReader | undefined;
};

const plurals: Readonly<Record<string, string>> = { pod: "pods", secret: "secrets", node: "nodes" };

/** Reads service account tokens, and asks the program about the rest. A token dies with its account and with what it is bound to. */
export function tokenReader({ server, tokens, others }: Readers): TokenReader {
  return async (token, { audiences }) => {
    const verified = await tokens?.verify(token, audiences);
    if (verified === undefined) return others?.(token, { audiences });
    const { namespace, account, accountUid, boundTo, user } = verified;
    if (!(await lives(server, { plural: "serviceaccounts", namespace, name: account, uid: accountUid })))
      return undefined;
    const plural = boundTo === undefined ? undefined : plurals[boundTo.kind];
    if (boundTo === undefined || plural === undefined) return user;
    const place = {
      plural,
      namespace: plural === "nodes" ? "" : namespace,
      name: boundTo.name,
      uid: boundTo.uid,
    };
    return (await lives(server, place)) ? user : undefined;
  };
}

type Place = {
  readonly plural: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
};

async function lives(server: Server, { plural, namespace, name, uid }: Place): Promise<boolean> {
  const kind = server.kinds.find({ group: "", version: "v1", plural });
  const found = kind === undefined ? undefined : await readObject(server.store, kind, { namespace, name });
  return found !== undefined && textAt(found, "metadata", "uid") === uid;
}
