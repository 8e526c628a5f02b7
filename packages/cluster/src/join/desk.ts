import type { Client } from "@cortado/client";
import type { Secret } from "@cortado/kinds";
import { secrets } from "@cortado/kinds/resources";
import { jsonAnswer, type HttpAnswer, type HttpRequest } from "@cortado/std/http";
import type { Log } from "@cortado/std/log";
import type { Random } from "@cortado/std/random";
import { hasReason, StatusError } from "@cortado/std/status";
import type { Certificates } from "../certificates/certificates.ts";
import { NODE_CERTIFICATE_DAYS, PUBLIC_KEY_BYTES_MAX } from "../limits.ts";
import { hashNodePassword, isNodePassword } from "./node-password.ts";
import {
  JOINERS_GROUP,
  KUBELET_CERTIFICATE_PATH,
  NODE_NAME_HEADER,
  NODE_PASSWORD_HEADER,
  NODE_USER_PREFIX,
  NODES_GROUP,
  PROXY_CERTIFICATE_PATH,
  SETTINGS_PATH,
  type ClusterSettings,
} from "./protocol.ts";

/** Who asks, as the front knows them. */
export type JoinUser = { readonly name: string; readonly groups: readonly string[] };

export type JoinDeskPorts = {
  readonly client: Client;
  readonly certificates: Pick<Certificates, "certifyClient">;
  readonly settings: ClusterSettings;
  /** The server's own node: nobody else is it. */
  readonly ownNode: string;
  readonly random: Random;
  readonly log: Log;
};

type Asked = { readonly request: HttpRequest; readonly user: JoinUser };

/** Where machines join: hands out the cluster's settings, and certificates to who has the token and is who it was before. */
export class JoinDesk {
  readonly #ports: JoinDeskPorts;

  constructor(ports: JoinDeskPorts) {
    this.#ports = ports;
  }

  /** @throws StatusError "Unauthorized", "Forbidden" or "Invalid" that says what the machine can do */
  async handle(request: HttpRequest, user: JoinUser): Promise<HttpAnswer> {
    const door = this.#doors[`${request.method} ${request.path}`];
    if (door === undefined)
      throw new StatusError(
        "NotFound",
        `this server has nothing at ${request.method} ${request.path}; its agents open no port, so that they need no more than ${Object.keys(this.#doors).join(", ")}`,
      );
    if (!user.groups.includes(JOINERS_GROUP) && nodeOf(user) === undefined)
      throw new StatusError(
        "Unauthorized",
        "joining needs the token of this server, or a node's certificate",
      );
    return await door({ request, user });
  }

  readonly #doors: Readonly<Record<string, (asked: Asked) => Promise<HttpAnswer>>> = {
    [`GET ${SETTINGS_PATH}`]: () => Promise.resolve(jsonAnswer(200, this.#ports.settings)),
    [`POST ${KUBELET_CERTIFICATE_PATH}`]: (asked) => this.#certify(asked, { isProxy: false }),
    [`POST ${PROXY_CERTIFICATE_PATH}`]: (asked) => this.#certify(asked, { isProxy: true }),
  };

  async #certify({ request, user }: Asked, { isProxy }: { readonly isProxy: boolean }): Promise<HttpAnswer> {
    const name = nodeNameOf(request);
    const own = nodeOf(user);
    if (own !== undefined && own !== name)
      throw new StatusError("Forbidden", `node ${own} asks for a certificate of node ${name}`);
    await this.#checkIdentity(name, request.headers[NODE_PASSWORD_HEADER] ?? "");
    const publicKey = new TextDecoder().decode(await request.body({ bytesMax: PUBLIC_KEY_BYTES_MAX }));
    const subject = isProxy
      ? { commonName: "system:kube-proxy", organizations: [] }
      : { commonName: `${NODE_USER_PREFIX}${name}`, organizations: [NODES_GROUP] };
    const body = await this.#sign({ ...subject, publicKey });
    if (!isProxy)
      this.#ports.log.info("a node was given a certificate", { node: name, remote: request.remote });
    return { status: 200, headers: { "content-type": "application/x-pem-file" }, body };
  }

  async #sign(request: {
    readonly commonName: string;
    readonly organizations: readonly string[];
    readonly publicKey: string;
  }): Promise<string> {
    try {
      return await this.#ports.certificates.certifyClient({ ...request, days: NODE_CERTIFICATE_DAYS });
    } catch (cause) {
      throw new StatusError("Invalid", "the body is no public key in PEM (SPKI, P-256)", { cause });
    }
  }

  /** The first machine of a name keeps it: its password's hash is a Secret, and whoever comes later must have the same. */
  async #checkIdentity(name: string, password: string): Promise<void> {
    const { ownNode, client, random } = this.#ports;
    if (name === ownNode)
      throw new StatusError("Forbidden", `${name} is the server's own node; join with another --node-name`);
    if (password.length < PASSWORD_LENGTH_MIN)
      throw new StatusError(
        "Invalid",
        `header ${NODE_PASSWORD_HEADER} has no password of at least ${PASSWORD_LENGTH_MIN} letters`,
      );
    const signal = new AbortController().signal;
    const where = { name: passwordSecretOf(name), namespace: "kube-system" };
    for (;;) {
      const found = await client.get(secrets, { ...where, signal }).catch(absent);
      if (found !== undefined) {
        if (isNodePassword(password, textOf(found))) return;
        throw new StatusError(
          "Forbidden",
          `a machine with another password joined as node ${name} before; join with another --node-name, or, when that machine is gone for good, kubectl delete node ${name} (or its Secret ${where.name} in kube-system)`,
        );
      }
      const data = { hash: Buffer.from(hashNodePassword(password, random)).toString("base64") };
      try {
        await client.create(secrets, { metadata: where, type: "Opaque", immutable: true, data }, { signal });
        return;
      } catch (error) {
        if (!hasReason(error, "AlreadyExists")) throw error; // somebody was faster: its password counts
      }
    }
  }
}

/** A machine makes 32 letters; fewer could be guessed. */
const PASSWORD_LENGTH_MIN = 16;

/** K3s's name of the Secret that keeps a node's password. */
export function passwordSecretOf(node: string): string {
  return `${node}.node-password.k3s`;
}

/** The node that a certificate speaks for; undefined: no node. */
export function nodeOf({ name, groups }: JoinUser): string | undefined {
  return groups.includes(NODES_GROUP) && name.startsWith(NODE_USER_PREFIX)
    ? name.slice(NODE_USER_PREFIX.length)
    : undefined;
}

function nodeNameOf(request: HttpRequest): string {
  const name = request.headers[NODE_NAME_HEADER] ?? "";
  // Beside the rules of a Node's name, the Secret of its password has to have a name.
  if (/^[a-z0-9]([-a-z0-9.]{0,220}[a-z0-9])?$/.test(name)) return name;
  throw new StatusError(
    "Invalid",
    `header ${NODE_NAME_HEADER}: ${JSON.stringify(name)} is no node name; use small letters, digits and dashes`,
  );
}

function textOf(secret: Secret): string {
  return Buffer.from(secret.data?.["hash"] ?? "", "base64").toString("utf8");
}

function absent(error: unknown): undefined {
  if (hasReason(error, "NotFound")) return undefined;
  throw error;
}
