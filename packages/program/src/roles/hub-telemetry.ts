import { join } from "node:path";
import { mkdir, readFile } from "node:fs/promises";
import type { FrontRoute } from "@cortado/apiserver/front/routes";
import type { Client } from "@cortado/client";
import type { TakeEvents } from "@cortado/fleet/hub";
import { errorAnswer } from "@cortado/std/http";
import { StatusError } from "@cortado/std/status";
import { openCentral, type Central } from "@cortado/telemetry/central";
import { keepAlertObjects } from "@cortado/telemetry/central/alert-objects";
import { answerEvents, readEventsQuery } from "@cortado/telemetry/central/events-query";
import { readTargets, startForwarding } from "@cortado/telemetry/forward";
import { diskThread } from "../threads.ts";
import type { ServerConfig } from "../config/server-config.ts";
import type { Ports } from "./api.ts";
import { mustMay } from "./hub-access.ts";
import { startPart } from "./lifetime.ts";

export type HubTelemetry = { readonly takeEvents: TakeEvents; readonly route: FrontRoute };

/** What stores tell the hub: kept, made into Alerts, and given to who may ask. */
export async function startHubTelemetry(
  options: {
    readonly config: ServerConfig;
    readonly ports: Ports;
    readonly client: Client;
    readonly signal: AbortSignal;
    /** Where events are passed on to. */
    readonly forward: string | undefined;
  },
  stack: AsyncDisposableStack,
): Promise<HubTelemetry> {
  const { config, ports, client, signal, forward } = options;
  const targets = forward === undefined ? [] : readTargets(await readForward(forward), forward);
  const folder = join(config.dataDir, "telemetry");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const central = await startPart(stack, {
    name: "central-telemetry",
    log: ports.log,
    start: () =>
      openCentral({
        ...ports,
        path: join(folder, "events.db"),
        openWriter: (file) => diskThread("event-writer", file),
      }),
  });
  stack.use(keepAlertObjects({ ...ports, central, client }));
  if (targets.length > 0) stack.use(startForwarding({ ...ports, central, targets }));
  return {
    takeEvents: (cluster, events) => central.take(cluster, events),
    route: eventsRoute({ central, client, signal }),
  };
}

/** `GET /telemetry/v1/events`, for who may `get` (one store, by its name) or `list` resource `events` of `telemetry.cortado.dev`. */
export function eventsRoute(options: {
  readonly central: Central;
  readonly client: Client;
  readonly signal: AbortSignal;
}): FrontRoute {
  const { central, client, signal } = options;
  return {
    path: "/telemetry/v1/events",
    async handle({ method, query }, { user }) {
      if (method !== "GET" && method !== "HEAD")
        throw new StatusError(
          "MethodNotAllowed",
          "/telemetry/v1/events takes GET; stores send theirs by their agent",
        );
      if (user.groups.includes("system:unauthenticated")) return sayWhoYouAre();
      const asked = readEventsQuery(query);
      const name = asked.filter.store?.name;
      const place = { group: "telemetry.cortado.dev", resource: "events" };
      const wish = name === undefined ? { ...place, verb: "list" } : { ...place, verb: "get", name };
      await mustMay(user, wish, { client, signal });
      return answerEvents(central, asked);
    },
  };
}

async function readForward(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new StatusError("NotFound", `${path} cannot be read; name another file with --forward`, { cause });
  }
}

function sayWhoYouAre(): ReturnType<FrontRoute["handle"]> {
  const { headers, ...answer } = errorAnswer(new StatusError("Unauthorized", "say who you are"));
  return Promise.resolve({
    ...answer,
    headers: { ...headers, "www-authenticate": 'Basic realm="cortado hub"' },
  });
}
