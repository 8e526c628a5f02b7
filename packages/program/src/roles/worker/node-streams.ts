import { request as httpRequest, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { refuseUpgrade } from "./upgrade-refusal.ts";
import type { NodeStreams, NodeUsage, PodUsage, StreamTarget, UsageSource } from "@cortado/apiserver/ports";
import type { Client } from "@cortado/client";
import type { Tunnels } from "@cortado/cluster/tunnel/server";
import { pods } from "@cortado/kinds/resources";
import type { Log } from "@cortado/std/log";
import { fromStatus, messageOf, StatusError } from "@cortado/std/status";

export type NodeStreamsOptions = {
  /** This process's own node. */
  readonly own: { readonly name: string; readonly streams: NodeStreams; readonly usage: UsageSource };
  readonly tunnels: Tunnels;
  readonly client: Client;
  readonly log: Log;
  readonly signal: AbortSignal;
};

/** Streams into the pods of every node: of our own directly, of others through the tunnel that their agent keeps. */
export function nodeStreams({ own, tunnels, client, signal }: NodeStreamsOptions): NodeStreams {
  const nodeOf = async (target: StreamTarget): Promise<string> => {
    if (target.resource !== "pods") return own.name;
    const { name, namespace } = target;
    const { spec } = await client.get(pods, { name, namespace, signal });
    if (spec?.nodeName !== undefined && spec.nodeName !== "") return spec.nodeName;
    throw new StatusError("BadRequest", `pod ${name} does not have a host assigned`);
  };
  return {
    async log(target) {
      const node = await nodeOf(target);
      if (node === own.name) return await own.streams.log(target);
      return await askNode(await tunnels.open(node, target), { path: pathOf(target), signal: target.signal });
    },
    upgrade(target, connection) {
      const pass = async (): Promise<void> => {
        const node = await nodeOf(target);
        if (node === own.name) own.streams.upgrade(target, connection);
        else passUpgrade(await tunnels.open(node, target), pathOf(target), connection);
      };
      pass().catch((error: unknown) => refuseUpgrade(connection.socket, error));
    },
    proxy: (target, request) => own.streams.proxy(target, request),
  };
}

/** What our own node and those that are connected use. One that does not answer is left out. */
export function nodeUsage({ own, tunnels, log }: NodeStreamsOptions): UsageSource {
  const ofAll = async <Row>(mine: Promise<readonly Row[]>, path: string): Promise<readonly Row[]> => {
    const others = tunnels.nodes.map(async (node) => {
      const { signal } = new AbortController();
      try {
        const answer = await askNode(await tunnels.open(node, { signal }), { path, signal });
        return JSON.parse(await textOf(answer)) as readonly Row[];
      } catch (error) {
        log.debug("a node does not tell its use", { node, problem: messageOf(error) });
        return [];
      }
    });
    return (await Promise.all([mine, ...others])).flat();
  };
  return {
    nodes: () => ofAll<NodeUsage>(own.usage.nodes(), "/usage/nodes"),
    pods: (namespace) =>
      ofAll<PodUsage>(own.usage.pods(namespace), `/usage/pods?namespace=${encodeURIComponent(namespace)}`),
  };
}

/** A request about a pod, as its agent is asked it. */
function pathOf({ namespace, name, subresource, query }: StreamTarget): string {
  const place = [namespace, name, subresource].map(encodeURIComponent).join("/");
  return `/pods/${place}?${query.toString()}`;
}

/** Asks an agent something over a stream. @throws StatusError as it says, or "ServiceUnavailable" when it breaks off */
export async function askNode(
  stream: Duplex,
  {
    method = "GET",
    path,
    signal,
  }: { readonly method?: string; readonly path: string; readonly signal: AbortSignal },
): Promise<IncomingMessage> {
  const asking = httpRequest({
    method,
    path,
    headers: { host: "node", connection: "close" },
    createConnection: () => stream,
  });
  const stop = (): void => void stream.destroy();
  signal.addEventListener("abort", stop, { once: true });
  stream.once("close", () => signal.removeEventListener("abort", stop));
  if (signal.aborted) stop();
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    asking.once("response", resolve);
    asking.on("error", (cause) =>
      reject(
        new StatusError("ServiceUnavailable", `the node's agent broke off: ${cause.message}`, { cause }),
      ),
    );
    asking.end();
  });
  if ((answer.statusCode ?? 500) < 400) return answer;
  const text = await textOf(answer);
  throw fromStatus(parsed(text));
}

async function textOf(answer: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of answer as AsyncIterable<Buffer>) pieces.push(piece);
  return Buffer.concat(pieces).toString("utf8");
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return { message: text };
  }
}

/** Who asks, and by what they are known, is not for nodes to see. */
const kept = /^(connection|upgrade|sec-websocket-.*|x-stream-protocol-version)$/;

/** Hands a connection over to a node, whose agent answers the upgrade itself. */
function passUpgrade(
  stream: Duplex,
  path: string,
  {
    request,
    socket,
    head,
  }: { readonly request: IncomingMessage; readonly socket: Duplex; readonly head: Uint8Array },
): void {
  const lines = [`${request.method ?? "GET"} ${path} HTTP/1.1`, "host: node"];
  for (let at = 0; at + 1 < request.rawHeaders.length; at += 2) {
    const [name = "", value = ""] = request.rawHeaders.slice(at, at + 2);
    if (kept.test(name.toLowerCase())) lines.push(`${name}: ${value}`);
  }
  stream.write(`${lines.join("\r\n")}\r\n\r\n`);
  if (head.byteLength > 0) stream.write(head);
  for (const [from, to] of [
    [stream, socket],
    [socket, stream],
  ] as const) {
    from.on("error", () => to.destroy());
    from.on("close", () => to.destroy());
    from.pipe(to);
  }
}
