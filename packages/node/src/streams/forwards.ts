import type { Duplex } from "node:stream";
import { messageOf } from "@cortado/std/status";
import type { SpdyStream } from "@cortado/wire/spdy";
import type { ForwardStream } from "../runtime/runtime.ts";
import { holdBack } from "./upgrade.ts";

/** Opens a connection to a port of the pod. */
export type Dial = (port: number) => Promise<ForwardStream>;

type Pair = { error?: SpdyStream; data?: SpdyStream };

/** Each connection is a pair of streams with one request id. */
export class Forwards {
  readonly #options: { readonly dial: Dial; readonly transport: Duplex };
  readonly #pairs = new Map<string, Pair>();
  readonly #open = new Set<ForwardStream>();
  #over = false;
  #joining = 0;

  constructor(options: { readonly dial: Dial; readonly transport: Duplex }) {
    this.#options = options;
  }

  opened(stream: SpdyStream): void {
    const { streamtype: type, port: portText = "", requestid: id = portText } = stream.headers;
    const port = Number(portText);
    if ((type !== "error" && type !== "data") || !Number.isInteger(port) || port < 1 || port > 65_535) {
      stream.reset();
      return;
    }
    stream.reply();
    const pair = this.#pairs.get(id) ?? {};
    this.#pairs.set(id, pair);
    pair[type] = stream;
    if (pair.error === undefined || pair.data === undefined) return;
    this.#pairs.delete(id);
    void this.#join({ error: pair.error, data: pair.data, port });
  }

  close(): void {
    this.#over = true;
    for (const forward of this.#open) forward.destroy();
    this.#open.clear();
  }

  async #join({
    error,
    data,
    port,
  }: {
    readonly error: SpdyStream;
    readonly data: SpdyStream;
    readonly port: number;
  }): Promise<void> {
    error.handle({ data: () => undefined, ended: () => undefined, closed: () => undefined });
    const fail = (cause: unknown): void => {
      error.write(Buffer.from(`error forwarding port ${port}: ${messageOf(cause)}`));
      error.end();
      data.end();
    };
    let forward: ForwardStream;
    this.#hold(1);
    try {
      forward = await this.#options.dial(port);
    } catch (cause) {
      fail(cause);
      return;
    } finally {
      this.#hold(-1);
    }
    if (this.#over) {
      forward.destroy();
      return;
    }
    this.#open.add(forward);
    this.#pipe({ forward, error, data, fail });
  }

  // While a connection is being made, what the client sends waits in its own socket.
  #hold(change: 1 | -1): void {
    this.#joining += change;
    if (this.#joining > 0) this.#options.transport.pause();
    else this.#options.transport.resume();
  }

  #pipe({ forward, error, data, fail }: Pipe): void {
    const { transport } = this.#options;
    const hold = holdBack(transport, forward);
    let hasRemoteEnded = false;
    data.handle({
      data: (bytes) => forward.write(bytes),
      ended: () => forward.end(),
      closed: () => {
        // kubectl resets the data as soon as it has the end of it; why it ended may still be on its way.
        if (hasRemoteEnded) return forward.end();
        this.#open.delete(forward);
        forward.destroy();
      },
    });
    forward.handle({
      data(bytes) {
        data.write(bytes);
        hold();
      },
      ended: () => {
        hasRemoteEnded = true;
        data.end();
      },
      closed: (cause) => {
        this.#open.delete(forward);
        if (cause !== undefined) fail(cause);
        else {
          error.end();
          data.end();
        }
      },
      congested: (full) => void (full ? transport.pause() : transport.resume()),
    });
  }
}

type Pipe = {
  readonly forward: ForwardStream;
  readonly error: SpdyStream;
  readonly data: SpdyStream;
  readonly fail: (cause: unknown) => void;
};
