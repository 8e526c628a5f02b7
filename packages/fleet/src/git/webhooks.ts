import { createHmac, timingSafeEqual } from "node:crypto";
import { parseJson } from "@cortado/std/http";
import { StatusError } from "@cortado/std/status";

export { WEBHOOK_BYTES_MAX } from "./limits.ts";

export const webhookProviders = [
  "github",
  "gitlab",
  "bitbucket",
  "bitbucket-server",
  "gogs",
  "azure",
] as const;
export type WebhookProvider = (typeof webhookProviders)[number];

/** What a push told us. */
export type Push = {
  readonly provider: WebhookProvider;
  /** Addresses of the repository as the payload names them: web page, https, ssh. */
  readonly urls: readonly string[];
  readonly branch: string | undefined;
  readonly tag: string | undefined;
  /** Where the ref is now; undefined: it was deleted, or the payload does not say. */
  readonly commit: string | undefined;
};

/** Fleet's keys in the Secret `gitjob-webhook` or in the one that spec.webhookSecret names. */
export type WebhookSecrets = Readonly<Record<string, string>>;

type Headers = Readonly<Record<string, string>>;
type Json = { readonly [key: string]: unknown };

/** Which provider sends; undefined: not a webhook that we know. Gogs and Gitea also send GitHub's header, so theirs come first. */
export function providerOf(headers: Headers): WebhookProvider | undefined {
  if (headers["x-gogs-event"] !== undefined) return "gogs";
  if (headers["x-github-event"] !== undefined) return "github";
  if (headers["x-gitlab-event"] !== undefined) return "gitlab";
  if (headers["x-hook-uuid"] !== undefined) return "bitbucket";
  if (headers["x-event-key"] !== undefined) return "bitbucket-server";
  if (headers["x-vss-activityid"] !== undefined || headers["x-vss-subscriptionid"] !== undefined)
    return "azure";
  return undefined;
}

/**
 * Does the sender know the secret? Answers "unsigned" where there is none for its provider: what it says is not believed anyway, and it may
 * wake the hub now and then.
 * @throws StatusError "Unauthorized"
 */
export function checkWebhook(
  provider: WebhookProvider,
  webhook: { readonly headers: Headers; readonly body: Uint8Array; readonly secrets: WebhookSecrets },
): "signed" | "unsigned" {
  const { headers, body, secrets } = webhook;
  const refuse = (): never => {
    throw new StatusError("Unauthorized", `the secret of this ${provider} webhook is not the one of the hub`);
  };
  if (provider === "azure") {
    const { "azure-username": name, "azure-password": word } = secrets;
    if (name === undefined && word === undefined) return "unsigned";
    const given = /^basic +(\S+)$/i.exec(headers["authorization"] ?? "")?.[1] ?? "";
    if (!same(given, Buffer.from(`${name ?? ""}:${word ?? ""}`).toString("base64"))) refuse();
    return "signed";
  }
  const secret = secrets[provider];
  if (secret === undefined || secret === "") return "unsigned";
  const hmac = (kind: "sha256" | "sha1"): string => createHmac(kind, secret).update(body).digest("hex");
  const isRight = {
    github: () => same(headers["x-hub-signature-256"] ?? "", `sha256=${hmac("sha256")}`),
    gitlab: () => same(headers["x-gitlab-token"] ?? "", secret),
    bitbucket: () =>
      same(headers["x-hub-signature"] ?? "", `sha256=${hmac("sha256")}`) ||
      same(headers["x-hook-uuid"] ?? "", secret),
    "bitbucket-server": () => same(headers["x-hub-signature"] ?? "", `sha256=${hmac("sha256")}`),
    gogs: () => same(headers["x-gogs-signature"] ?? "", hmac("sha256")),
  };
  if (!isRight[provider]()) refuse();
  return "signed";
}

function same(given: string, wanted: string): boolean {
  const [one, other] = [Buffer.from(given), Buffer.from(wanted)];
  return one.byteLength === other.byteLength && timingSafeEqual(one, other);
}

/** Reads pushes of branches and tags; other events give none. @throws StatusError "BadRequest" when the body is not what the provider sends */
export function readPushes(provider: WebhookProvider, headers: Headers, body: Uint8Array): readonly Push[] {
  const payload = parseJson(body);
  if (!isObject(payload)) throw new StatusError("BadRequest", `a ${provider} webhook is a JSON object`);
  return readers[provider](payload, headers).map((push) => ({ provider, ...push }));
}

