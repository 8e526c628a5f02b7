import type { ApiServer } from "@cortado/apiserver";
import type { ApiBody, User } from "@cortado/apiserver/api";
import type { Transport, TransportRequest, WatchEvent } from "@cortado/client/transport";
import { StatusError } from "@cortado/std/status";

/** The direct call into a server of the same process: no TLS and no JSON, but the same authorization and admission. */
export function inProcessTransport(server: ApiServer, user: User): Transport {
  const ask = ({ contentType, ...request }: TransportRequest): ReturnType<ApiServer["handle"]> => {
    const headers = {
      "user-agent": `cortado/${user.name}`,
      ...(contentType === undefined ? {} : { "content-type": contentType }),
    };
    return server.handle({ ...request, headers, user, form: "objects" });
  };
  return {
    async send(request) {
      const { status, body } = await ask(request);
      return { status, body: await plain(body) };
    },
    async *watch(request) {
      const { status, body } = await ask(request);
      if (body.kind === "watch") yield* body.events as AsyncIterable<WatchEvent>;
      else if (status >= 400) yield { type: "ERROR", object: await plain(body) };
      else throw new StatusError("InternalError", `${request.path} did not answer a watch`);
    },
  };
}

async function plain(body: ApiBody): Promise<unknown> {
  switch (body.kind) {
    case "object":
      return body.value;
    case "bytes":
      return new TextDecoder().decode(body.bytes);
    case "pieces": {
      const pieces: Uint8Array[] = [];
      for await (const piece of body.pieces) pieces.push(piece);
      return Buffer.concat(pieces).toString("utf8");
    }
    default:
      return undefined;
  }
}
