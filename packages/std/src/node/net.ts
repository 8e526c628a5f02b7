import { connect, createServer, type Server, type Socket } from "node:net";
import { rm } from "node:fs/promises";
import { addressText, type Address, type Connection, type ConnectionEvents, type Network } from "../net.ts";
import { StatusError } from "../status.ts";

/** The machine's own sockets. */
export const systemNetwork: Network = {
  async listen(address, accept) {
    if ("path" in address) await rm(address.path, { force: true }); // left behind by a killed process
    const sockets = new Set<Socket>();
    const server = createServer({ noDelay: true }, (socket) => {
      sockets.add(socket);
      accept(socketConnection(socket, () => sockets.delete(socket)));
    });
    await listening(server, address);
    return {
      address: boundAddress(server, address),
      async [Symbol.asyncDispose]() {
        const closed = new Promise<void>((resolve) => server.close(() => resolve()));
        for (const socket of sockets) socket.destroy();
        await closed;
      },
    };
  },
  dial(address, { signal }) {
    return new Promise((resolve, reject) => {
      const socket = "path" in address ? connect(address.path) : connect({ ...address, noDelay: true });
      const abort = (): void => void socket.destroy(new Error("dialling was aborted"));
      const settle = (): void => {
        signal.removeEventListener("abort", abort);
        socket.removeListener("error", failed);
      };
      const failed = (cause: Error): void => {
        settle();
        reject(
          new StatusError("ServiceUnavailable", `${addressText(address)} does not answer: ${cause.message}`, {
            cause,
          }),
        );
      };
      signal.addEventListener("abort", abort, { once: true });
      if (signal.aborted) abort();
      socket.once("error", failed);
      socket.once("connect", () => {
        settle();
        resolve(socketConnection(socket));
      });
    });
  },
};

/** Wraps any socket-like stream of Node's; `closed` is called once, when it has gone. */
export function socketConnection(socket: Socket, closed?: () => void): Connection {
  return new SocketConnection(socket, closed);
}

// A class: ten thousand connections have one of these each, and as an object of closures it took five times the memory.
class SocketConnection implements Connection {
  readonly remote: string;
  readonly #socket: Socket;
  #events: ConnectionEvents | undefined;
  #failure: Error | undefined;

  constructor(socket: Socket, closed: (() => void) | undefined) {
    this.#socket = socket;
    this.remote =
      socket.remoteAddress === undefined
        ? "local"
        : addressText({ host: socket.remoteAddress, port: socket.remotePort ?? 0 });
    socket.on("error", (error) => (this.#failure = error));
    socket.on("close", () => {
      this.#events?.closed(this.#failure);
      closed?.();
    });
  }

  handle(events: ConnectionEvents): void {
    this.#events = events;
    // Listening for data starts the flow, so bytes that came early wait in the socket until now.
    this.#socket.on("data", (bytes: Uint8Array) => events.data(bytes));
    this.#socket.on("drain", () => events.drained());
    if (this.#socket.destroyed) events.closed(this.#failure);
  }

  write(bytes: Uint8Array): boolean {
    return this.#socket.write(bytes);
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

export function listening(server: Server, address: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const reason = cause.code === "EADDRINUSE" ? "Conflict" : "ServiceUnavailable";
      reject(
        new StatusError(reason, `cannot listen on ${addressText(address)}: ${cause.message}`, { cause }),
      );
    });
    server.listen(
      "path" in address ? { path: address.path } : { host: address.host, port: address.port },
      resolve,
    );
  });
}

export function boundAddress(server: Server, asked: Address): Address {
  const bound = server.address();
  return bound === null || typeof bound === "string" ? asked : { host: bound.address, port: bound.port };
}
