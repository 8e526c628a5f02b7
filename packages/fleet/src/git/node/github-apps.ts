import { createHash, createPrivateKey, sign, type KeyObject } from "node:crypto";
import { request as requestPlain, type IncomingMessage, type RequestOptions } from "node:http";
import { request as requestSecure } from "node:https";
import type { Clock } from "@cortado/std/clock";
import { StatusError, type StatusReason } from "@cortado/std/status";
import type { GitLogin, GitRemote, Waiting } from "../git.ts";
import { githubApi, type GitHubApp, type GitHubApps } from "../github-app.ts";
import {
  GITHUB_ANSWER_BYTES_MAX,
  GITHUB_ASK_MS_MAX,
  GITHUB_CLAIM_BACK_S,
  GITHUB_CLAIM_S,
  GITHUB_FORGET_MS,
  GITHUB_TOKEN_SPARE_MS,
} from "../limits.ts";

export type GitHubAppsOptions = {
  readonly clock: Clock;
  /** Where the API of a remote is; absent: GitHub's rule. */
  readonly apiOf?: (remote: string) => string;
};

type Token = { readonly token: string; readonly untilMs: number };
type Known = { readonly id: string; readonly madeMs: number; readonly token: Promise<Token> };

/** Installation tokens from GitHub's API, kept in memory until shortly before their end. */
export function newGitHubApps({ clock, apiOf = githubApi }: GitHubAppsOptions): GitHubApps {
  const known = new Map<string, Known>();
  return {
    async login(app, remote, { for: purpose, signal }): Promise<GitLogin> {
      const nowMs = clock.nowMs();
      const api = apiOf(remote.url);
      const id = idOf(app, api);
      const before = known.get(purpose);
      const found = before?.id === id ? await before.token.catch(() => undefined) : undefined;
      if (found !== undefined && found.untilMs - GITHUB_TOKEN_SPARE_MS > nowMs) return loginOf(found);
      const path = `/app/installations/${encodeURIComponent(app.installationId)}/access_tokens`;
      const jwt = claimOf(app, Math.floor(nowMs / 1_000));
      const token = exchange(`${api}${path}`, { jwt, remote, app, signal });
      known.set(purpose, { id, madeMs: nowMs, token });
      return loginOf(await token);
    },
    forget(purpose) {
      const { madeMs = 0 } = known.get(purpose) ?? {};
      // A remote that is down is not asked for more often than that.
      if (clock.nowMs() - madeMs >= GITHUB_FORGET_MS) known.delete(purpose);
    },
  };
}

/** As GitHub wants it of git (docs.github.com, "Authenticating as a GitHub App installation"). */
function loginOf({ token }: Token): GitLogin {
  return { kind: "password", username: "x-access-token", password: token };
}

function idOf({ appId, installationId, privateKey }: GitHubApp, api: string): string {
  const text = JSON.stringify([appId, installationId, privateKey, api]);
  return createHash("sha256").update(text).digest("hex");
}

/** A JSON Web Token by which the app says who it is, for a few minutes (RFC 7519, RS256). */
function claimOf(app: GitHubApp, nowS: number): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  // A minute back, as GitHub advises: its clock may be behind ours.
  const claims = { iat: nowS - GITHUB_CLAIM_BACK_S, exp: nowS + GITHUB_CLAIM_S, iss: app.appId };
  const text = `${part({ alg: "RS256", typ: "JWT" })}.${part(claims)}`;
  return `${text}.${sign("sha256", Buffer.from(text), keyOf(app)).toString("base64url")}`;
}

function keyOf({ appId, privateKey }: GitHubApp): KeyObject {
  let key: KeyObject | undefined;
  try {
    key = createPrivateKey(privateKey);
  } catch {
    // Said below, without a word of the key.
  }
  if (key?.asymmetricKeyType === "rsa") return key;
  throw new StatusError("Invalid", `github_app_private_key of GitHub App ${appId} is no PEM of an RSA key`);
}

type Asking = Waiting & { readonly jwt: string; readonly remote: GitRemote; readonly app: GitHubApp };

const reasons: Readonly<Record<number, StatusReason>> = {
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
};

async function exchange(address: string, { jwt, remote, app, signal }: Asking): Promise<Token> {
  const url = new URL(address);
  const about = `GitHub App ${app.appId}, installation ${app.installationId}: ${url.host}`;
  const headers = {
    accept: "application/vnd.github+json",
    authorization: `Bearer ${jwt}`,
    "user-agent": "cortado",
    "x-github-api-version": "2022-11-28",
    "content-length": "0",
  };
  const { authority, insecureSkipTlsVerify } = remote;
  const trust = {
    ...(authority === undefined ? {} : { ca: authority }),
    ...(insecureSkipTlsVerify === true ? { rejectUnauthorized: false } : {}),
  };
  const patience = AbortSignal.any([signal, AbortSignal.timeout(GITHUB_ASK_MS_MAX)]);
  const { status, text } = await send(url, { method: "POST", headers, signal: patience, ...trust }).catch(
    (cause: unknown) => {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new StatusError("ServiceUnavailable", `${about} does not answer: ${why}`, { cause });
    },
  );
  const { token, expires_at: until, message } = read(text);
  if (status !== 201)
    throw new StatusError(reasons[status] ?? "ServiceUnavailable", `${about} answers ${status}: ${message}`);
  const untilMs = Date.parse(until);
  if (token !== "" && Number.isFinite(untilMs)) return { token, untilMs };
  throw new StatusError("ServiceUnavailable", `${about} answers without a token; is it GitHub?`);
}

function send(
  url: URL,
  options: RequestOptions,
): Promise<{ readonly status: number; readonly text: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const asking = (url.protocol === "https:" ? requestSecure : requestPlain)(url, options);
  asking.once("response", resolve);
  asking.on("error", reject);
  asking.end();
  return promise.then(async (answer) => {
    const parts: Buffer[] = [];
    let bytes = 0;
    for await (const part of answer as AsyncIterable<Buffer>) {
      bytes += part.byteLength;
      if (bytes > GITHUB_ANSWER_BYTES_MAX) throw new Error(`more than ${GITHUB_ANSWER_BYTES_MAX} bytes`);
      parts.push(part);
    }
    return { status: answer.statusCode ?? 0, text: Buffer.concat(parts).toString("utf8") };
  });
}

type Answer = { readonly token: string; readonly expires_at: string; readonly message: string };

function read(text: string): Answer {
  const empty = { token: "", expires_at: "", message: text.slice(0, 200) };
  try {
    const value = JSON.parse(text) as unknown;
    return typeof value === "object" && value !== null ? { ...empty, ...(value as Partial<Answer>) } : empty;
  } catch {
    return empty;
  }
}
