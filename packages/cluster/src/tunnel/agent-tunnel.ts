import type { Duplex } from "node:stream";
import { backoffMs } from "@cortado/std/backoff";
import { every, type Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import { messageOf } from "@cortado/std/status";
import {
  JOIN_RETRY_FIRST_MS,
  JOIN_RETRY_MAX_MS,
  TUNNEL_BEAT_MS,
  TUNNEL_LINE_BYTES_MAX,
  TUNNEL_SILENT_MS,
} from "../limits.ts";
import { lineReader, STREAM_QUERY } from "./protocol.ts";

export type AgentTunnelOptions = {
  /** Opens a connection at the server's tunnel door. @throws StatusError */
  readonly dial: (options: { readonly query: string; readonly signal: AbortSignal }) => Promise<Duplex>;
  /** Answers HTTP/1.1 on a stream that the server asked for. */
  readonly serve: (stream: Duplex) => void;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
};

/** The agent's end: keeps a control connection until the signal aborts, and opens the streams that the server asks for. */
export async function keepTunnel(options: AgentTunnelOptions): Promise<void> {
  const { dial, clock, log, signal } = options;
  for (let failures = 0; !signal.aborted;) {
    try {
      const socket = await dial({ query: "", signal });
      log.info("the tunnel to the server is open");
      failures = 0;
      await untilClosed(socket, options);
      if (!signal.aborted) log.warn("the tunnel to the server broke; opening it again");
    } catch (error) {
      if (!signal.aborted && failures === 0)
        log.warn("the tunnel to the server cannot be opened; trying again", { problem: messageOf(error) });
    }
    const waitMs = backoffMs(failures, { firstMs: JOIN_RETRY_FIRST_MS, maxMs: JOIN_RETRY_MAX_MS });
    failures += 1;
    await clock.sleep(waitMs, { signal }).catch(() => undefined);
  }
}

function untilClosed(socket: Duplex, options: AgentTunnelOptions): Promise<void> {
  const { clock, signal } = options;
  const { promise, resolve } = Promise.withResolvers<void>();
  let heardMs = clock.monotonicMs();
  const beating = every(clock, TUNNEL_BEAT_MS, () => {
    // A server that lost its power says nothing more, not even that.
    if (clock.monotonicMs() - heardMs > TUNNEL_SILENT_MS) socket.destroy();
    else socket.write("\n");
  });
  const stop = (): void => void socket.destroy();
  signal.addEventListener("abort", stop, { once: true });
  const read = lineReader((line) => {
    heardMs = clock.monotonicMs();
    const [word, id = ""] = line.split(" ");
    if (word === "open") void openStream(id, options);
  }, TUNNEL_LINE_BYTES_MAX);
  socket.on("data", (bytes: Uint8Array) => {
    if (!read(bytes)) socket.destroy();
  });
  socket.on("error", () => undefined); // the close says enough
  socket.once("end", stop);
  socket.once("close", () => {
    beating[Symbol.dispose]();
    signal.removeEventListener("abort", stop);
    resolve();
  });
  if (signal.aborted) stop();
  return promise;
}

async function openStream(id: string, { dial, serve, log, signal }: AgentTunnelOptions): Promise<void> {
  try {
    const stream = await dial({ query: `?${STREAM_QUERY}=${encodeURIComponent(id)}`, signal });
    stream.on("error", (error) => log.debug("a stream of the tunnel broke", { problem: error.message }));
    serve(stream);
  } catch (error) {
    log.warn("a stream that the server asked for could not be opened", { problem: messageOf(error) });
  }
}
