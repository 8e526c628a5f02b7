import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { toStatusError } from "@cortado/std/status";

/** Answers an upgrade with what went wrong. kubectl reads the text from the body; what the status line says it does not show. */
export function refuseUpgrade(socket: Duplex, error: unknown): void {
  const status = toStatusError(error);
  const body = JSON.stringify(status.toStatus());
  const head = [
    `HTTP/1.1 ${status.code} ${STATUS_CODES[status.code] ?? "Error"}`,
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(body)}`,
  ];
  socket.end(`${head.join("\r\n")}\r\nconnection: close\r\n\r\n${body}`);
}
