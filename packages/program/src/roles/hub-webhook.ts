import type { FrontRoute } from "@cortado/apiserver/front/routes";
import type { Client } from "@cortado/client";
import type { Repositories } from "@cortado/fleet/git/repositories";
import { checkWebhook, providerOf, readPushes, WEBHOOK_BYTES_MAX } from "@cortado/fleet/git/webhooks";
import { secrets } from "@cortado/kinds/resources";
import { jsonAnswer } from "@cortado/std/http";
import type { Log } from "@cortado/std/log";
import { hasReason, StatusError } from "@cortado/std/status";

/** `POST /webhook`, as a Git host calls it; it only wakes the hub, which then looks itself. */
export function webhookRoute(options: {
  readonly client: Client;
  readonly repositories: Repositories;
  readonly log: Log;
  readonly signal: AbortSignal;
}): FrontRoute {
  const { client, repositories, log, signal } = options;
  return {
    path: "/webhook",
    async handle(request) {
      if (request.method !== "POST") throw new StatusError("MethodNotAllowed", "a webhook is a POST");
      const provider = providerOf(request.headers);
      if (provider === undefined)
        throw new StatusError("BadRequest", "this is no webhook of a Git host that is known here");
      const body = await request.body({ bytesMax: WEBHOOK_BYTES_MAX });
      const { headers } = request;
      checkWebhook(provider, { headers, body, secrets: await readSecrets(client, signal) });
      const pushes = readPushes(provider, headers, body);
      const woken = pushes.reduce((count, push) => count + repositories.pushed(push), 0);
      log.info("a webhook came", { provider, pushes: pushes.length, woken });
      return jsonAnswer(200, { pushes: pushes.length, gitRepos: woken });
    },
  };
}

/** Fleet's Secret for all of them. */
async function readSecrets(client: Client, signal: AbortSignal): Promise<Readonly<Record<string, string>>> {
  try {
    const where = { namespace: "cattle-fleet-system", name: "gitjob-webhook" };
    const { data = {} } = await client.get(secrets, { ...where, signal });
    return Object.fromEntries(
      Object.entries(data).map(([key, value]) => [key, Buffer.from(value, "base64").toString("utf8")]),
    );
  } catch (error) {
    if (hasReason(error, "NotFound")) return {};
    throw error;
  }
}
