import { createHash } from "node:crypto";
import { StatusError } from "@cortado/std/status";

/** What a machine joins with, in K3s's grammar. */
export type JoinToken = {
  /** SHA-256 of the server's authority (its PEM file), in hex; undefined: a short token, which says nothing of the server. */
  readonly authorityHash: string | undefined;
  /** What proves to the server that it may join. */
  readonly credential:
    | { readonly kind: "password"; readonly user: string; readonly password: string }
    | { readonly kind: "bootstrap"; readonly token: string };
};

/** kubeadm's form, which K3s takes too: the id of a Secret, and its secret. */
const bootstrapForm = /^[a-z0-9]{6}\.[a-z0-9]{16}$/;
const secureForm = /^K10([0-9a-f]{64})::(.+)$/i;

/**
 * Reads `PASSWORD` (short), `K10HASH::USER:PASSWORD` (secure), or a bootstrap token `ID.SECRET` in either form.
 * @throws StatusError "Invalid" that does not repeat the token
 */
export function parseToken(text: string): JoinToken {
  const trimmed = text.trim();
  if (trimmed === "") throw invalid("it is empty");
  if (!trimmed.startsWith("K10")) {
    if (/\s/.test(trimmed)) throw invalid("it has spaces in it");
    return { authorityHash: undefined, credential: credentialOf(trimmed, "node") };
  }
  const [, hash, rest = ""] = secureForm.exec(trimmed) ?? [];
  if (hash === undefined)
    throw invalid(
      "after K10 come the 64 hex digits of the authority's hash, two colons, a user and a password",
    );
  const colon = rest.indexOf(":");
  const credential = bootstrapForm.test(rest)
    ? credentialOf(rest, "")
    : credentialOf(rest.slice(colon + 1), colon < 0 ? "" : rest.slice(0, colon));
  if (credential.kind === "password" && (credential.user === "" || credential.password === ""))
    throw invalid("after its two colons come a user, a colon and a password");
  return { authorityHash: hash.toLowerCase(), credential };
}

function credentialOf(secret: string, user: string): JoinToken["credential"] {
  return bootstrapForm.test(secret)
    ? { kind: "bootstrap", token: secret }
    : { kind: "password", user, password: secret };
}

function invalid(why: string): StatusError {
  return new StatusError(
    "Invalid",
    `the token cannot be used: ${why}; print it on the server with cortado token, or read DATA/server/token there`,
  );
}

/** The secure form of a server's secret. */
export function secureToken(
  authority: string,
  { user, password }: { user: string; password: string },
): string {
  return `K10${authorityHashOf(authority)}::${user}:${password}`;
}

/** SHA-256 of an authority's PEM, as it lies on the server's disk and as /cacerts answers it. */
export function authorityHashOf(pem: string): string {
  return createHash("sha256").update(pem).digest("hex");
}
