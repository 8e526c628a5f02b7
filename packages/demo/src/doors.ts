import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { StatusError } from "@cortado/std/status";

/** Copies connections to 127.0.0.1:port on to a Unix socket; while nobody answers there, they are closed. */
export function openDoor(options: {
  readonly port: number;
  readonly socket: string;
}): Promise<AsyncDisposable> {
  const open = new Set<Socket>();
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (outer) => {
    const inner = connect({ path: options.socket, allowHalfOpen: true });
    for (const socket of [outer, inner]) {
      open.add(socket);
      socket.once("close", () => open.delete(socket));
    }
    outer.on("error", () => inner.destroy());
    inner.on("error", () => outer.destroy());
    outer.on("close", () => inner.destroy());
    inner.on("close", () => outer.destroy());
    outer.pipe(inner);
    inner.pipe(outer);
  });
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => {
      const message = `port ${options.port} on 127.0.0.1 is taken; end what uses it, or run npm start -- --fresh to pick others`;
      reject(new StatusError("Conflict", message, { cause }));
    });
    server.listen({ host: "127.0.0.1", port: options.port }, () =>
      resolve({
        async [Symbol.asyncDispose]() {
          const closed = new Promise((done) => server.close(done));
          for (const socket of open) socket.destroy();
          await closed;
        },
      }),
    );
  });
}

/** As many free ports as asked for. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve, reject) => {
          const server = createServer();
          server.once("error", reject);
          server.listen({ host: "127.0.0.1", port: 0 }, () => resolve(server));
        }),
    ),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
