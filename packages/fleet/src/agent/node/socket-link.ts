import { WebSocket, type RawData } from "ws";
import { decodeJson, encodeJson } from "@cortado/wire/json";
import { messageOf, StatusError } from "@cortado/std/status";
import type { Link } from "../../protocol/protocol.ts";
import { INBOX_BYTES_MAX, SEND_BYTES_MAX } from "../limits.ts";

/** One end of a connection over an open WebSocket: JSON as text messages, the rest as binary ones. */
export function socketLink<In, Out>(socket: WebSocket, line: { readonly bytesRead: number }): Link<In, Out> {
  const inbox = new Inbox<In>(socket);
  const send = (data: Uint8Array, { binary, isPatient = false }: Sending): Promise<void> =>
    new Promise((resolve, reject) => {
      const failed = (cause?: Error): void =>
        reject(new StatusError("ServiceUnavailable", "the connection to the hub has ended", { cause }));
      if (socket.readyState !== WebSocket.OPEN) return failed();
      // Below the mark a message is as good as sent; above it the sender waits until the line has taken it.
      const waits = isPatient || socket.bufferedAmount + data.length > SEND_BYTES_MAX;
      socket.send(data, { binary }, (error) => {
        if (error !== undefined && error !== null) failed(error);
        else resolve();
      });
      if (!waits) resolve();
    });
  return {
    send: (message) => send(encodeJson(message), { binary: false }),
    sendBytes: (bytes, options) => send(bytes, { ...options, binary: true }),
    get heardBytes() {
      return line.bytesRead;
    },
    messages: () => inbox.read(),
    [Symbol.asyncDispose]: () => inbox.close(),
  };
}

type Sending = { readonly binary: boolean; readonly isPatient?: boolean };

class Inbox<In> {
  readonly #socket: WebSocket;
  readonly #items: { readonly message: In | Uint8Array; readonly bytes: number }[] = [];
  #bytes = 0;
  #isOver = false;
  #failure: StatusError | undefined;
  #wake: () => void = () => undefined;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (data, isBinary) => this.#put(data, isBinary));
    socket.on("error", () => undefined); // "close" follows and is what counts
    socket.once("close", () => {
      this.#isOver = true;
      this.#wake();
    });
  }

  async *read(): AsyncIterable<In | Uint8Array> {
    for (;;) {
      for (let item = this.#items.shift(); item !== undefined; item = this.#items.shift()) {
        this.#bytes -= item.bytes;
        if (this.#bytes <= INBOX_BYTES_MAX) this.#socket.resume();
        yield item.message;
      }
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#isOver) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async close(): Promise<void> {
    if (this.#socket.readyState === WebSocket.CLOSED) return;
    const closed = new Promise<void>((resolve) => void this.#socket.once("close", () => resolve()));
    // No farewell: a line that is dead answers none, and what the hub has not acknowledged is sent again.
    this.#socket.terminate();
    await closed;
  }

  #put(data: RawData, isBinary: boolean): void {
    const bytes = Array.isArray(data) ? Buffer.concat(data) : new Uint8Array(data as ArrayBuffer);
    try {
      this.#items.push({ message: isBinary ? bytes : (decodeJson(bytes) as In), bytes: bytes.length });
    } catch (error) {
      this.#failure = new StatusError(
        "BadRequest",
        `the hub sent a message that is no JSON: ${messageOf(error)}`,
      );
      this.#socket.terminate();
    }
    this.#bytes += bytes.length;
    if (this.#bytes > INBOX_BYTES_MAX) this.#socket.pause();
    this.#wake();
  }
}
