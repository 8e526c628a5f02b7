import type { FrontRoute } from "@cortado/apiserver/front/routes";
import type { Client } from "@cortado/client";
import { splitKey } from "@cortado/client/informer";
import type { Repositories } from "@cortado/fleet/git/repositories";
import { WakeLimit } from "@cortado/fleet/git/wake-limit";
import {
  checkWebhook,
  providerOf,
  readPushes,
  WEBHOOK_BYTES_MAX,
  type WebhookSecrets,
} from "@cortado/fleet/git/webhooks";
import { secrets } from "@cortado/kinds/resources";
import type { Clock } from "@cortado/std/clock";
import { jsonAnswer } from "@cortado/std/http";
import type { Log } from "@cortado/std/log";
import { hasReason, StatusError } from "@cortado/std/status";

/** Fleet's Secret for all GitRepos that name none of their own. */
const COMMON_SECRET = "cattle-fleet-system/gitjob-webhook";

export type WebhookPorts = {
  readonly client: Client;
  readonly repositories: Pick<Repositories, "pushed" | "secretsFor">;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
};

/** `POST /webhook`, as a Git host calls it; it only wakes the hub, which then looks itself. */
export function webhookRoute(ports: WebhookPorts): FrontRoute {
  const { repositories, log } = ports;
  const limit = new WakeLimit(ports.clock);
  return {
    path: "/webhook",
    async handle(request) {
      if (request.method !== "POST") throw new StatusError("MethodNotAllowed", "a webhook is a POST");
      const provider = providerOf(request.headers);
      if (provider === undefined)
        throw new StatusError("BadRequest", "this is no webhook of a Git host that is known here");
      const body = await request.body({ bytesMax: WEBHOOK_BYTES_MAX });
      const { headers } = request;
      const pushes = readPushes(provider, headers, body);
      // Each GitRepo is woken by whoever knows its own secret; a push that nobody follows is judged by the common one.
      const names = new Set(pushes.flatMap((push) => repositories.secretsFor(push)));
      const isUnsigned: string[] = [];
      const woken: string[] = [];
      let refusal: unknown;
      for (const name of names.size === 0 ? [""] : names)
        try {
          const known = await readSecrets(ports, name === "" ? COMMON_SECRET : name, name === "");
          const proof = checkWebhook(provider, { headers, body, secrets: known });
          (proof === "signed" ? woken : isUnsigned).push(name);
        } catch (error) {
          if (!hasReason(error, "Unauthorized")) throw error;
          refusal ??= error;
        }
      if (woken.length + isUnsigned.length === 0 && refusal !== undefined) throw refusal as Error;
      if (isUnsigned.length > 0) checkRate(limit, woken.length > 0);
      const count = [...woken, ...isUnsigned].reduce(
        (sum, name) => sum + pushes.reduce((all, push) => all + repositories.pushed(push, name), 0),
        0,
      );
      log.info("a webhook came", {
        provider,
        pushes: pushes.length,
        woken: count,
        isSigned: woken.length > 0,
      });
      return jsonAnswer(200, {
        pushes: pushes.length,
        gitRepos: count,
        ...(isUnsigned.length === 0
          ? {}
          : {
              warning: `anybody may send this webhook, at a low rate: make Secret ${COMMON_SECRET} with key ${provider}, or set spec.webhookSecret`,
            }),
      });
    },
  };
}

/** @throws StatusError "TooManyRequests" */
function checkRate(limit: WakeLimit, isAlsoSigned: boolean): void {
  const waitMs = isAlsoSigned ? 0 : limit.take();
  if (waitMs === 0) return;
  const retryAfterSeconds = Math.ceil(waitMs / 1_000);
  throw new StatusError(
    "TooManyRequests",
    `too many webhooks that prove nothing; come back in ${retryAfterSeconds} s, or make Secret ${COMMON_SECRET} with this provider's key`,
    { details: { retryAfterSeconds } },
  );
}

async function readSecrets(
  { client, signal }: WebhookPorts,
  key: string,
  mayBeAbsent: boolean,
): Promise<WebhookSecrets> {
  try {
    const { data = {} } = await client.get(secrets, { ...splitKey(key), signal });
    return Object.fromEntries(
      Object.entries(data).map(([name, value]) => [name, Buffer.from(value, "base64").toString("utf8")]),
    );
  } catch (error) {
    if (!hasReason(error, "NotFound")) throw error;
    if (mayBeAbsent) return {};
    throw new StatusError("Unauthorized", `Secret ${key}, which spec.webhookSecret names, is not there`, {
      cause: error,
    });
  }
}
