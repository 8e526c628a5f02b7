import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { toStatusError } from "@cortado/std/status";

/** A refusal over a connection that was to be upgraded. */
export function refuseUpgrade(socket: Duplex, error: unknown): void {
  const status = toStatusError(error);
  const body = JSON.stringify(status.toStatus());
  socket.end(
    `HTTP/1.1 ${status.code} ${STATUS_CODES[status.code] ?? "Error"}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}
