import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import { StatusError } from "@cortado/std/status";
import { acceptWebSocket, type AcceptedWebSocket } from "@cortado/wire/websocket";
import type { Clock } from "@cortado/std/clock";
import type { FromAgent, HubLink } from "../../protocol/protocol.ts";
import { MESSAGE_BYTES_MAX, SEND_LOOK_MS, SEND_WAITING_BYTES } from "../limits.ts";
import { certificateKeySha256 } from "../register/keys.ts";
import type { PeerIdentity } from "../ports.ts";

const OPEN_BRACE = 0x7b;

/** Who TLS says is there. @throws StatusError "Unauthorized" without a certificate of a store */
export function identityOf(socket: Duplex, nowMs: number): PeerIdentity {
  const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
  if (!(socket instanceof TLSSocket) || certificate === undefined)
    throw new StatusError("Unauthorized", "a store shows its certificate; register it first");
  const isExpired = certificate.validToDate.getTime() <= nowMs;
  const why = String(socket.authorizationError ?? "");
  // Dates are judged here, as an expired store is told to renew; everything else is for TLS to say.
  if (!socket.authorized && !(isExpired && why === "CERT_HAS_EXPIRED"))
    throw new StatusError("Unauthorized", `the certificate is not of this hub's authority (${why})`);
  const [, namespace, name] = /(?:^|\n)CN=([^/\n]+)\/([^/\n]+)(?:\n|$)/.exec(certificate.subject) ?? [];
  const isStore = /(?:^|\n)O=cortado:stores(?:\n|$)/.test(certificate.subject);
  if (!isStore || namespace === undefined || name === undefined)
    throw new StatusError("Forbidden", "the certificate is not one of a store");
  return {
    cluster: { namespace, name },
    keySha256: certificateKeySha256(certificate),
    isExpired,
    remote: `${socket.remoteAddress ?? ""}:${socket.remotePort ?? 0}`,
  };
}

/** Turns an upgrade request into a link; `serve` is called when it is one. */
export function acceptLink(
  asked: { readonly request: IncomingMessage; readonly socket: Duplex; readonly head: Uint8Array },
  clock: Clock,
  serve: (link: HubLink) => void,
): void {
  acceptWebSocket({
    request: asked.request,
    socket: asked.socket,
    head: Buffer.from(asked.head),
    protocols: [],
    messageBytesMax: MESSAGE_BYTES_MAX,
    accepted: (socket) => serve(new WebLink(socket, clock)),
  });
}

class WebLink implements HubLink {
  readonly #socket: AcceptedWebSocket;
  readonly #clock: Clock;
  readonly #inbox: (FromAgent | Uint8Array)[] = [];
  readonly #closed: AbortController = new AbortController();
  #wake: () => void = () => undefined;

  constructor(socket: AcceptedWebSocket, clock: Clock) {
    this.#socket = socket;
    this.#clock = clock;
    socket.handle({
      message: (bytes) => this.#take(bytes),
      closed: () => this.#end(),
    });
  }

  send(message: Parameters<HubLink["send"]>[0]): Promise<void> {
    return this.#out(() => this.#socket.sendText(JSON.stringify(message)));
  }

  async sendBytes(
    bytes: Uint8Array,
    { isPatient = false }: { readonly isPatient?: boolean } = {},
  ): Promise<void> {
    await this.#out(() => undefined);
    if (isPatient) await new Promise<void>((resolve) => this.#socket.send(bytes, resolve));
    else this.#socket.send(bytes);
  }

  async *messages(): AsyncIterable<FromAgent | Uint8Array> {
    for (;;) {
      for (let next = this.#inbox.shift(); next !== undefined; next = this.#inbox.shift()) {
        yield next;
        if (this.#inbox.length === 0) this.#socket.resume();
      }
      if (this.#closed.signal.aborted) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    this.#end();
    return Promise.resolve();
  }

  /** A store that does not take what it gets makes us wait, not grow. */
  async #out(write: () => void): Promise<void> {
    const { signal } = this.#closed;
    while (!signal.aborted && this.#socket.bufferedBytes > SEND_WAITING_BYTES)
      await this.#clock.sleep(SEND_LOOK_MS, { signal }).catch(() => undefined);
    if (signal.aborted) throw new StatusError("ServiceUnavailable", "the connection has ended");
    write();
  }

  #take(bytes: Uint8Array): void {
    try {
      const message =
        bytes[0] === OPEN_BRACE ? (JSON.parse(new TextDecoder().decode(bytes)) as FromAgent) : bytes;
      this.#inbox.push(message);
      this.#socket.pause();
      this.#wake();
    } catch {
      this.#socket.close({ code: 1007, reason: "a message is not JSON" });
    }
  }

  #end(): void {
    this.#closed.abort();
    this.#wake();
  }
}
