import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer, type RawData, type WebSocket } from "ws";

export type WebSocketEvents = {
  message(bytes: Uint8Array): void;
  /** Once, whatever ended it. */
  closed(): void;
};

/** A WebSocket that was accepted; all messages are bytes. */
export interface AcceptedWebSocket {
  /** The subprotocol both agreed on; empty when the client asked for none. */
  readonly protocol: string;
  handle(events: WebSocketEvents): void;
  /** `taken` is called when the line has taken them, or never will. */
  send(bytes: Uint8Array, taken?: () => void): void;
  sendText(text: string): void;
  /** Bytes that the peer has not taken yet. */
  readonly bufferedBytes: number;
  pause(): void;
  resume(): void;
  close(options?: { readonly code?: number; readonly reason?: string }): void;
  destroy(): void;
}

export type AcceptOptions = {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  /** Subprotocols we speak, best first. */
  readonly protocols: readonly string[];
  readonly messageBytesMax: number;
  readonly accepted: (socket: AcceptedWebSocket) => void;
};

/** The best subprotocol that the client offers; undefined when none fits. */
export function offeredProtocol(request: IncomingMessage, protocols: readonly string[]): string | undefined {
  const offered = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
  return protocols.find((name) => offered.includes(name));
}

/** Answers an upgrade request. A malformed one is answered 400 by the library and `accepted` is never called. */
export function acceptWebSocket(options: AcceptOptions): void {
  const protocol = offeredProtocol(options.request, options.protocols);
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    maxPayload: options.messageBytesMax,
    perMessageDeflate: false,
    handleProtocols: () => protocol ?? false,
  });
  server.handleUpgrade(options.request, options.socket, options.head, (socket) =>
    options.accepted(wrap(socket)),
  );
}

function wrap(socket: WebSocket): AcceptedWebSocket {
  const early: Uint8Array[] = [];
  let events: WebSocketEvents | undefined;
  let over = false;
  socket.binaryType = "nodebuffer";
  socket.on("message", (data: RawData) => {
    const bytes = Array.isArray(data)
      ? Buffer.concat(data)
      : data instanceof ArrayBuffer
        ? new Uint8Array(data)
        : data;
    if (events === undefined) early.push(bytes);
    else events.message(bytes);
  });
  socket.on("error", () => undefined); // "close" follows and is what counts
  socket.on("close", () => {
    over = true;
    events?.closed();
  });
  return {
    protocol: socket.protocol,
    handle(next) {
      events = next;
      for (const bytes of early.splice(0)) next.message(bytes);
      if (over) next.closed();
    },
    send: (bytes, taken) => socket.send(bytes, () => taken?.()),
    sendText: (text) => socket.send(text),
    get bufferedBytes() {
      return socket.bufferedAmount;
    },
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close: ({ code = 1000, reason = "" } = {}) => socket.close(code, reason),
    destroy: () => socket.terminate(),
  };
}
