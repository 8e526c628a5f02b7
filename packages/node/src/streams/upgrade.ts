import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { StatusError } from "@cortado/std/status";
import { SpdySession, type SpdyStream } from "@cortado/wire/spdy";
import { STREAM_UNSENT_BYTES_MAX } from "../limits.ts";
import type { Upgrade } from "./requests.ts";

export type UpgradeKind = "websocket" | "spdy";

/** What the client wants to speak. @throws StatusError "BadRequest" when it is nothing we know */
export function upgradeKind(request: IncomingMessage): UpgradeKind {
  const wanted = (request.headers.upgrade ?? "").toLowerCase();
  if (wanted === "websocket") return "websocket";
  if (wanted === "spdy/3.1") return "spdy";
  throw new StatusError("BadRequest", "Upgrade request required: WebSocket or SPDY/3.1");
}

/** The best of our stream protocols that a SPDY client offers. @throws StatusError "Forbidden", as upstream does */
export function spdyProtocol(request: IncomingMessage, ours: readonly string[]): string {
  const header = request.headers["x-stream-protocol-version"] ?? [];
  const offered = (Array.isArray(header) ? header : [header]).flatMap((line) =>
    line.split(",").map((name) => name.trim()),
  );
  const protocol = ours.find((name) => offered.includes(name));
  if (protocol === undefined)
    throw new StatusError(
      "Forbidden",
      `none of the stream protocols [${offered.join(" ")}] is offered; we speak [${ours.join(" ")}]`,
    );
  return protocol;
}

export type AcceptSpdy = {
  readonly upgrade: Upgrade;
  readonly protocol: string;
  readonly opened: (stream: SpdyStream) => void;
  readonly closed: () => void;
};

/** Answers 101 and speaks SPDY on the socket. */
export function acceptSpdy({ upgrade: { socket, head }, protocol, opened, closed }: AcceptSpdy): SpdySession {
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${protocol}\r\n\r\n`,
  );
  const session = new SpdySession({
    role: "server",
    write: (bytes) => void (socket.writable && socket.write(bytes)),
    opened,
    closed,
  });
  socket.on("data", (bytes: Uint8Array) => session.receive(bytes));
  socket.on("error", (error) => session.close(error));
  socket.on("close", () => session.close());
  socket.on("end", () => socket.end());
  if (head.byteLength > 0) session.receive(head);
  return session;
}

/** Pauses what flows towards a socket while too much is unsent in it. */
export function holdBack(socket: Duplex, source: { pause(): void; resume(): void }): () => void {
  let paused = false;
  socket.on("drain", () => {
    if (!paused) return;
    paused = false;
    source.resume();
  });
  return () => {
    if (paused || socket.writableLength < STREAM_UNSENT_BYTES_MAX) return;
    paused = true;
    source.pause();
  };
}
