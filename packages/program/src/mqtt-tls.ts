import type { Broker } from "@cortado/mqtt";
import type { Certificates } from "@cortado/cluster/certificates";
import { every, type Clock } from "@cortado/std/clock";
import type { Files } from "@cortado/std/files";
import type { Log } from "@cortado/std/log";
import type { Address, TlsOptions } from "@cortado/std/net";
import { hasReason, messageOf, StatusError } from "@cortado/std/status";
import type { MqttTlsConfig } from "./config/mqtt-tls.ts";
import { mqttOverWebSocket } from "./mqtt-websocket.ts";

/** How often files are looked at for other certificates. */
const LOOK_MS = 60_000;

export type MqttTlsOptions = {
  readonly config: MqttTlsConfig;
  readonly addresses: readonly Address[];
  readonly webSocketAddresses: readonly Address[];
  /** The store's own: what it shows when no files are given. */
  readonly certificates: Pick<Certificates, "serving" | "onRenewed">;
  readonly files: Files;
  readonly clock: Clock;
  readonly log: Log;
};

/**
 * Opens a broker's TLS listeners, and keeps to what their files say: other certificates count for new connections within a minute,
 * without a restart. Certificates that cannot be used keep a store from nothing else: the log says so, and they are looked at again.
 * @throws StatusError "Conflict" when an address is in use
 */
export async function listenMqttTls(broker: Broker, options: MqttTlsOptions): Promise<AsyncDisposable> {
  const listeners = new MqttTlsListeners(broker, options);
  await listeners.look();
  return listeners;
}

class MqttTlsListeners implements AsyncDisposable {
  readonly #broker: Broker;
  readonly #options: MqttTlsOptions;
  readonly #stack: AsyncDisposableStack = new AsyncDisposableStack();
  readonly #looking: Disposable;
  #shown: TlsOptions | undefined;
  #open: readonly { renew(tls: TlsOptions): void }[] | undefined;
  #isEnded = false;
  /** One look after another. */
  #running: Promise<void> = Promise.resolve();

  constructor(broker: Broker, options: MqttTlsOptions) {
    this.#broker = broker;
    this.#options = options;
    const { certificates, clock, log } = options;
    const look = (): void => {
      this.look().catch((error: unknown) => log.error("mqtt TLS listeners cannot be opened", { error }));
    };
    certificates.onRenewed(look);
    this.#looking = every(clock, LOOK_MS, look);
  }

  look(): Promise<void> {
    const look = this.#running.then(() => (this.#isEnded ? undefined : this.#look()));
    this.#running = look.catch(() => undefined);
    return look;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnded = true;
    this.#looking[Symbol.dispose]();
    await this.#running;
    await this.#stack.disposeAsync();
  }

  async #look(): Promise<void> {
    const { log } = this.#options;
    try {
      const next = await readTls(this.#options);
      if (JSON.stringify(next) === JSON.stringify(this.#shown)) return;
      if (this.#open === undefined) this.#open = await this.#listen(next);
      else {
        for (const one of this.#open) one.renew(next);
        log.info("mqtt TLS listeners have other certificates");
      }
      this.#shown = next;
    } catch (error) {
      if (!hasReason(error, "NotFound", "Invalid")) throw error;
      log.error(
        this.#open === undefined
          ? "mqtt TLS listeners are not open: their certificates cannot be used"
          : "mqtt TLS certificates cannot be used; what was shown before is shown on",
        { error },
      );
    }
  }

  async #listen(tls: TlsOptions): Promise<readonly { renew(tls: TlsOptions): void }[]> {
    const { addresses, webSocketAddresses, log } = this.#options;
    await using opening = new AsyncDisposableStack();
    const listening: { renew(tls: TlsOptions): void }[] = [];
    for (const address of addresses) listening.push(opening.use(await this.#broker.listen(address, { tls })));
    if (webSocketAddresses.length > 0) {
      const web = await mqttOverWebSocket(this.#broker, { addresses: webSocketAddresses, tls, log });
      listening.push(opening.use(web));
    }
    this.#stack.use(opening.move());
    return listening;
  }
}

async function readTls({ config, certificates, files }: MqttTlsOptions): Promise<TlsOptions> {
  const { files: own, caFile, crlFile, requireCertificate } = config;
  const read = async (path: string, setting: string): Promise<string> => {
    const bytes = await files.read(path).catch((cause: unknown) => {
      throw new StatusError("NotFound", `${setting}: ${path} cannot be read: ${messageOf(cause)}`, { cause });
    });
    if (bytes === undefined) throw new StatusError("NotFound", `${setting}: ${path} is not there`);
    return new TextDecoder().decode(bytes);
  };
  const { cert, key } = certificates.serving;
  return {
    certificate: own === undefined ? cert : await read(own.certFile, "mqtt-tls-cert-file"),
    key: own === undefined ? key : await read(own.keyFile, "mqtt-tls-key-file"),
    clientCertificates: requireCertificate ? "required" : caFile === undefined ? "none" : "asked",
    ...(caFile === undefined ? {} : { clientAuthorities: await read(caFile, "mqtt-tls-ca-file") }),
    ...(crlFile === undefined ? {} : { revocations: await read(crlFile, "mqtt-tls-crl-file") }),
  };
}
