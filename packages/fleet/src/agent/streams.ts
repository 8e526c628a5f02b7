import type { Log } from "@cortado/std/log";
import type { Connection } from "@cortado/std/net";
import { encodeFrame } from "../protocol/frames.ts";
import type { AgentLink } from "../protocol/protocol.ts";
import { STREAMS_MAX } from "./limits.ts";
import type { AgentPorts } from "./ports.ts";

type Stream = {
  connection: Connection | undefined;
  /** Bytes of the hub that came before the way in was open. */
  readonly early: Uint8Array[];
};

/** Streams that the hub opens into the store's API over this connection; they end with it. */
export class Streams implements Disposable {
  readonly #link: AgentLink;
  readonly #open: AgentPorts["openStream"];
  readonly #log: Log;
  readonly #streams: Map<number, Stream> = new Map();

  constructor(link: AgentLink, { openStream, log }: Pick<AgentPorts, "openStream" | "log">) {
    this.#link = link;
    this.#open = openStream;
    this.#log = log;
  }

  async open(number: number): Promise<void> {
    if (this.#open === undefined || this.#streams.has(number) || this.#streams.size >= STREAMS_MAX) {
      this.#log.warn("stream of the hub is closed at once", { stream: number, open: this.#streams.size });
      await this.#tellClosed(number);
      return;
    }
    const stream: Stream = { connection: undefined, early: [] };
    this.#streams.set(number, stream);
    try {
      const connection = await this.#open(number);
      if (this.#streams.get(number) !== stream) {
        connection.destroy();
        return;
      }
      stream.connection = connection;
      this.#pipe(number, connection);
      for (const bytes of stream.early.splice(0)) connection.write(bytes);
    } catch (error) {
      this.#log.warn("stream of the hub cannot be opened", { stream: number, error });
      this.#streams.delete(number);
      await this.#tellClosed(number);
    }
  }

  take(number: number, bytes: Uint8Array): void {
    const stream = this.#streams.get(number);
    if (stream?.connection === undefined) stream?.early.push(bytes);
    else stream.connection.write(bytes);
  }

  close(number: number): void {
    const stream = this.#streams.get(number);
    this.#streams.delete(number);
    stream?.connection?.end();
  }

  [Symbol.dispose](): void {
    for (const { connection } of this.#streams.values()) connection?.destroy();
    this.#streams.clear();
  }

  #pipe(number: number, connection: Connection): void {
    let sent: Promise<void> = Promise.resolve();
    connection.handle({
      data: (bytes) => {
        connection.pause();
        sent = sent
          .then(() => this.#link.sendBytes(encodeFrame({ kind: "stream", stream: number, bytes })))
          .then(
            () => connection.resume(),
            () => connection.destroy(),
          );
      },
      drained: () => undefined,
      closed: () => {
        if (!this.#streams.delete(number)) return;
        void sent.then(() => this.#tellClosed(number));
      },
    });
  }

  async #tellClosed(stream: number): Promise<void> {
    // A connection that ended has closed all its streams.
    await this.#link.send({ type: "close", stream }).catch(() => undefined);
  }
}
