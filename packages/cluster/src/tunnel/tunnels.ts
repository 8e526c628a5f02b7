import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Random } from "@cortado/std/random";
import { StatusError } from "@cortado/std/status";
import { TUNNEL_LINE_BYTES_MAX, TUNNEL_OPEN_MS, TUNNEL_SILENT_MS, TUNNEL_STREAMS_MAX } from "../limits.ts";
import { lineReader, STREAM_QUERY, TUNNEL_PROTOCOL } from "./protocol.ts";

export type TunnelsPorts = { readonly clock: Clock; readonly random: Random; readonly log: Log };

export type Upgrading = {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Uint8Array;
};

type Control = {
  readonly socket: Duplex;
  /** Streams that were asked for and are not there yet, by their id. */
  readonly awaited: Map<string, (stream: Duplex) => void>;
  streams: number;
};

/** The server's end: which nodes are connected, and streams into them. Holds nothing while no agent is there. */
export class Tunnels implements Disposable {
  readonly #ports: TunnelsPorts;
  readonly #nodes: Map<string, Control> = new Map();

  constructor(ports: TunnelsPorts) {
    this.#ports = ports;
  }

  /** Names of the nodes that are connected. */
  get nodes(): readonly string[] {
    return [...this.#nodes.keys()];
  }

  /** Takes a connection of a node over, as its control connection or as the stream that it names. @throws StatusError before it has written */
  accept(node: string, upgrading: Upgrading): void {
    const { request, socket, head } = upgrading;
    if (request.headers.upgrade?.toLowerCase() !== TUNNEL_PROTOCOL)
      throw new StatusError("BadRequest", `this door speaks ${TUNNEL_PROTOCOL}, for agents of this version`);
    const id = new URL(request.url ?? "/", "https://server").searchParams.get(STREAM_QUERY);
    if (id === null) this.#acceptControl(node, upgrading);
    else {
      const taken = this.#nodes.get(node)?.awaited.get(id);
      if (taken === undefined)
        throw new StatusError("NotFound", `no stream ${id} of node ${node} is waited for`);
      agree(socket, head);
      taken(socket);
    }
  }

  /**
   * A stream into a node, whose agent answers HTTP/1.1 on it.
   * @throws StatusError "ServiceUnavailable" when the node is not connected or does not open it, "TooManyRequests"
   */
  async open(node: string, { signal }: { readonly signal: AbortSignal }): Promise<Duplex> {
    const control = this.#nodes.get(node);
    if (control === undefined)
      throw new StatusError(
        "ServiceUnavailable",
        `node ${node} is not connected to this server; its agent connects again by itself when it runs and has a line`,
      );
    if (control.streams >= TUNNEL_STREAMS_MAX)
      throw new StatusError(
        "TooManyRequests",
        `${TUNNEL_STREAMS_MAX} streams into node ${node} are open; try again later`,
        {
          details: { retryAfterSeconds: 1 },
        },
      );
    control.streams += 1;
    try {
      const stream = await this.#ask(node, control, signal);
      stream.once("close", () => (control.streams -= 1));
      return stream;
    } catch (error) {
      control.streams -= 1;
      throw error;
    }
  }

  [Symbol.dispose](): void {
    for (const { socket } of this.#nodes.values()) socket.destroy();
  }

  #ask(node: string, control: Control, signal: AbortSignal): Promise<Duplex> {
    const { clock, random } = this.#ports;
    const id = Buffer.from(random.bytes(16)).toString("hex");
    const { promise, resolve, reject } = Promise.withResolvers<Duplex>();
    const fail = (why: string) => (): void =>
      reject(new StatusError("ServiceUnavailable", `node ${node} opened no stream: ${why}`));
    const [late, lost, given] = [
      fail("its agent did not answer in time"),
      fail("its agent is gone"),
      fail("the caller has gone away"),
    ];
    const limit = clock.after(TUNNEL_OPEN_MS, late);
    control.socket.once("close", lost);
    signal.addEventListener("abort", given, { once: true });
    control.awaited.set(id, resolve);
    control.socket.write(`open ${id}\n`);
    return promise.finally(() => {
      control.awaited.delete(id);
      limit[Symbol.dispose]();
      control.socket.off("close", lost);
      signal.removeEventListener("abort", given);
    });
  }

  #acceptControl(node: string, { socket, head }: Upgrading): void {
    const { clock, log } = this.#ports;
    const control: Control = { socket, awaited: new Map(), streams: 0 };
    // An agent that lost its line comes back before we hear that the old connection is dead.
    this.#nodes.get(node)?.socket.destroy();
    this.#nodes.set(node, control);
    const silence = { timer: clock.after(TUNNEL_SILENT_MS, () => socket.destroy()) };
    const read = lineReader((line) => {
      if (line === "") socket.write("\n");
    }, TUNNEL_LINE_BYTES_MAX);
    socket.on("data", (bytes: Uint8Array) => {
      if (!read(bytes)) socket.destroy();
      silence.timer[Symbol.dispose]();
      silence.timer = clock.after(TUNNEL_SILENT_MS, () => socket.destroy());
    });
    socket.on("error", () => undefined); // the close says enough
    socket.once("end", () => socket.destroy());
    socket.once("close", () => {
      silence.timer[Symbol.dispose]();
      if (this.#nodes.get(node) === control) this.#nodes.delete(node);
      log.info("a node has disconnected", { node });
    });
    agree(socket, head);
    log.info("a node has connected", { node });
  }
}

function agree(socket: Duplex, head: Uint8Array): void {
  if ("setNoDelay" in socket && typeof socket.setNoDelay === "function") socket.setNoDelay(true);
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: ${TUNNEL_PROTOCOL}\r\n\r\n`,
  );
  if (head.byteLength > 0) socket.unshift(head);
}
