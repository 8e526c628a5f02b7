import type { Client, Stored } from "@cortado/client";
import { keyOf } from "@cortado/client/informer";
import type { GitRepo } from "@cortado/kinds/fleet";
import { StatusError } from "@cortado/std/status";
import type { GitRemote } from "./git.ts";
import type { GitHubApps } from "./github-app.ts";
import { readLogin } from "./repository-secrets.ts";

export type RemotePorts = {
  readonly client: Client;
  readonly githubApps?: GitHubApps;
  readonly signal: AbortSignal;
};

/** Where a GitRepo is and who looks at it. @throws StatusError for a Secret that is not there, is not whole, or that GitHub does not take */
export async function remoteOf(repo: Stored<GitRepo>, ports: RemotePorts): Promise<GitRemote> {
  const { spec, metadata } = repo;
  const { client, githubApps, signal } = ports;
  const secret = { namespace: metadata.namespace ?? "", name: spec.clientSecretName };
  const login = await readLogin(client, secret, signal);
  const remote: GitRemote = {
    url: spec.repo,
    ...(spec.caBundle === undefined || spec.caBundle === ""
      ? {}
      : { authority: Buffer.from(spec.caBundle, "base64").toString("utf8") }),
    ...(spec.insecureSkipTLSVerify === true ? { insecureSkipTlsVerify: true } : {}),
  };
  if (login === undefined) return remote;
  if (login.kind !== "app") return { ...remote, login };
  if (githubApps === undefined)
    throw new StatusError("NotImplemented", "a GitHub App cannot log in here; use a token");
  return { ...remote, login: await githubApps.login(login, remote, { for: keyOf(repo), signal }) };
}
