import { createPrivateKey, createPublicKey, createHash, type KeyObject } from "node:crypto";
import { StatusError } from "@cortado/std/status";
import type { Clock } from "@cortado/std/clock";
import type { Random } from "@cortado/std/random";
import { fieldOf, listAt, textAt, treeAt } from "@cortado/kinds/tree";
import type { User } from "../api.ts";

export type ServiceAccountKeys = {
  /** PEM of an EC P-256 or RSA private key; the first signs, all verify. */
  readonly privateKeys: readonly string[];
  readonly issuer: string;
  /** What a token is for when nobody says; the API server itself. */
  readonly audiences: readonly string[];
};

export type BoundTo = { readonly kind: string; readonly name: string; readonly uid: string };

export type TokenClaims = {
  readonly namespace: string;
  readonly account: string;
  readonly accountUid: string;
  readonly boundTo: BoundTo | undefined;
  readonly node: { readonly name: string; readonly uid: string } | undefined;
  readonly audiences: readonly string[];
  readonly seconds: number;
};

export type Verified = {
  readonly user: User;
  readonly namespace: string;
  readonly account: string;
  readonly accountUid: string;
  readonly boundTo: BoundTo | undefined;
  readonly audiences: readonly string[];
};

/** Writes and reads the tokens of service accounts: JWTs in upstream's form (kubernetes, pkg/serviceaccount/claims.go). */
export class ServiceAccountTokens {
  readonly #keys: readonly {
    readonly id: string;
    readonly secret: KeyObject;
    readonly open: KeyObject;
    readonly algorithm: "ES256" | "RS256";
  }[];
  readonly #options: ServiceAccountKeys;
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(options: ServiceAccountKeys, ports: { readonly clock: Clock; readonly random: Random }) {
    this.#options = options;
    this.#clock = ports.clock;
    this.#random = ports.random;
    this.#keys = options.privateKeys.map((pem) => {
      const secret = createPrivateKey(pem);
      const open = createPublicKey(secret);
      const id = createHash("sha256")
        .update(open.export({ type: "spki", format: "der" }))
        .digest("base64url");
      return {
        id,
        secret,
        open,
        algorithm: secret.asymmetricKeyType === "ec" ? ("ES256" as const) : ("RS256" as const),
      };
    });
  }

  get issuer(): string {
    return this.#options.issuer;
  }

  get audiences(): readonly string[] {
    return this.#options.audiences;
  }

  async sign(claims: TokenClaims): Promise<{ readonly token: string; readonly expiresMs: number }> {
    const { SignJWT } = await import("jose");
    const key = this.#keys[0];
    if (key === undefined)
      throw new StatusError(
        "ServiceUnavailable",
        "no key to sign service account tokens with; start the server with one",
      );
    const now = Math.floor(this.#clock.nowMs() / 1_000);
    const audiences = claims.audiences.length === 0 ? this.#options.audiences : claims.audiences;
    const own = {
      namespace: claims.namespace,
      serviceaccount: { name: claims.account, uid: claims.accountUid },
      ...(claims.boundTo === undefined
        ? {}
        : { [claims.boundTo.kind.toLowerCase()]: { name: claims.boundTo.name, uid: claims.boundTo.uid } }),
      ...(claims.node === undefined ? {} : { node: claims.node }),
    };
    const token = await new SignJWT({ "kubernetes.io": own })
      .setProtectedHeader({ alg: key.algorithm, kid: key.id })
      .setIssuer(this.#options.issuer)
      .setSubject(`system:serviceaccount:${claims.namespace}:${claims.account}`)
      .setAudience([...audiences])
      .setIssuedAt(now)
      .setNotBefore(now)
      .setExpirationTime(now + claims.seconds)
      .setJti(this.#random.uuid())
      .sign(key.secret);
    return { token, expiresMs: (now + claims.seconds) * 1_000 };
  }

  /** Who a token is; undefined when it is none of ours. Whether its account still lives is the caller's to check. */
  async verify(token: string, audiences: readonly string[]): Promise<Verified | undefined> {
    if (token.split(".").length !== 3) return undefined;
    const { jwtVerify, decodeProtectedHeader } = await import("jose");
    try {
      const { kid } = decodeProtectedHeader(token);
      const key = this.#keys.find((one) => one.id === kid);
      if (key === undefined) return undefined;
      const wanted = audiences.length === 0 ? this.#options.audiences : audiences;
      const { payload } = await jwtVerify(token, key.open, {
        issuer: this.#options.issuer,
        audience: [...wanted],
        algorithms: [key.algorithm],
        currentDate: new Date(this.#clock.nowMs()),
      });
      return readClaims(payload, typeof payload.jti === "string" ? payload.jti : "");
    } catch {
      return undefined;
    }
  }

  async keySet(): Promise<unknown> {
    const { exportJWK } = await import("jose");
    const keys = await Promise.all(
      this.#keys.map(async (key) => ({
        ...(await exportJWK(key.open)),
        use: "sig",
        kid: key.id,
        alg: key.algorithm,
      })),
    );
    return { keys };
  }

  discovery(): unknown {
    return {
      issuer: this.#options.issuer,
      jwks_uri: `${this.#options.issuer}/openid/v1/jwks`,
      response_types_supported: ["id_token"],
      subject_types_supported: ["public"],
      id_token_signing_alg_values_supported: [...new Set(this.#keys.map((key) => key.algorithm))],
    };
  }
}

function readClaims(payload: object, id: string): Verified | undefined {
  const own = treeAt(payload, "kubernetes.io");
  const namespace = textAt(own, "namespace");
  const account = textAt(own, "serviceaccount", "name");
  const accountUid = textAt(own, "serviceaccount", "uid");
  if (namespace === "" || account === "") return undefined;
  const kind = ["pod", "secret", "node"].find(
    (one) => fieldOf(own, one) !== undefined && (one !== "node" || fieldOf(own, "pod") === undefined),
  );
  const boundTo =
    kind === undefined ? undefined : { kind, name: textAt(own, kind, "name"), uid: textAt(own, kind, "uid") };
  const node = treeAt(own, "node");
  const audience = fieldOf(payload, "aud");
  return {
    namespace,
    account,
    accountUid,
    boundTo,
    audiences: typeof audience === "string" ? [audience] : listAt(payload, "aud").map(String),
    user: {
      name: `system:serviceaccount:${namespace}:${account}`,
      uid: accountUid,
      groups: ["system:serviceaccounts", `system:serviceaccounts:${namespace}`, "system:authenticated"],
      extra: {
        "authentication.kubernetes.io/credential-id": [`JTI=${id}`],
        ...(boundTo?.kind === "pod"
          ? {
              "authentication.kubernetes.io/pod-name": [boundTo.name],
              "authentication.kubernetes.io/pod-uid": [boundTo.uid],
            }
          : {}),
        ...(textAt(node, "name") === ""
          ? {}
          : {
              "authentication.kubernetes.io/node-name": [textAt(node, "name")],
              "authentication.kubernetes.io/node-uid": [textAt(node, "uid")],
            }),
      },
    },
  };
}
