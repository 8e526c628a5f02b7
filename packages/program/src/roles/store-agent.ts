import { join } from "node:path";
import type { Client } from "@cortado/client";
import { startAgent } from "@cortado/fleet/agent";
import { openChunkFolder } from "@cortado/fleet/agent/chunk-folder";
import { openHubDoor } from "@cortado/fleet/agent/node/hub-door";
import { machineKeys } from "@cortado/fleet/agent/node/keys";
import { connectionDuplex } from "@cortado/std/node/duplex";
import type { TelemetryJournal } from "@cortado/telemetry";
import { uplinkOf } from "@cortado/telemetry/uplink";
import { machineLine } from "@cortado/fleet/agent/node/line";
import { version } from "../version.ts";
import { clientOf } from "./clients.ts";
import { openHubFront } from "./hub-front.ts";
import { startPart } from "./lifetime.ts";
import type { Parts } from "./parts.ts";

/** The agent of this store, where a hub is named: it dials out, applies what the hub wants to the store's own API, and sends its journal. */
export async function startStoreAgent(
  {
    config,
    ports,
    server,
    client,
    journal,
  }: Parts & { readonly client: Client; readonly journal: TelemetryJournal },
  stack: AsyncDisposableStack,
): Promise<void> {
  const { clock, random, files, log } = ports;
  const { hub, hubToken, nodeName: name, nodeLabels: labels } = config;
  if (hub === undefined) return;
  const chunks = await openChunkFolder({ files, folder: join(config.dataDir, "fleet", "chunks") });
  const api = stack.use(openHubFront({ server, clock, log }));
  const proxy = process.env["HTTPS_PROXY"] ?? process.env["https_proxy"];
  await startPart(stack, {
    name: "fleet-agent",
    log,
    start: () =>
      startAgent(
        { version, name, labels, ...(hubToken === undefined ? {} : { token: hubToken }) },
        {
          client,
          asServiceAccount: (account) =>
            clientOf(
              server,
              `system:serviceaccount:${account.namespace}:${account.name}`,
              "system:serviceaccounts",
              `system:serviceaccounts:${account.namespace}`,
            ),
          hub: openHubDoor({ url: hub, ...(proxy === undefined ? {} : { proxy }) }),
          keys: machineKeys,
          line: machineLine(clock),
          chunks,
          serveStream: (stream) => api.serve(connectionDuplex(stream)),
          journal: uplinkOf(journal, config.telemetryBudget),
          clock,
          random,
          log,
        },
      ),
  });
}
