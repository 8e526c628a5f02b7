import { createHash } from "node:crypto";
import { namespaces } from "@cortado/kinds/resources";
import { StatusError } from "@cortado/std/status";
import type { IdentityStore } from "./identity.ts";
import { RENEW_SHARE } from "./limits.ts";
import type { AgentOptions, AgentPorts, Trust } from "./ports.ts";

export type HubToken = { readonly authorityHash: string; readonly secret: string };

/** Reads `K10<SHA-256 hex of the hub's CA>::fleet:<secret>`. @throws StatusError "Invalid" */
export function parseToken(token: string): HubToken {
  const [, authorityHash, secret] = /^K10([0-9a-f]{64})::fleet:(.+)$/.exec(token.trim()) ?? [];
  if (authorityHash !== undefined && secret !== undefined) return { authorityHash, secret };
  throw new StatusError(
    "Invalid",
    "the hub's token is not of the form K10<hash>::fleet:<secret>; copy it whole from key token of the ClusterRegistrationToken's Secret",
  );
}

type Registering = {
  readonly options: AgentOptions;
  readonly ports: AgentPorts;
  readonly identity: IdentityStore;
  readonly signal: AbortSignal;
};

/** Makes sure that there is a certificate to dial with: registers the first time, renews what is old. */
export async function ensureCertificate(registering: Registering): Promise<Trust> {
  const { ports, identity, signal } = registering;
  if (identity.current.certificate === "") await register(registering);
  const trust = { authority: identity.current.authority, signal };
  const { fromMs, untilMs } = ports.keys.validity(identity.current.certificate);
  const isOld = ports.clock.nowMs() > fromMs + (untilMs - fromMs) * RENEW_SHARE;
  if (isOld) await renew(registering, trust);
  return trust;
}

async function register({ options, ports, identity, signal }: Registering): Promise<void> {
  if (options.token === undefined)
    throw new StatusError(
      "Unauthorized",
      "this store is not registered at the hub and was given no token; start it once with --hub-token",
    );
  const { authorityHash, secret: token } = parseToken(options.token);
  const authority = await ports.hub.readAuthority({ signal });
  const has = sha256(authority);
  if (has !== authorityHash)
    throw new StatusError(
      "Unauthorized",
      `the hub that answers is not the token's: its CA has hash ${has}, the token names ${authorityHash}; ` +
        "check the hub's URL and who stands between, then the token",
    );
  const clientId = options.clientId ?? (await clusterUid(ports, signal));
  const { privateKey } = identity.current;
  const proof = ports.keys.sign(privateKey, `register\n${clientId}\n${sha256(token)}`);
  const publicKey = ports.keys.publicOf(privateKey);
  const { labels } = options;
  const request = { token, clientId, labels, publicKey, proof };
  const answer = await ports.hub.register(
    options.name === undefined ? request : { ...request, name: options.name },
    { authority, signal },
  );
  const { namespace: clusterNamespace, name: clusterName } = answer.cluster;
  await identity.write({ authority, clusterNamespace, clusterName, certificate: answer.certificate });
  ports.log.info("store is registered at the hub", { cluster: `${clusterNamespace}/${clusterName}` });
}

/** The only door that an expired certificate opens, and it wants proof of the key. */
export async function renew({ ports, identity }: Registering, trust: Trust): Promise<void> {
  const { clusterNamespace: namespace, clusterName: name, privateKey } = identity.current;
  const challenge = await ports.hub.challenge(trust);
  const proof = ports.keys.sign(privateKey, `renew\n${namespace}/${name}\n${challenge}`);
  const { certificate } = await ports.hub.renew({ cluster: { namespace, name }, challenge, proof }, trust);
  await identity.write({ certificate });
  ports.log.info("certificate is renewed", { cluster: `${namespace}/${name}` });
}

async function clusterUid({ client }: AgentPorts, signal: AbortSignal): Promise<string> {
  return (await client.get(namespaces, { name: "kube-system", signal })).metadata.uid;
}

export function sha256(text: string | Uint8Array): string {
  return createHash("sha256").update(text).digest("hex");
}
