import { connect, createServer, type Socket } from "node:net";
import { rm } from "node:fs/promises";

/** Copies connections to a Unix socket on to a local TCP port: for a listener that only knows TCP. */
export async function relaySocket(options: {
  readonly path: string;
  readonly port: number;
}): Promise<AsyncDisposable> {
  await rm(options.path, { force: true });
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (outer) => {
    const inner = connect({ host: "127.0.0.1", port: options.port, noDelay: true, allowHalfOpen: true });
    for (const [one, other] of [
      [outer, inner],
      [inner, outer],
    ] as const) {
      open.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        open.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.path, resolve);
  });
  return {
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}
