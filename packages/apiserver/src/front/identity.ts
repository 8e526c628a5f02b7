import type { Http2ServerRequest } from "node:http2";
import type { IncomingMessage } from "node:http";
import { TLSSocket } from "node:tls";
import { StatusError } from "@cortado/std/status";
import { anonymous, type ApiServer } from "../apiserver.ts";
import type { User } from "../api.ts";

/** Who sends this name and password (Basic); undefined: nobody we know. */
export type PasswordReader = (name: string, password: string) => Promise<User | undefined>;

export type ClientCertificate = {
  /** DER. */
  readonly raw: Uint8Array;
  readonly commonName: string;
  /** Signed by our authority and in its time; false: the reason is in `problem`. */
  readonly isValid: boolean;
  /** Node's word for it: "CERT_HAS_EXPIRED", … */
  readonly problem: string;
};

/** The certificate that the client showed, valid or not; undefined: none, or a plain connection. */
export function certificateOf(request: IncomingMessage | Http2ServerRequest): ClientCertificate | undefined {
  const { socket } = request;
  if (!(socket instanceof TLSSocket)) return undefined;
  const shown = shownBy(socket);
  if (shown?.raw === undefined) return undefined;
  const [commonName = ""] = [(shown.subject as Subject | undefined)?.CN ?? []].flat();
  return {
    raw: shown.raw,
    commonName,
    isValid: socket.authorized,
    problem: socket.authorized ? "" : String(socket.authorizationError),
  };
}

const read = new WeakMap<TLSSocket, ReturnType<TLSSocket["getPeerCertificate"]>>();

/** What the client showed; it is the same for as long as the connection lives, and taking it apart costs as much as a small request. */
function shownBy(socket: TLSSocket): ReturnType<TLSSocket["getPeerCertificate"]> | undefined {
  const known = read.get(socket) ?? socket.getPeerCertificate();
  if (known !== undefined && known !== null) read.set(socket, known);
  return known;
}

type Subject = { readonly CN?: string | string[]; readonly O?: string | string[] };

/** A client certificate says who asks, else a bearer token or a password does; nobody is anonymous. @throws StatusError "Unauthorized" */
export async function identify(
  request: IncomingMessage | Http2ServerRequest,
  options: { readonly server: ApiServer; readonly readPassword?: PasswordReader },
): Promise<User> {
  const { server, readPassword } = options;
  const { socket } = request;
  if (socket instanceof TLSSocket && socket.authorized) {
    const subject = shownBy(socket)?.subject as Subject | undefined;
    const [name] = [subject?.CN ?? []].flat();
    if (name !== undefined && name !== "")
      return { name, groups: [...new Set([...[subject?.O ?? []].flat(), "system:authenticated"])] };
  }
  const header = request.headers.authorization;
  const [, token] = /^bearer +(\S+)$/i.exec(header ?? "") ?? [];
  if (token !== undefined) return server.authenticate(token);
  const [, basic] = /^basic +(\S+)$/i.exec(header ?? "") ?? [];
  if (basic !== undefined && readPassword !== undefined) {
    const [name = "", ...password] = Buffer.from(basic, "base64").toString("utf8").split(":");
    const user = await readPassword(name, password.join(":"));
    if (user !== undefined) return user;
  }
  if (header !== undefined) throw new StatusError("Unauthorized", "Unauthorized");
  return anonymous;
}
