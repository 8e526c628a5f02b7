import { newClient, type Client } from "@cortado/client";
import { httpTransport } from "@cortado/client/node/http";
import { readKubeconfig } from "@cortado/client/node/kubeconfig";
import type { FleetAgentWords } from "@cortado/cli/fleet/agent";
import { startAgent } from "@cortado/fleet/agent";
import { openChunkFolder } from "@cortado/fleet/agent/chunk-folder";
import { foreignApi } from "@cortado/fleet/agent/node/foreign-api";
import { openHubDoor } from "@cortado/fleet/agent/node/hub-door";
import { machineKeys } from "@cortado/fleet/agent/node/keys";
import { machineLine } from "@cortado/fleet/agent/node/line";
import type { Agent } from "@cortado/fleet/agent/ports";
import type { Log } from "@cortado/std/log";
import { systemClock } from "@cortado/std/node/clock";
import { systemFiles } from "@cortado/std/node/files";
import { systemRandom } from "@cortado/std/node/random";
import { version } from "../version.ts";

/** The agent of a Kubernetes that is not ours. @throws StatusError for words or a kubeconfig that cannot be used */
export async function startFleetAgent(words: FleetAgentWords, log: Log): Promise<AsyncDisposable> {
  const stack = new AsyncDisposableStack();
  const accounts = new Map<string, Client>();
  const { kubeconfig, context, hub, token, proxy, name, labels, namespace, dataDir } = words;
  const reach = await readKubeconfig(kubeconfig, context === undefined ? {} : { context });
  const transport = stack.use(httpTransport(reach));
  const api = stack.use(foreignApi(reach, { log }));
  const agent: Agent = startAgent(
    {
      version,
      labels,
      ...(token === undefined ? {} : { token }),
      ...(name === undefined ? {} : { name }),
      ...(namespace === undefined ? {} : { namespace }),
    },
    {
      client: newClient(transport),
      asServiceAccount: (account) => {
        const impersonate = `system:serviceaccount:${account.namespace}:${account.name}`;
        const known =
          accounts.get(impersonate) ?? newClient(stack.use(httpTransport({ ...reach, impersonate })));
        accounts.set(impersonate, known);
        return known;
      },
      serveStream: (stream) => api.serve(stream),
      hub: openHubDoor({ url: hub, ...(proxy === undefined ? {} : { proxy }) }),
      keys: machineKeys,
      line: machineLine(systemClock),
      chunks: await openChunkFolder({ files: systemFiles, folder: dataDir }),
      clock: systemClock,
      random: systemRandom,
      log,
    },
  );
  stack.use(agent);
  return stack;
}
