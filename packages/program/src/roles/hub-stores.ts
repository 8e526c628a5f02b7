import type { FrontRoute } from "@cortado/apiserver/front/routes";
import { impersonate } from "@cortado/apiserver/impersonation";
import type { Client } from "@cortado/client";
import type { AuditTrail } from "@cortado/fleet/hub/audit";
import { STORES_PATH, StoreProxy } from "@cortado/fleet/hub/access";
import type { RunningHub } from "@cortado/fleet/hub";
import { mayUser, mustMay } from "./hub-access.ts";
import type { Ports } from "./api.ts";

/** `/stores/NAMESPACE/NAME/…`: the API of a store, for who may `clusters/proxy` of `fleet.cattle.io` by its name. */
export function storesRoute(options: {
  readonly hub: RunningHub;
  readonly client: Client;
  readonly ports: Pick<Ports, "clock" | "log">;
  readonly audit: AuditTrail | undefined;
  readonly signal: AbortSignal;
}): FrontRoute {
  const { hub, client, ports, audit, signal } = options;
  const asking = { client, signal };
  const proxy = new StoreProxy({
    ...ports,
    ...(audit === undefined ? {} : { audit }),
    openStream: (...words) => hub.openStream(...words),
    actAs: (user, headers) =>
      impersonate(
        user,
        headers,
        async ({ user: who, verb, group, resource, subresource, namespace, name }) => {
          const wish = { verb, group, resource, subresource, namespace, name };
          return { allowed: await mayUser(who, wish, asking), reason: "" };
        },
      ),
    mustMay: (user, verb, cluster) =>
      mustMay(
        user,
        { verb, group: "fleet.cattle.io", resource: "clusters", subresource: "proxy", ...cluster },
        asking,
      ),
  });
  return {
    path: STORES_PATH,
    handle: (request, { user }) => proxy.handle(request, user),
    upgrade: (upgrading, { user }) => proxy.upgrade(upgrading, user),
  };
}
