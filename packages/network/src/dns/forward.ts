import { createSocket } from "node:dgram";
import { connect } from "node:net";
import type { Clock } from "@cortado/std/clock";
import { DNS_FORWARDED_MAX, DNS_TCP_BYTES_MAX, DNS_UPSTREAM_MS } from "../limits.ts";

export type Upstream = { readonly host: string; readonly port: number };
export type ForwarderPorts = { readonly clock: Clock; readonly upstreams: () => readonly Upstream[] };

/** Asks others for names outside the cluster, one after the other. Answers undefined when nobody knows: SERVFAIL. */
export class Forwarder {
  readonly #ports: ForwarderPorts;
  #asking = 0;

  constructor(ports: ForwarderPorts) {
    this.#ports = ports;
  }

  async ask(query: Uint8Array, transport: "udp" | "tcp"): Promise<Uint8Array | undefined> {
    const upstreams = this.#ports.upstreams();
    if (upstreams.length === 0 || this.#asking >= DNS_FORWARDED_MAX) return undefined;
    this.#asking += 1;
    try {
      for (const upstream of upstreams) {
        const answer = await (transport === "udp"
          ? this.#askUdp(query, upstream)
          : this.#askTcp(query, upstream));
        if (answer !== undefined) return answer;
      }
      return undefined;
    } finally {
      this.#asking -= 1;
    }
  }

  #askUdp(query: Uint8Array, { host, port }: Upstream): Promise<Uint8Array | undefined> {
    return new Promise((resolve) => {
      // A socket for each question has a port of its own, which an off-path forger has to guess beside the id.
      const socket = createSocket("udp4");
      const settle = (answer: Uint8Array | undefined): void => {
        alarm[Symbol.dispose]();
        socket.removeAllListeners("error").on("error", () => undefined);
        socket.close();
        resolve(answer);
      };
      const alarm = this.#ports.clock.after(DNS_UPSTREAM_MS, () => settle(undefined));
      socket.once("error", () => settle(undefined));
      socket.on("message", (bytes, from) => {
        if (from.address === host && bytes[0] === query[0] && bytes[1] === query[1]) settle(bytes);
      });
      socket.send(query, port, host, (error) => {
        if (error !== null) settle(undefined);
      });
    });
  }

  #askTcp(query: Uint8Array, { host, port }: Upstream): Promise<Uint8Array | undefined> {
    return new Promise((resolve) => {
      const socket = connect({ host, port });
      let held = Buffer.alloc(0);
      const settle = (answer: Uint8Array | undefined): void => {
        alarm[Symbol.dispose]();
        socket.destroy();
        resolve(answer);
      };
      const alarm = this.#ports.clock.after(DNS_UPSTREAM_MS, () => settle(undefined));
      socket.on("error", () => settle(undefined));
      socket.on("close", () => settle(undefined));
      socket.on("data", (bytes: Buffer) => {
        held = Buffer.concat([held, bytes]);
        if (held.byteLength > DNS_TCP_BYTES_MAX + 2) settle(undefined);
        else if (held.byteLength >= 2 && held.byteLength >= 2 + held.readUInt16BE(0))
          settle(held.subarray(2, 2 + held.readUInt16BE(0)));
      });
      socket.write(framed(query));
    });
  }
}

/** A message with its length before it, as TCP carries it. */
export function framed(message: Uint8Array): Uint8Array {
  const frame = Buffer.alloc(2 + message.byteLength);
  frame.writeUInt16BE(message.byteLength);
  frame.set(message, 2);
  return frame;
}

/** Reads the name servers of a resolv.conf. */
export function resolvUpstreams(text: string): readonly Upstream[] {
  return [...text.matchAll(/^\s*nameserver\s+(\d+\.\d+\.\d+\.\d+)/gm)].map(([, host = ""]) => ({
    host,
    port: 53,
  }));
}
