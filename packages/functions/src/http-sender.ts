import { request } from "node:http";
import { StatusError } from "@cortado/std/status";
import { CALL_BYTES_MAX } from "./limits.ts";

export type Sending = {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
};
export type Sent = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
};

/** How the room speaks HTTP to container functions and callbacks; redirects are passed on, never followed. */
export type SendHttp = (sending: Sending) => Promise<Sent>;

/** The machine's own HTTP. */
export const sendHttp: SendHttp = ({ url, method, headers, body, timeoutMs, signal }) =>
  new Promise((resolve, reject) => {
    const fail = (cause: Error): void =>
      reject(new StatusError("BadGateway", `${url} does not answer: ${cause.message}`, { cause }));
    const late = AbortSignal.timeout(timeoutMs);
    const outgoing = request(
      url,
      {
        method,
        headers: { ...headers, "content-length": String(body.byteLength) },
        signal: AbortSignal.any([signal, late]),
      },
      (incoming) => {
        const parts: Buffer[] = [];
        let bytes = 0;
        incoming.on("data", (part: Buffer) => {
          bytes += part.byteLength;
          if (bytes > CALL_BYTES_MAX)
            incoming.destroy(new Error(`its answer is over ${CALL_BYTES_MAX} bytes`));
          else parts.push(part);
        });
        incoming.on("error", fail);
        incoming.on("end", () => {
          const flat = Object.entries(incoming.headers).flatMap(([name, value]) =>
            value === undefined ? [] : [[name, Array.isArray(value) ? value.join(", ") : value]],
          );
          resolve({
            status: incoming.statusCode ?? 502,
            headers: Object.fromEntries(flat) as Record<string, string>,
            body: Buffer.concat(parts),
          });
        });
      },
    );
    outgoing.on("error", (cause) => {
      if (late.aborted)
        reject(new StatusError("Timeout", `${url} did not answer within ${timeoutMs} ms`, { cause }));
      else fail(cause);
    });
    outgoing.end(body);
  });
