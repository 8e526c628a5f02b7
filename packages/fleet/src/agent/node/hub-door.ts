import { request, type IncomingMessage } from "node:http";
import { WebSocket } from "ws";
import { fromStatus, StatusError } from "@cortado/std/status";
import type { AgentLink, FromAgent, FromHub, RegisterAnswer } from "../../protocol/protocol.ts";
import { ANSWER_BYTES_MAX, CHUNK_BYTES_MAX, CONNECT_MS_MAX } from "../limits.ts";
import type { Credential, HubDoor, Trust } from "../ports.ts";
import { dialError, dialTls, type TlsDial } from "./tls-dial.ts";
import { socketLink } from "./socket-link.ts";

export type HubDoorOptions = {
  /** `https://HOST:PORT` */
  readonly url: string;
  /** `http://USER:PASSWORD@HOST:PORT`; absent: the hub is dialled directly. */
  readonly proxy?: string;
};

/** The hub over the network. @throws StatusError "Invalid" for a URL that is none */
export function openHubDoor(options: HubDoorOptions): HubDoor {
  const url = readUrl(options.url, "https:");
  const proxy = options.proxy === undefined ? undefined : readUrl(options.proxy, "http:");
  const dial: Omit<TlsDial, "signal"> = { url, ...(proxy === undefined ? {} : { proxy }) };
  const post = (path: string, body: unknown, trust: Trust): Promise<string> =>
    ask({ ...dial, ...trust }, { method: "POST", path, body: JSON.stringify(body) });
  return {
    readAuthority: ({ signal }) => ask({ ...dial, signal }, { method: "GET", path: "/cacerts" }),
    register: async (body, trust) =>
      JSON.parse(await post("/fleet/v1/register", body, trust)) as RegisterAnswer,
    async challenge(trust) {
      const text = await ask({ ...dial, ...trust }, { method: "GET", path: "/fleet/v1/challenge" });
      return (JSON.parse(text) as { readonly challenge: string }).challenge;
    },
    renew: async (body, trust) =>
      JSON.parse(await post("/fleet/v1/renew", body, trust)) as { readonly certificate: string },
    dial: (credential, trust) => connect({ ...dial, ...trust, credential }),
  };
}

function readUrl(text: string, protocol: string): URL {
  const url = URL.parse(text);
  if (url !== null && url.protocol === protocol) return url;
  throw new StatusError("Invalid", `${JSON.stringify(text)} is no URL of the form ${protocol}//HOST:PORT`);
}

type Asked = { readonly method: string; readonly path: string; readonly body?: string };

async function ask(dial: TlsDial, { method, path, body }: Asked): Promise<string> {
  const socket = await dialTls(dial);
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const asking = request({
    createConnection: () => socket,
    host: dial.url.host,
    method,
    path,
    headers: { host: dial.url.host, connection: "close", "content-type": "application/json" },
    signal: dial.signal,
    timeout: CONNECT_MS_MAX,
  });
  asking.once("response", resolve);
  asking.once("timeout", () => asking.destroy(new Error("no answer in time")));
  asking.on("error", (cause) => reject(dialError(dial.url, cause)));
  asking.end(body);
  try {
    const answer = await promise;
    const text = await readText(answer, dial.url);
    if ((answer.statusCode ?? 500) < 400) return text;
    throw statusOf(answer.statusCode ?? 500, text);
  } finally {
    socket.destroy();
  }
}

async function readText(answer: IncomingMessage, url: URL): Promise<string> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const piece of answer as AsyncIterable<Buffer>) {
      pieces.push(piece);
      bytes += piece.length;
      if (bytes > ANSWER_BYTES_MAX)
        throw new StatusError(
          "RequestEntityTooLarge",
          `${url.host} answers more than ${ANSWER_BYTES_MAX} bytes`,
        );
    }
  } catch (cause) {
    throw dialError(url, cause);
  }
  return Buffer.concat(pieces).toString("utf8");
}

function statusOf(code: number, text: string): StatusError {
  try {
    const status = JSON.parse(text) as { readonly kind?: string };
    if (status.kind === "Status") return fromStatus(status);
  } catch {
    // Not a Status: a proxy or another server answers.
  }
  return fromStatus({ code, message: `the hub answers ${code}: ${text.slice(0, 200)}` });
}

async function connect(dial: TlsDial & { readonly credential: Credential }): Promise<AgentLink> {
  const tls = await dialTls(dial);
  const socket = new WebSocket(new URL("/fleet/v1/connect", dial.url.href.replace(/^https/, "wss")), {
    createConnection: () => tls,
    perMessageDeflate: false,
    maxPayload: CHUNK_BYTES_MAX,
    handshakeTimeout: CONNECT_MS_MAX,
    followRedirects: false,
  });
  // The first messages may come with the answer: who reads is there before they do.
  const link = socketLink<FromHub, FromAgent>(socket, tls);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once("open", resolve);
  socket.once("error", (cause) => reject(dialError(dial.url, cause)));
  socket.once("unexpected-response", (asking, answer) => {
    readText(answer, dial.url)
      .then((text) => reject(statusOf(answer.statusCode ?? 500, text)), reject)
      .finally(() => asking.destroy());
  });
  const stop = (): void => socket.terminate();
  dial.signal.addEventListener("abort", stop, { once: true });
  socket.once("close", () => dial.signal.removeEventListener("abort", stop));
  await promise;
  return link;
}
