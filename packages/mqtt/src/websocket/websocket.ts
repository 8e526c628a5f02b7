import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import type { Log } from "@cortado/std/log";
import type { Connection, ConnectionEvents, PeerCertificate } from "@cortado/std/net";
import { shownBy } from "@cortado/std/node/tls";
import { WebSocketServer, type RawData, type WebSocket } from "ws";
import { acceptOptionsOf, type AcceptOptions, type Naming } from "../broker/accept.ts";

export type WebSocketUpgradeOptions = {
  readonly accept: (connection: Connection, options: AcceptOptions) => void;
  readonly bytesMax: number;
  readonly log: Log;
};

export type Upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer, naming?: Naming) => void;

// MQTT 3.1.1, section 6; the second is what clients of MQTT 3.1 say.
const subprotocols = ["mqtt", "mqttv3.1"] as const;

/** Answers an HTTP upgrade with a WebSocket whose messages are a stream of MQTT, however they are cut. */
export function newWebSocketUpgrade({ accept, bytesMax, log }: WebSocketUpgradeOptions): Upgrade {
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: bytesMax,
    handleProtocols: (offered) => subprotocols.find((known) => offered.has(known)) ?? false,
  });
  return (request, socket, head, naming = {}) => {
    const offered = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((text) => text.trim());
    if (!subprotocols.some((known) => offered.includes(known))) {
      log.warn("mqtt websocket refused: the client does not offer the subprotocol mqtt", { offered });
      socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
      return;
    }
    server.handleUpgrade(request, socket, head, (webSocket) =>
      accept(webSocketConnection(webSocket, request), acceptOptionsOf(naming, certificateIn(request))),
    );
  };
}

/** What the client has shown to the HTTPS server that its request came to, which has turned away whoever's is bad. */
function certificateIn({ socket }: IncomingMessage): PeerCertificate | undefined {
  return socket instanceof TLSSocket ? shownBy(socket).certificate : undefined;
}

function webSocketConnection(webSocket: WebSocket, request: IncomingMessage): Connection {
  let events: ConnectionEvents | undefined;
  let failure: Error | undefined;
  let early: Uint8Array[] = [];
  const send = (bytes: Uint8Array): void => {
    if (webSocket.readyState !== webSocket.OPEN) return;
    webSocket.send(bytes, { binary: true }, () => {
      if (webSocket.bufferedAmount === 0) events?.drained();
    });
  };
  webSocket.on("message", (data: RawData, isBinary: boolean) => {
    if (!isBinary) {
      webSocket.close(1_003, "MQTT travels in binary frames"); // MQTT-6.0.0-1
      return;
    }
    const bytes = Array.isArray(data)
      ? Buffer.concat(data)
      : data instanceof ArrayBuffer
        ? new Uint8Array(data)
        : data;
    if (events === undefined) early.push(bytes);
    else events.data(bytes);
  });
  webSocket.on("error", (error) => (failure = error));
  webSocket.on("close", () => events?.closed(failure));
  return {
    remote: `${request.socket.remoteAddress ?? "websocket"}:${request.socket.remotePort ?? 0} (websocket)`,
    handle(next) {
      events = next;
      for (const bytes of early) next.data(bytes);
      early = [];
    },
    write(bytes) {
      send(bytes);
      return webSocket.bufferedAmount === 0;
    },
    get bufferedBytes() {
      return webSocket.bufferedAmount;
    },
    pause: () => webSocket.pause(),
    resume: () => webSocket.resume(),
    end: () => webSocket.close(1_000),
    destroy: () => webSocket.terminate(),
  };
}
