import { openInnerFront, type FrontOptions, type InnerFront } from "@cortado/apiserver/front";
import { StatusError } from "@cortado/std/status";

/**
 * The store's API as its hub reaches it: over streams of the connection that the store opened, and by nobody else, as there is no
 * address. The store trusts its hub to say who asks, in every request: it may impersonate anybody, and is nobody itself.
 */
export function openHubFront(options: Pick<FrontOptions, "server" | "clock" | "log">): InnerFront {
  return openInnerFront({
    ...options,
    identify({ headers }) {
      const { "impersonate-user": user } = headers;
      if (user === undefined || user === "")
        return Promise.reject(new StatusError("Unauthorized", "the hub did not say in whose name it asks"));
      return Promise.resolve({ name: "cortado:hub", groups: ["system:masters", "system:authenticated"] });
    },
  });
}
