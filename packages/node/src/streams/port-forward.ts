import type { Duplex } from "node:stream";
import { messageOf, StatusError } from "@cortado/std/status";
import { SpdySession } from "@cortado/wire/spdy";
import { acceptWebSocket, offeredProtocol, type AcceptedWebSocket } from "@cortado/wire/websocket";
import { STREAM_MESSAGE_BYTES_MAX } from "../limits.ts";
import type { ForwardStream } from "../runtime/runtime.ts";
import { Forwards, type Dial } from "./forwards.ts";
import type { Upgrade } from "./requests.ts";
import { acceptSpdy, holdBack, spdyProtocol, upgradeKind } from "./upgrade.ts";

const tunnelProtocol = "SPDY/3.1+portforward.k8s.io";
const channelProtocols = ["v4.channel.k8s.io"] as const;

/** Carries connections to ports of a pod: over SPDY, over SPDY inside a WebSocket (kubectl from 1.30), or over plain channels. */
export function serveForward(ports: readonly number[], upgrade: Upgrade, dial: Dial): void {
  if (upgradeKind(upgrade.request) === "spdy") {
    const protocol = spdyProtocol(upgrade.request, ["portforward.k8s.io"]);
    const forwards = new Forwards({ dial, transport: upgrade.socket });
    acceptSpdy({
      upgrade,
      protocol,
      opened: (stream) => forwards.opened(stream),
      closed: () => forwards.close(),
    });
    return;
  }
  const tunnel = offeredProtocol(upgrade.request, [tunnelProtocol]) !== undefined;
  if (!tunnel && ports.length === 0)
    throw new StatusError(
      "BadRequest",
      `port-forward over WebSocket needs the protocol ${tunnelProtocol}, or ?ports=`,
    );
  acceptWebSocket({
    ...upgrade,
    protocols: tunnel ? [tunnelProtocol] : channelProtocols,
    messageBytesMax: STREAM_MESSAGE_BYTES_MAX,
    accepted: (socket) =>
      tunnel
        ? joinTunnel({ socket, transport: upgrade.socket, dial })
        : joinChannels({ socket, ports, transport: upgrade.socket, dial }),
  });
}

type Tunnel = { readonly socket: AcceptedWebSocket; readonly transport: Duplex; readonly dial: Dial };

function joinTunnel({ socket, transport, dial }: Tunnel): void {
  const forwards = new Forwards({ dial, transport });
  const session = new SpdySession({
    role: "server",
    write: (bytes) => socket.send(bytes),
    opened: (stream) => forwards.opened(stream),
    closed: () => {
      forwards.close();
      socket.close();
    },
  });
  socket.handle({ message: (bytes) => session.receive(bytes), closed: () => session.close() });
}

type Channels = {
  readonly socket: AcceptedWebSocket;
  readonly ports: readonly number[];
  readonly transport: Duplex;
  readonly dial: Dial;
};

// Channel 2n carries the data of the n-th port and 2n+1 its error; each begins with the port as two bytes, low one first.
function joinChannels({ socket, ports, transport, dial }: Channels): void {
  const forwards = new Map<number, ForwardStream>();
  const early = new Map<number, Uint8Array[]>();
  const send = (channel: number, bytes: Uint8Array): void =>
    socket.send(Buffer.concat([Uint8Array.of(channel), bytes]));
  for (const [at, port] of ports.entries()) {
    for (const channel of [2 * at, 2 * at + 1]) send(channel, Uint8Array.of(port & 255, port >> 8));
    dial(port).then(
      (forward) => {
        forwards.set(2 * at, forward);
        const hold = holdBack(transport, forward);
        forward.handle({
          data: (bytes) => {
            send(2 * at, bytes);
            hold();
          },
          ended: () => socket.close(),
          closed: (cause) => {
            if (cause !== undefined) send(2 * at + 1, Buffer.from(messageOf(cause)));
            socket.close();
          },
          congested: (full) => (full ? socket.pause() : socket.resume()),
        });
        for (const bytes of early.get(2 * at) ?? []) forward.write(bytes);
      },
      (cause: unknown) => send(2 * at + 1, Buffer.from(`error forwarding port ${port}: ${messageOf(cause)}`)),
    );
  }
  socket.handle({
    message(bytes) {
      const channel = bytes[0] ?? 0;
      const forward = forwards.get(channel);
      if (forward !== undefined) forward.write(bytes.subarray(1));
      else if (channel % 2 === 0 && (early.get(channel)?.length ?? 0) < 64)
        early.set(channel, [...(early.get(channel) ?? []), bytes.slice(1)]);
    },
    closed: () => {
      for (const forward of forwards.values()) forward.destroy();
    },
  });
}
