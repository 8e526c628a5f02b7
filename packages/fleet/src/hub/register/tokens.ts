import { again, done, newLoopMetrics, startLoop, type Outcome } from "@cortado/client/loop";
import { splitKey, startInformer } from "@cortado/client/informer";
import { clusterRegistrationTokens, type ClusterRegistrationToken } from "@cortado/kinds/fleet";
import { secrets } from "@cortado/kinds/resources";
import { toTime } from "@cortado/std/clock";
import { newMetrics } from "@cortado/std/metrics";
import { sameTree } from "@cortado/kinds/tree";
import { hasReason, messageOf, StatusError } from "@cortado/std/status";
import { yamlText } from "@cortado/wire/yaml";
import type { Stored } from "@cortado/client";
import type { Core } from "../core.ts";
import { withCondition } from "../status/summary.ts";
import { sha256Of } from "../sources/blobs.ts";

const SECRET_TYPE = "fleet.cattle.io/cluster-registration-values";
const unitMs: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000 };

type Known = { readonly key: string; readonly namespace: string; readonly expiresMs: number | undefined };

/** Makes of each ClusterRegistrationToken a Secret with what a store needs, and knows whose a secret is. */
export class Tokens {
  readonly #core: Core;
  /** By the SHA-256 of the secret. */
  readonly #known: Map<string, Known> = new Map();
  readonly synced: Promise<void>;
  readonly #informer;

  constructor(core: Core) {
    this.#core = core;
    const { client, clock, log } = core.ports;
    const { signal } = core;
    this.#informer = startInformer(client, clusterRegistrationTokens, { clock, log, signal });
    const loop = startLoop({
      name: "fleet-token",
      reconcile: (key) => this.#round(key),
      keys: () =>
        [...this.#informer.list()].map((one) => `${one.metadata.namespace ?? ""}/${one.metadata.name ?? ""}`),
      ready: this.#informer.synced,
      clock,
      log,
      metrics: newLoopMetrics(newMetrics()),
      signal,
    });
    this.#informer.subscribe(({ key }) => loop.add(key));
    this.synced = this.#informer.synced.then(() => loop.idle());
  }

  /** The namespace that a secret lets a store join. @throws StatusError "Unauthorized" */
  namespaceOf(secret: string): string {
    const known = this.#known.get(hashOf(secret));
    if (known !== undefined && (known.expiresMs ?? Infinity) > this.#core.ports.clock.nowMs())
      return known.namespace;
    throw new StatusError(
      "Unauthorized",
      "the token is not one of this hub, or has ended; make a ClusterRegistrationToken and copy it from its Secret",
    );
  }

  async #round(key: string): Promise<Outcome> {
    const token = this.#informer.get(key);
    for (const [hash, known] of this.#known) if (known.key === key) this.#known.delete(hash);
    if (token === undefined || token.metadata.deletionTimestamp !== undefined) return done;
    const { client, clock } = this.#core.ports;
    const { signal } = this.#core;
    const { name, namespace } = splitKey(key);
    let expiresMs: number | undefined;
    try {
      expiresMs = expiryOf(token);
    } catch (error) {
      await this.#tell(token, { isTrue: false, reason: "Invalid", message: messageOf(error) });
      return { kind: "stalled", reason: messageOf(error) };
    }
    if (expiresMs !== undefined && expiresMs <= clock.nowMs()) {
      const { uid } = token.metadata;
      await client
        .delete(clusterRegistrationTokens, { name, namespace, preconditions: { uid }, signal })
        .catch(ignoreAbsent);
      return done;
    }
    const secret = await this.#secretOf(token);
    this.#known.set(hashOf(secret), { key, namespace, expiresMs });
    const expires = expiresMs === undefined ? {} : { expires: toTime(expiresMs) };
    const ready = { isTrue: true, reason: "", message: `stores join with what Secret ${name} holds` };
    await this.#tell(token, ready, { secretName: name, ...expires });
    return expiresMs === undefined ? done : again(Math.max(1, expiresMs - clock.nowMs()));
  }

  /** Whether stores can join with it, and why not. */
  async #tell(
    { metadata, status }: Stored<ClusterRegistrationToken>,
    ready: { readonly isTrue: boolean; readonly reason: string; readonly message: string },
    more: Partial<ClusterRegistrationToken["status"]> = {},
  ): Promise<void> {
    const { client, clock } = this.#core.ports;
    const conditions = withCondition(status?.conditions, { type: "Ready", ...ready }, clock.nowMs());
    const next = { ...status, ...more, conditions };
    if (sameTree(next, status)) return;
    const { name, namespace = "" } = metadata;
    const where = { name, namespace, subresource: "status", signal: this.#core.signal };
    await client
      .patch(clusterRegistrationTokens, { ...where, type: "merge", body: { status: next } })
      .catch(ignoreAbsent);
  }

  async #secretOf(token: Stored<ClusterRegistrationToken>): Promise<string> {
    const { client, random } = this.#core.ports;
    const { options, signal } = this.#core;
    const { name = "", namespace = "", uid } = token.metadata;
    try {
      const found = await client.get(secrets, { name, namespace, signal });
      const text = Buffer.from(found.data?.["token"] ?? "", "base64").toString();
      const [, secret] = /^K10[0-9a-f]{64}::fleet:(.+)$/.exec(text) ?? [];
      if (secret !== undefined) return secret;
      throw new StatusError(
        "Conflict",
        `Secret ${namespace}/${name} is there and holds no token; remove it, or name the token otherwise`,
      );
    } catch (error) {
      if (!hasReason(error, "NotFound")) throw error;
    }
    const secret = Buffer.from(random.bytes(32)).toString("hex");
    const whole = `K10${sha256Of(new TextEncoder().encode(options.authority))}::fleet:${secret}`;
    const values = yamlText({
      apiServerURL: options.url,
      apiServerCA: options.authority,
      clusterNamespace: namespace,
      systemRegistrationNamespace: namespace,
      token: whole,
      tokenName: name,
    });
    const owner = {
      apiVersion: "fleet.cattle.io/v1alpha1",
      kind: "ClusterRegistrationToken",
      name,
      uid,
      controller: true,
    };
    const data = { values: toBase64(values), token: toBase64(whole) };
    const metadata = { name, namespace, ownerReferences: [owner] };
    await client.create(
      secrets,
      { metadata, type: SECRET_TYPE, data },
      { signal, fieldManager: "cortado-hub" },
    );
    return secret;
  }
}

/** When a token ends, by its spec.ttl as Go writes durations; undefined: never. @throws StatusError "Invalid" */
function expiryOf({ metadata, spec }: ClusterRegistrationToken): number | undefined {
  const ttl = spec?.ttl ?? "";
  if (ttl === "" || ttl === "0" || ttl === "0s") return undefined;
  if (!/^(?:\d{1,9}[hms])+$/.test(ttl))
    throw new StatusError(
      "Invalid",
      `spec.ttl ${ttl} of token ${metadata.name ?? ""} is no duration; write 240h`,
    );
  let ms = Date.parse(metadata.creationTimestamp ?? "");
  for (const [, count, unit = "s"] of ttl.matchAll(/(\d+)([hms])/g))
    ms += Number(count) * (unitMs[unit] ?? 0);
  return ms;
}

function hashOf(secret: string): string {
  return sha256Of(new TextEncoder().encode(secret));
}

function toBase64(text: string): string {
  return Buffer.from(text).toString("base64");
}

function ignoreAbsent(error: unknown): void {
  if (!hasReason(error, "NotFound", "Conflict")) throw error;
}
