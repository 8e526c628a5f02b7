import { RE2JS } from "@bufbuild/re2";
import type { Client, Stored } from "@cortado/client";
import type { GitRepo } from "@cortado/kinds/fleet";
import type { Secret } from "@cortado/kinds";
import { secrets } from "@cortado/kinds/resources";
import { fieldOf, isTree, textAt, type Tree } from "@cortado/kinds/tree";
import { messageOf, StatusError } from "@cortado/std/status";
import { parseYaml } from "@cortado/wire/yaml";
import { cleanPath } from "../compile/source/discover.ts";
import { globMatches } from "../compile/source/glob.ts";
import type { ChartLogin, ChartLogins } from "./chart-login.ts";
import { textOf } from "./repository-secrets.ts";

/** Key of the Secret of helmSecretNameForPaths. */
const PATHS_KEY = "secrets-path.yaml";

/**
 * Whom charts are fetched as: for addresses that begin as `helmRepoURLRegex` says, or for all without one. With `helmSecretNameForPaths` each
 * directory has its own login, or none; the other Secret is not looked at then, as in Fleet.
 * @throws StatusError "NotFound", or "Invalid" that names field and key
 */
export async function readChartLogins(
  client: Client,
  { metadata, spec }: Stored<GitRepo>,
  signal: AbortSignal,
): Promise<ChartLogins> {
  const { helmSecretName = "", helmSecretNameForPaths: forPaths = "", helmRepoURLRegex = "" } = spec;
  const name = forPaths === "" ? helmSecretName : forPaths;
  if (name === "") return () => undefined;
  const isFor = patternOf(helmRepoURLRegex);
  const { namespace = "" } = metadata;
  const secret = await client.get(secrets, { namespace, name, signal });
  const loginOf = forPaths === "" ? forAll(secret) : forEachPath(secret, `Secret ${namespace}/${name}`);
  return ({ address, path }) => (isFor(address) ? loginOf(path) : undefined);
}

type LoginOf = (path: string) => ChartLogin | undefined;

function forAll(secret: Stored<Secret>): LoginOf {
  const login = loginFrom({
    username: textOf(secret, "username"),
    password: textOf(secret, "password"),
    authority: textOf(secret, "cacerts"),
    insecureSkipTlsVerify: textOf(secret, "insecureSkipVerify") === "true",
    isPlainHttp: textOf(secret, "basicHTTP") === "true",
  });
  return () => login;
}

/** The login of the very path, or of the first pattern that it matches. */
function forEachPath(secret: Stored<Secret>, about: string): LoginOf {
  const wrong = (what: string): StatusError => new StatusError("Invalid", `${about}: ${PATHS_KEY} ${what}`);
  const logins = new Map<string, ChartLogin>();
  for (const [path, value] of Object.entries(mapOf(textOf(secret, PATHS_KEY), wrong))) {
    if (!isTree(value)) throw wrong(`has no username and password for path ${JSON.stringify(path)}`);
    if (textAt(value, "sshPrivateKey") !== "")
      throw wrong(
        `has sshPrivateKey for path ${JSON.stringify(path)}, and charts are not fetched over SSH here`,
      );
    const login = loginFrom({
      username: textAt(value, "username"),
      password: textAt(value, "password"),
      authority: Buffer.from(textAt(value, "caBundle"), "base64").toString("utf8"),
      insecureSkipTlsVerify: fieldOf(value, "insecureSkipVerify") === true,
      isPlainHttp: fieldOf(value, "basicHTTP") === true,
    });
    logins.set(cleanPath(path), login);
    checkPattern(path, wrong);
  }
  return (path) =>
    logins.get(cleanPath(path)) ??
    [...logins].find(([pattern]) => globMatches(pattern, cleanPath(path)))?.[1];
}

/** A pattern that is none is told now, and not when a path is looked for. */
function checkPattern(path: string, wrong: (what: string) => StatusError): void {
  try {
    globMatches(cleanPath(path), "");
  } catch (error) {
    throw wrong(`cannot be used: ${messageOf(error)}`);
  }
}

function mapOf(text: string, wrong: (what: string) => StatusError): Readonly<Tree> {
  if (text === "") throw wrong("is not there; it maps paths to username and password");
  let value: unknown;
  try {
    ({ value } = parseYaml(text));
  } catch {
    // The parser's words show passwords.
    throw wrong("is not YAML; mend it");
  }
  if (isTree(value)) return value;
  throw wrong("is no map of paths to username and password");
}

function loginFrom({
  username,
  password,
  authority,
  insecureSkipTlsVerify,
  isPlainHttp,
}: Required<ChartLogin>): ChartLogin {
  return {
    username,
    password,
    ...(authority === "" ? {} : { authority }),
    ...(insecureSkipTlsVerify ? { insecureSkipTlsVerify } : {}),
    ...(isPlainHttp ? { isPlainHttp } : {}),
  };
}

function patternOf(pattern: string): (address: string) => boolean {
  if (pattern === "") return () => true;
  try {
    const compiled = RE2JS.compile(`^(?:${pattern})`);
    return (address) => compiled.test(address);
  } catch (cause) {
    throw new StatusError(
      "Invalid",
      `spec.helmRepoURLRegex ${JSON.stringify(pattern)} is no regular expression; mend it`,
      { cause },
    );
  }
}
