import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Counter } from "@cortado/std/metrics";
import { StatusError } from "@cortado/std/status";
import { DNS_CLIENT_IDLE_MS, DNS_CLIENTS_MAX } from "../limits.ts";
import { failureSays, rcodes, readQuery, writeAnswer, zoneSays, type Query } from "./answer.ts";
import { Forwarder, framed, type Upstream } from "./forward.ts";
import { lookUp, type ZoneObjects } from "./zone.ts";

export { resolvUpstreams, type Upstream } from "./forward.ts";

export type DnsOptions = {
  readonly host: string;
  /** 53; 0 picks a free one, the same for UDP and TCP. */
  readonly port: number;
  /** "cluster.local" */
  readonly domain: string;
  /** Asked for names outside; none: SERVFAIL at once. */
  readonly upstreams: () => readonly Upstream[];
};

export type DnsPorts = {
  readonly objects: ZoneObjects;
  readonly clock: Clock;
  readonly log: Log;
  readonly requests?: Counter;
};

export interface DnsServer extends AsyncDisposable {
  readonly port: number;
}

/** The cluster's DNS on UDP and TCP. @throws StatusError "Conflict" when the address is in use */
export async function startDns(options: DnsOptions, ports: DnsPorts): Promise<DnsServer> {
  const responder = new Responder(options, ports);
  await using starting = new AsyncDisposableStack();
  const tcp = createServer({ noDelay: true });
  tcp.maxConnections = DNS_CLIENTS_MAX;
  const clients = new Set<Socket>();
  tcp.on("connection", (socket) => {
    clients.add(socket);
    socket.on("close", () => clients.delete(socket));
    serveTcp(socket, responder, ports.clock);
  });
  starting.defer(async () => {
    const closed = new Promise((resolve) => tcp.close(resolve));
    for (const socket of clients) socket.destroy();
    await closed;
  });
  const port = await listenTcp(tcp, options);
  const udp = createSocket({ type: "udp4", recvBufferSize: 1024 * 1024 });
  starting.defer(() => new Promise<void>((resolve) => udp.close(() => resolve())));
  await listenUdp(udp, { host: options.host, port });
  udp.on("error", (error) => ports.log.warn("dns socket failed", { error }));
  udp.on("message", (bytes, from) => {
    void responder.answer(bytes, "udp").then((answer) => {
      if (answer !== undefined) udp.send(answer, from.port, from.address, () => undefined); // a client that went away needs none
    });
  });
  const lifetime = starting.move();
  return { port, [Symbol.asyncDispose]: () => lifetime.disposeAsync() };
}

class Responder {
  readonly #options: DnsOptions;
  readonly #ports: DnsPorts;
  readonly #forwarder: Forwarder;

  constructor(options: DnsOptions, ports: DnsPorts) {
    this.#options = options;
    this.#ports = ports;
    this.#forwarder = new Forwarder({ clock: ports.clock, upstreams: options.upstreams });
  }

  async answer(bytes: Uint8Array, transport: "udp" | "tcp"): Promise<Uint8Array | undefined> {
    const query = readQuery(bytes);
    if (query === undefined) return undefined;
    try {
      return await this.#answer(query, bytes, transport);
    } catch (error) {
      this.#ports.log.warn("dns question not answered", { type: query.question.type, error });
      return writeAnswer(query, failureSays(rcodes.serverFailure), transport);
    }
  }

  async #answer(query: Query, bytes: Uint8Array, transport: "udp" | "tcp"): Promise<Uint8Array> {
    const { domain } = this.#options;
    const said = lookUp(query.question, { domain, objects: this.#ports.objects });
    this.#ports.requests?.add(1, { zone: said.kind === "outside" ? "." : domain });
    if (said.kind !== "outside") return writeAnswer(query, zoneSays(said, domain), transport);
    const forwarded = await this.#forwarder.ask(bytes, transport);
    return forwarded ?? writeAnswer(query, failureSays(rcodes.serverFailure), transport);
  }
}

function serveTcp(socket: Socket, responder: Responder, clock: Clock): void {
  let held = Buffer.alloc(0);
  let alarm = clock.after(DNS_CLIENT_IDLE_MS, () => socket.destroy());
  socket.on("error", () => undefined);
  socket.on("close", () => alarm[Symbol.dispose]());
  socket.on("data", (bytes: Buffer) => {
    alarm[Symbol.dispose]();
    alarm = clock.after(DNS_CLIENT_IDLE_MS, () => socket.destroy());
    held = Buffer.concat([held, bytes]);
    while (held.byteLength >= 2 && held.byteLength >= 2 + held.readUInt16BE(0)) {
      const length = held.readUInt16BE(0);
      const query = held.subarray(2, 2 + length);
      held = held.subarray(2 + length);
      void responder
        .answer(query, "tcp")
        .then((answer) =>
          answer === undefined ? socket.destroy() : socket.writable && socket.write(framed(answer)),
        );
    }
  });
}

function listenTcp(server: Server, { host, port }: DnsOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => reject(inUse({ host, port, cause })));
    server.listen({ host, port }, () => resolve((server.address() as AddressInfo).port));
  });
}

function listenUdp(
  socket: UdpSocket,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (cause: NodeJS.ErrnoException): void => reject(inUse({ host, port, cause }));
    socket.once("error", failed);
    socket.bind(port, host, () => {
      socket.removeListener("error", failed);
      resolve();
    });
  });
}

function inUse({
  host,
  port,
  cause,
}: {
  readonly host: string;
  readonly port: number;
  readonly cause: NodeJS.ErrnoException;
}): StatusError {
  const reason = cause.code === "EADDRINUSE" ? "Conflict" : "ServiceUnavailable";
  return new StatusError(reason, `cluster DNS cannot listen on ${host}:${port}: ${cause.message}`, { cause });
}
