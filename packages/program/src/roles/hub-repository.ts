import type { FrontRoute } from "@cortado/apiserver/front/routes";
import type { Client } from "@cortado/client";
import type { Repositories } from "@cortado/fleet/git/repositories";
import { GitServer } from "@cortado/fleet/git/server";
import { gitRepos } from "@cortado/kinds/fleet";
import { secrets } from "@cortado/kinds/resources";
import { hasReason } from "@cortado/std/status";
import type { Ports } from "./api.ts";

/** The repository that a hub serves itself, and its GitRepo. */
const NAME = "coffee-shop";
const OWN_REPOSITORY = `${NAME}.git`;

/** The hub as it fetches from itself: it may read what its Git serves and nothing else. */
export const gitReader: { readonly name: string; readonly groups: readonly string[] } = {
  name: "git-reader",
  groups: ["cortado:git-readers"],
};

/** How the hub watches its own repository. */
export type OwnRepository = {
  readonly client: Client;
  readonly url: string;
  readonly namespace: string;
  /** Of `gitReader`. */
  readonly password: string;
  /** PEM of who signed the hub's own certificate. */
  readonly authority: string;
  readonly signal: AbortSignal;
};

/** Serves the hub's own repositories; the first time, seeds one and has it watched. */
export async function startGit(options: {
  /** Folder of the first commit's files; undefined: no repository is made. */
  readonly seed: string | undefined;
  readonly folder: string;
  readonly ports: Ports;
  readonly repositories: Repositories;
  readonly own: OwnRepository;
}): Promise<GitServer> {
  const { seed, folder, ports, repositories, own } = options;
  const { url, signal } = own;
  const git = new GitServer({
    folder,
    path: process.env["PATH"] ?? "/usr/bin",
    log: ports.log,
    pushed: (repository) => void repositories.wake(`${url}/git/${repository}`),
  });
  if (seed === undefined || (await git.has(OWN_REPOSITORY, signal))) return git;
  // Before the repository is there, so that a hub killed in between does it again.
  await watchOwnRepository(own);
  await git.seed({ repository: OWN_REPOSITORY, from: seed, message: "The coffee shop", signal });
  await repositories.wake(`${url}/git/${OWN_REPOSITORY}`);
  return git;
}

/** A GitRepo of the hub's own repository. Made once: who deletes it does not get it back. */
async function watchOwnRepository(own: OwnRepository): Promise<void> {
  const { client, url, namespace, password, authority, signal } = own;
  const base64 = (text: string): string => Buffer.from(text, "utf8").toString("base64");
  const secret = `${NAME}-git`;
  const ifNew = (error: unknown): void => {
    if (!hasReason(error, "AlreadyExists")) throw error;
  };
  const credential = { username: base64(gitReader.name), password: base64(password) };
  await client
    .create(
      secrets,
      { metadata: { name: secret, namespace }, type: "kubernetes.io/basic-auth", data: credential },
      { signal },
    )
    .catch(ifNew);
  const spec = {
    repo: `${url}/git/${OWN_REPOSITORY}`,
    branch: "main",
    clientSecretName: secret,
    caBundle: base64(authority),
  };
  await client.create(gitRepos, { metadata: { name: NAME, namespace }, spec }, { signal }).catch(ifNew);
}

/** `/git/NAME.git`: for the one who runs the hub, and for the hub itself to read. */
export function gitRoute(git: GitServer): FrontRoute {
  const maySee = (groups: readonly string[], path: string, service: string | null): boolean =>
    groups.includes("system:masters") ||
    (groups.includes("cortado:git-readers") &&
      (path.endsWith("/git-upload-pack") || service === "git-upload-pack"));
  return {
    path: "/git/",
    handle(request, { user }) {
      if (maySee(user.groups, request.path, request.query.get("service")))
        return git.handle(request, { path: request.path.slice("/git".length), user: user.name });
      return Promise.resolve({
        status: 401,
        headers: { "www-authenticate": 'Basic realm="cortado hub"' },
        body: "say who you are\n",
      });
    },
  };
}
