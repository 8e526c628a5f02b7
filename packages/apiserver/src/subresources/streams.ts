import { StatusError } from "@cortado/std/status";
import type { Tree } from "@cortado/kinds/tree";
import type { ApiResponse } from "../api.ts";
import { notFound } from "../errors.ts";
import type { NodeStreams, StreamTarget } from "../ports.ts";
import type { Call } from "../server.ts";
import { readObject } from "../storage/records.ts";

export function targetOf({ info, query, user, signal }: Call): StreamTarget {
  return {
    user,
    resource: info.plural as StreamTarget["resource"],
    subresource: info.subresource,
    namespace: info.namespace,
    name: info.name,
    query,
    rest: info.rest,
    signal,
  };
}

/** Logs and proxies, which answer over plain HTTP; exec and its like come in as upgrades. */
export async function serveStream(call: Call, streams: NodeStreams): Promise<ApiResponse> {
  const { info, kind, server } = call;
  if (info.subresource !== "proxy") await mustExist(call);
  if (info.subresource === "log") {
    const body = await streams.log(targetOf(call));
    return { status: 200, headers: { "content-type": "text/plain" }, body: { kind: "pieces", pieces: body } };
  }
  if (info.subresource === "proxy") {
    const sent = call.request.body instanceof Uint8Array ? call.request.body : new Uint8Array();
    const answer = await streams.proxy(targetOf(call), {
      method: call.request.method,
      headers: call.request.headers ?? {},
      body: sent,
    });
    return { status: answer.status, headers: answer.headers, body: { kind: "pieces", pieces: answer.body } };
  }
  server.log.debug("a stream was asked for without an upgrade", {
    resource: kind.plural,
    subresource: info.subresource,
  });
  throw new StatusError(
    "BadRequest",
    "unable to upgrade: missing upgrade headers in request; use a client that speaks WebSocket or SPDY",
  );
}

async function mustExist(call: Call): Promise<Tree> {
  const found = await readObject(call.server.store, call.kind, call.info);
  if (found === undefined) throw notFound({ ...call.kind, name: call.info.name });
  return found;
}
