import { StatusError } from "@cortado/std/status";
import type { GitLogin, GitRemote, Waiting } from "./git.ts";

/** What a Secret says of a GitHub App (fleet.md 4): its number, where it is installed, and the PEM of its key. */
export type GitHubApp = {
  readonly appId: string;
  readonly installationId: string;
  readonly privateKey: string;
};

/** Logins of GitHub Apps: each is good for an hour and is asked for again before its end. */
export interface GitHubApps {
  /** @throws StatusError with what GitHub said, "Invalid" for a key that is none, "ServiceUnavailable" when nobody answers */
  login(app: GitHubApp, remote: GitRemote, options: Waiting & { readonly for: string }): Promise<GitLogin>;
  /** What it was for did not go well: the next login for that is a new one. */
  forget(purpose: string): void;
}

/** Where the API of a remote is: github.com has an address of its own, a server of one's own has it beside. @throws StatusError "Invalid" */
export function githubApi(remote: string): string {
  const url = URL.parse(remote);
  if (url?.protocol !== "https:")
    throw new StatusError(
      "Invalid",
      `a GitHub App logs in over https, and ${JSON.stringify(remote)} is another address`,
    );
  return url.host === "github.com" ? "https://api.github.com" : `https://${url.host}/api/v3`;
}
