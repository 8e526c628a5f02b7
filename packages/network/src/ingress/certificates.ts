import { createSecureContext, type SecureContext } from "node:tls";
import { createHash, X509Certificate } from "node:crypto";
import type { Client } from "@cortado/client";
import type { Ingress } from "@cortado/kinds";
import { secrets } from "@cortado/kinds/resources";
import type { Log } from "@cortado/std/log";
import { hasReason } from "@cortado/std/status";
import { isOurs, type ClassOptions } from "./routes.ts";

export type CertificatePair = { readonly key: string; readonly cert: string };

export type CertificatesPorts = {
  readonly client: Client;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Served to whoever asks for a name that no Secret is for. */
  readonly fallback: () => CertificatePair;
};

type Known = { readonly digest: string; readonly context: SecureContext };

/** The certificates of ingresses, by the name a client asks for. */
export class Certificates {
  readonly #ports: CertificatesPorts;
  #byHost = new Map<string, SecureContext>();
  readonly #bySecret = new Map<string, Known>();
  #fallback: Known | undefined;

  constructor(ports: CertificatesPorts) {
    this.#ports = ports;
  }

  /** Reads the Secrets that these ingresses name. One that is missing or broken is told, and its host gets the fallback. */
  async read(ingresses: readonly Ingress[], options: ClassOptions): Promise<void> {
    const byHost = new Map<string, SecureContext>();
    const used = new Set<string>();
    for (const ingress of ingresses.filter((one) => isOurs(one, options))) {
      for (const { hosts, secretName } of ingress.spec?.tls ?? []) {
        if (secretName === undefined) continue;
        const key = `${ingress.metadata.namespace}/${secretName}`;
        const found = await this.#readSecret(ingress.metadata.namespace ?? "", secretName);
        if (found === undefined) continue;
        used.add(key);
        for (const host of hosts ?? found.names) byHost.set(host.toLowerCase(), found.known.context);
      }
    }
    for (const key of this.#bySecret.keys()) if (!used.has(key)) this.#bySecret.delete(key);
    this.#byHost = byHost;
  }

  context(serverName: string): SecureContext {
    const name = serverName.toLowerCase();
    const wildcard = `*${name.slice(Math.max(0, name.indexOf(".")))}`;
    return this.#byHost.get(name) ?? this.#byHost.get(wildcard) ?? this.#fallbackContext();
  }

  fallbackPair(): CertificatePair {
    return this.#ports.fallback();
  }

  #fallbackContext(): SecureContext {
    const pair = this.#ports.fallback();
    const digest = digestOf(pair);
    if (this.#fallback?.digest !== digest)
      this.#fallback = { digest, context: createSecureContext({ ...pair, minVersion: "TLSv1.2" }) };
    return this.#fallback.context;
  }

  async #readSecret(
    namespace: string,
    name: string,
  ): Promise<{ readonly known: Known; readonly names: readonly string[] } | undefined> {
    const key = `${namespace}/${name}`;
    const { client, log, signal } = this.#ports;
    try {
      const { data = {} } = await client.get(secrets, { namespace, name, signal });
      const pair = { key: decode(data["tls.key"]), cert: decode(data["tls.crt"]) };
      const digest = digestOf(pair);
      const before = this.#bySecret.get(key);
      const known =
        before?.digest === digest
          ? before
          : { digest, context: createSecureContext({ ...pair, minVersion: "TLSv1.2" }) };
      this.#bySecret.set(key, known);
      return { known, names: namesOf(pair.cert) };
    } catch (error) {
      if (signal.aborted) return undefined;
      log.warn("certificate of an ingress not used", {
        secret: name,
        namespace,
        missing: hasReason(error, "NotFound"),
        error,
      });
      return undefined;
    }
  }
}

function namesOf(cert: string): readonly string[] {
  const { subjectAltName = "" } = new X509Certificate(cert);
  return subjectAltName.split(", ").flatMap((name) => (name.startsWith("DNS:") ? [name.slice(4)] : []));
}

function digestOf({ key, cert }: CertificatePair): string {
  return createHash("sha256").update(key).update(cert).digest("hex");
}

function decode(base64: string | undefined): string {
  return Buffer.from(base64 ?? "", "base64").toString("utf8");
}
