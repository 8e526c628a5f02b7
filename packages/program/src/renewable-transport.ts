import { httpTransport, type HttpTransportOptions } from "@cortado/client/node/http";
import type { Transport } from "@cortado/client/transport";

/** A transport whose credential changes: what is asked from then on goes over new connections, what is under way ends as it began. */
export function renewableTransport(
  options: () => HttpTransportOptions,
): Transport & Disposable & { renew(): void } {
  let current = httpTransport(options());
  const old: Disposable[] = [];
  return {
    send: (request) => current.send(request),
    watch: (request) => current.watch(request),
    renew() {
      // A watch goes on over the old one for as long as the server lets it.
      old.push(current);
      current = httpTransport(options());
    },
    [Symbol.dispose]() {
      for (const transport of [...old, current]) transport[Symbol.dispose]();
    },
  };
}
