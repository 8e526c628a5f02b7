import type { PasswordReader } from "@cortado/apiserver/front/identity";
import type { FrontRoute } from "@cortado/apiserver/front/routes";
import type { TokenReader } from "@cortado/apiserver/ports";
import type { Certificates } from "@cortado/cluster/certificates";
import { readBootstrapToken } from "@cortado/cluster/join/bootstrap";
import { JoinDesk, nodeOf } from "@cortado/cluster/join/desk";
import {
  AUTHORITY_PATH,
  JOIN_PATH,
  JOINERS_GROUP,
  TUNNEL_PATH,
  type ClusterSettings,
} from "@cortado/cluster/join/protocol";
import { Tunnels } from "@cortado/cluster/tunnel/server";
import type { Client } from "@cortado/client";
import { textAnswer } from "@cortado/std/http";
import { StatusError } from "@cortado/std/status";
import type { ServerConfig } from "../../config/server-config.ts";
import { isJoinSecret, type JoinTokens } from "../../join-tokens.ts";
import type { Ports } from "../api.ts";

export type JoinOptions = {
  readonly config: ServerConfig;
  readonly ports: Ports;
  readonly client: Client;
  readonly certificates: Certificates;
  readonly tokens: JoinTokens;
  readonly signal: AbortSignal;
};

type Opened = JoinOptions & { readonly desk: JoinDesk; readonly tunnels: Tunnels };

/** Where further nodes join, on the port of the API: shut until the server is so far. Nothing runs until a node comes. */
export class JoinDoors {
  #opened: Opened | undefined;

  /** Lets machines in, and answers where they will be connected. */
  open(options: JoinOptions): Tunnels {
    const { config, ports } = options;
    const settings = clusterSettings(config);
    const desk = new JoinDesk({ ...options, ...ports, settings, ownNode: config.nodeName });
    const tunnels = new Tunnels(ports);
    this.#opened = { ...options, desk, tunnels };
    return tunnels;
  }

  readonly routes: readonly FrontRoute[] = [
    {
      path: AUTHORITY_PATH,
      asksItself: true, // whoever joins does not know yet whom to trust
      handle: () => Promise.resolve(textAnswer(200, this.#open().certificates.serverCa)),
    },
    {
      path: JOIN_PATH,
      handle: (request, { user }) => this.#open().desk.handle(request, user),
      upgrade: (upgrading, { user }) => {
        const node = nodeOf(user);
        const [path] = (upgrading.request.url ?? "").split("?");
        if (path !== TUNNEL_PATH) throw new StatusError("NotFound", `there is nothing to upgrade at ${path}`);
        if (node === undefined)
          throw new StatusError(
            "Unauthorized",
            "a tunnel is for nodes, which show the certificate they joined for",
          );
        this.#open().tunnels.accept(node, upgrading);
      },
    },
  ];

  /** Lets in who shows a secret, to join and nothing else. */
  readonly readPassword: PasswordReader = async (name, password) => {
    const { tokens } = await Promise.resolve(this.#open());
    const isUser = name === "server" || name === "node";
    return isUser && isJoinSecret(tokens, password) ? { name, groups: [JOINERS_GROUP] } : undefined;
  };

  readonly readToken: TokenReader = async (token) => {
    if (this.#opened === undefined) return undefined;
    const { client, ports, signal } = this.#opened;
    return await readBootstrapToken(token, { client, nowMs: ports.clock.nowMs(), signal });
  };

  #open(): Opened {
    if (this.#opened === undefined) throw new StatusError("ServiceUnavailable", "the server is starting");
    return this.#opened;
  }
}

/** What every node of a server's cluster has alike. */
export function clusterSettings(config: ServerConfig): ClusterSettings {
  const { clusterCidr, serviceCidr, clusterDns, clusterDomain, flannelBackend, disable } = config;
  return { clusterCidr, serviceCidr, clusterDns, clusterDomain, flannelBackend, disable };
}
