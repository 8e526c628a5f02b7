import type { Client, Stored } from "@cortado/client";
import type { GitRepo } from "@cortado/kinds/fleet";
import type { Secret } from "@cortado/kinds";
import { secrets } from "@cortado/kinds/resources";
import { hasReason, StatusError } from "@cortado/std/status";
import type { GitLogin, GitSigners } from "./git.ts";
import type { GitHubApp } from "./github-app.ts";

/** Fleet's default: used when it is there. */
const DEFAULT_SECRET = "gitcredential";
/** Names the Secret whose key `allowed_signers` says who may sign commits; without it none is asked for. */
export const SIGNERS_ANNOTATION = "fleet.cortado.dev/allowed-signers";

/** The login of a remote (fleet.md 4). @throws StatusError "NotFound", or "Invalid" that names the key that is missing */
export async function readLogin(
  client: Client,
  secret: { readonly namespace: string; readonly name: string | undefined },
  signal: AbortSignal,
): Promise<GitLogin | ({ readonly kind: "app" } & GitHubApp) | undefined> {
  const named = secret.name !== undefined && secret.name !== "";
  const name = named ? (secret.name as string) : DEFAULT_SECRET;
  let found: Stored<Secret>;
  try {
    found = await client.get(secrets, { namespace: secret.namespace, name, signal });
  } catch (error) {
    if (!named && hasReason(error, "NotFound")) return undefined;
    throw error;
  }
  const about = `Secret ${secret.namespace}/${name}`;
  const need = (key: string): string => {
    const value = textOf(found, key);
    if (value === "") throw new StatusError("Invalid", `${about} has no key ${key}`);
    return value;
  };
  if (textOf(found, "ssh-privatekey") !== "")
    return { kind: "ssh", privateKey: need("ssh-privatekey"), knownHosts: need("known_hosts") };
  if (textOf(found, "github_app_id") !== "")
    return {
      kind: "app",
      appId: need("github_app_id").trim(),
      installationId: need("github_app_installation_id").trim(),
      privateKey: need("github_app_private_key"),
    };
  return { kind: "password", username: textOf(found, "username"), password: need("password") };
}

export async function readSigners(
  client: Client,
  { metadata }: Stored<GitRepo>,
  signal: AbortSignal,
): Promise<GitSigners | undefined> {
  const name = metadata.annotations?.[SIGNERS_ANNOTATION];
  if (name === undefined) return undefined;
  const secret = await client.get(secrets, { namespace: metadata.namespace ?? "", name, signal });
  const allowedSigners = textOf(secret, "allowed_signers");
  if (allowedSigners === "")
    throw new StatusError("Invalid", `Secret ${metadata.namespace}/${name} has no key allowed_signers`);
  return { allowedSigners };
}

/** A key of a Secret as text; empty: it is not there. */
export function textOf(secret: Stored<Secret>, key: string): string {
  return Buffer.from(secret.data?.[key] ?? "", "base64").toString("utf8");
}
