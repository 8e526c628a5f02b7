import { createHash, timingSafeEqual } from "node:crypto";
import { readFile, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { parseToken, secureToken } from "@cortado/cluster/join/token";
import type { Files } from "@cortado/std/files";
import type { Random } from "@cortado/std/random";
import { StatusError } from "@cortado/std/status";
import type { ServerConfig } from "./config/server-config.ts";

/** What machines join with. */
export type JoinTokens = { readonly server: string; readonly agent: string };

type Ports = { readonly files: Files; readonly random: Random };

/**
 * The secrets that machines join with: those that the settings name, else those of earlier starts, else new ones. They lie in
 * DATA/server as K3s has them: token, agent-token if it is another, and node-token, which is the one that agents use.
 */
export async function openJoinTokens(
  config: Pick<ServerConfig, "dataDir" | "token" | "tokenFile" | "agentToken" | "agentTokenFile">,
  authority: string,
  { files, random }: Ports,
): Promise<JoinTokens> {
  const folder = join(config.dataDir, "server");
  const read = async (name: string): Promise<string | undefined> => {
    const bytes = await files.read(join(folder, name));
    return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
  };
  const write = async (name: string, text: string): Promise<void> => {
    if ((await read(name)) !== text) await files.replace(join(folder, name), new TextEncoder().encode(text));
  };
  const given = await givenSecret({ name: "token", text: config.token, path: config.tokenFile });
  const kept = await read("token");
  const server =
    given ??
    (kept === undefined ? Buffer.from(random.bytes(24)).toString("base64url") : passwordOf(kept, "token"));
  await write("token", `${secureToken(authority, { user: "server", password: server })}\n`);
  const agentWord = { name: "agent-token", text: config.agentToken, path: config.agentTokenFile };
  const agent = (await givenSecret(agentWord)) ?? server;
  if (agent !== server)
    await write("agent-token", `${secureToken(authority, { user: "node", password: agent })}\n`);
  await rm(join(folder, "node-token"), { force: true });
  await symlink(agent === server ? "token" : "agent-token", join(folder, "node-token"));
  return { server, agent };
}

async function givenSecret(given: {
  readonly name: string;
  readonly text: string | undefined;
  readonly path: string | undefined;
}): Promise<string | undefined> {
  const { name, text, path } = given;
  if (text !== undefined) return passwordOf(text, name);
  if (path === undefined) return undefined;
  const content = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new StatusError("NotFound", `${name}-file: ${path} cannot be read`, { cause });
  });
  return passwordOf(content, `${name}-file`);
}

function passwordOf(text: string, name: string): string {
  const { credential } = parseToken(text);
  if (credential.kind === "password") return credential.password;
  throw new StatusError(
    "Invalid",
    `${name}: a server's secret may not have the form of a bootstrap token, ID.SECRET`,
  );
}

/** Is it one of the secrets? */
export function isJoinSecret(tokens: JoinTokens, password: string): boolean {
  return [tokens.server, tokens.agent].some((secret) => same(secret, password));
}

function same(one: string, other: string): boolean {
  const hash = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(hash(one), hash(other));
}
