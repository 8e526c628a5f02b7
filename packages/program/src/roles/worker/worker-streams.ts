import { createServer, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { NodeStreams, StreamTarget, UsageSource } from "@cortado/apiserver/ports";
import { jsonAnswer, type HttpHandler } from "@cortado/std/http";
import { nodeListener } from "@cortado/std/node/http";
import { StatusError } from "@cortado/std/status";
import { refuseUpgrade } from "./upgrade-refusal.ts";
import { removeVolumeFolder } from "./volume-folders.ts";

/** What an agent answers on the streams of its tunnel; the other side of `node-streams.ts`. The server has checked who asks. */
export function serveWorkerStreams(node: {
  readonly streams: NodeStreams;
  readonly usage: UsageSource;
}): (stream: Duplex) => void {
  const handle: HttpHandler = async (request) => {
    const { path, query, signal } = request;
    if (path === "/usage/nodes") return jsonAnswer(200, await node.usage.nodes());
    if (path === "/usage/pods") return jsonAnswer(200, await node.usage.pods(query.get("namespace") ?? ""));
    if (path === "/folders" && request.method === "DELETE") {
      await removeVolumeFolder(query.get("path") ?? "");
      return { status: 204 };
    }
    const target = readTarget(path, query, signal);
    if (target.subresource !== "log") throw unknown(path);
    return { status: 200, headers: { "content-type": "text/plain" }, body: await node.streams.log(target) };
  };
  const listener = createServer(nodeListener(handle));
  listener.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Uint8Array) => {
    const gone = new AbortController();
    socket.once("close", () => gone.abort());
    try {
      const url = new URL(request.url ?? "/", "http://node");
      node.streams.upgrade(readTarget(url.pathname, url.searchParams, gone.signal), {
        request,
        socket,
        head,
      });
    } catch (error) {
      refuseUpgrade(socket, error);
    }
  });
  return (stream) => void listener.emit("connection", stream);
}

function readTarget(path: string, query: URLSearchParams, signal: AbortSignal): StreamTarget {
  const [, kind, namespace, name, subresource] = path.split("/").map(decodeURIComponent);
  if (kind !== "pods" || namespace === undefined || name === undefined || subresource === undefined)
    throw unknown(path);
  const user = { name: "", groups: [] };
  return { user, resource: "pods", namespace, name, subresource, query, rest: "", signal };
}

function unknown(path: string): StatusError {
  return new StatusError("NotFound", `this agent has nothing at ${path}; is the server of another version?`);
}