type Read = Omit<Push, "provider">;

const readers: Readonly<Record<WebhookProvider, (payload: Json, headers: Headers) => readonly Read[]>> = {
  github: (payload, headers) => (headers["x-github-event"] === "push" ? hubPush(payload) : []),
  gogs: (payload, headers) => (headers["x-gogs-event"] === "push" ? hubPush(payload) : []),
  gitlab(payload, headers) {
    if (!/^(Push|Tag Push) Hook$/.test(headers["x-gitlab-event"] ?? "")) return [];
    const project = objectAt(payload, "project");
    const urls = texts(project, "web_url", "git_http_url", "git_ssh_url");
    return [
      {
        urls,
        ...ofRef(textOf(payload["ref"])),
        commit: commitOf(payload["checkout_sha"] ?? payload["after"]),
      },
    ];
  },
  bitbucket(payload, headers) {
    if (headers["x-event-key"] !== "repo:push") return [];
    const links = objectAt(objectAt(payload, "repository"), "links");
    const urls = [textOf(objectAt(links, "html")["href"])].filter((url) => url !== "");
    return listAt(objectAt(payload, "push"), "changes").map((change) => {
      const next = objectAt(change, "new");
      const name = textOf(next["name"]);
      const isTag = next["type"] === "tag";
      return {
        urls,
        branch: isTag || name === "" ? undefined : name,
        tag: isTag ? name : undefined,
        commit: commitOf(objectAt(next, "target")["hash"]),
      };
    });
  },
  "bitbucket-server"(payload, headers) {
    if (headers["x-event-key"] !== "repo:refs_changed") return [];
    const links = objectAt(objectAt(payload, "repository"), "links");
    const urls = [...listAt(links, "clone"), ...listAt(links, "self")].map((link) => textOf(link["href"]));
    return listAt(payload, "changes").map((change) => ({
      urls,
      ...ofRef(textOf(objectAt(change, "ref")["id"])),
      commit: commitOf(change["toHash"]),
    }));
  },
  azure(payload) {
    if (payload["eventType"] !== "git.push") return [];
    const resource = objectAt(payload, "resource");
    const urls = texts(objectAt(resource, "repository"), "remoteUrl", "url", "webUrl");
    return listAt(resource, "refUpdates").map((update) => ({
      urls,
      ...ofRef(textOf(update["name"])),
      commit: commitOf(update["newObjectId"]),
    }));
  },
};

function hubPush(payload: Json): readonly Read[] {
  const urls = texts(objectAt(payload, "repository"), "html_url", "clone_url", "ssh_url");
  return [{ urls, ...ofRef(textOf(payload["ref"])), commit: commitOf(payload["after"]) }];
}

function ofRef(ref: string): Pick<Push, "branch" | "tag"> {
  const [, kind, name] = /^refs\/(heads|tags)\/(.+)$/.exec(ref) ?? [];
  return { branch: kind === "heads" ? name : undefined, tag: kind === "tags" ? name : undefined };
}

function commitOf(value: unknown): string | undefined {
  const text = textOf(value);
  return /^[0-9a-f]{40,64}$/.test(text) && !/^0+$/.test(text) ? text : undefined;
}

/** Is it the same repository? By host and path, whatever the scheme, user, port or `.git` (fleet.md 4). */
export function isSameRepository(one: string, other: string): boolean {
  const [first, second] = [placeOf(one), placeOf(other)];
  return first !== undefined && first === second;
}

function placeOf(url: string): string | undefined {
  const [, host, path] =
    /^[a-z][a-z0-9+.-]*:\/\/(?:[^/@]*@)?([^/:]+)(?::\d+)?\/(.+)$/i.exec(url) ??
    /^(?:[^@/]+@)?([^/:]+):(.+)$/.exec(url) ??
    [];
  if (host === undefined || path === undefined) return undefined;
  return `${host}/${path.replace(/^\/+|\/+$/g, "").replace(/\.git$/, "")}`.toLowerCase();
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function objectAt(value: Json, key: string): Json {
  const found = value[key];
  return isObject(found) ? found : {};
}

function listAt(value: Json, key: string): readonly Json[] {
  const found = value[key];
  return Array.isArray(found) ? found.filter(isObject) : [];
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function texts(value: Json, ...keys: readonly string[]): readonly string[] {
  return keys.map((key) => textOf(value[key])).filter((text) => text !== "");
}
