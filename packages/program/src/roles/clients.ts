import type { ApiServer } from "@cortado/apiserver";
import { newClient, type Client } from "@cortado/client";
import { inProcessTransport } from "../transport.ts";

/** A client inside the process: no wire, and the same checks as anybody's. */
export function clientOf(server: ApiServer, name: string, ...groups: readonly string[]): Client {
  return newClient(inProcessTransport(server, { name, groups: [...groups, "system:authenticated"] }));
}
