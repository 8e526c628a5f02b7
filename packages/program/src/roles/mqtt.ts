import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dump, load } from "js-yaml";
import type { MqttWords } from "@cortado/cli/mqtt";
import { startBroker, type BridgeSettings, type Broker, type DialRemote, type Naming } from "@cortado/mqtt";
import {
  FileAccess,
  importMosquittoConf,
  noteText,
  readAccess,
  readBridges,
  realmOf,
  toMqttSettings,
  type ListenerSettings,
  type ListenerTls,
  type MqttSettings,
} from "@cortado/mqtt/standalone";
import { textAnswer, type HttpHandler } from "@cortado/std/http";
import { jsonLog, type Log } from "@cortado/std/log";
import { newMetrics } from "@cortado/std/metrics";
import type { Address, TlsOptions } from "@cortado/std/net";
import { systemClock } from "@cortado/std/node/clock";
import { dialTls } from "@cortado/std/node/dial-tls";
import { systemFiles } from "@cortado/std/node/files";
import { systemNetwork } from "@cortado/std/node/net";
import { systemRandom } from "@cortado/std/node/random";
import { systemSecureNetwork } from "@cortado/std/node/tls";
import { messageOf, StatusError } from "@cortado/std/status";
import { listenHttp } from "../http-listener.ts";
import { mqttOverWebSocket } from "../mqtt-websocket.ts";
import { writeText } from "../standard-output.ts";
import { watchProcess } from "./process-metrics.ts";

/** A remote broker may take so long to answer. */
const DIAL_MS_MAX = 20_000;

export const dialRemote: DialRemote = (address, { tls, signal }) =>
  tls === undefined
    ? systemNetwork.dial(address, { signal })
    : dialTls(address, { tls, withinMs: DIAL_MS_MAX, signal });

/** @throws StatusError "NotFound" naming the file */
async function read(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new StatusError("NotFound", `${path} cannot be read: ${messageOf(cause)}`, { cause });
  }
}

/** @throws StatusError "Invalid" naming each place that cannot be */
async function readSettings(config: string): Promise<MqttSettings> {
  const text = await read(config);
  let tree: unknown;
  try {
    tree = load(text);
  } catch (cause) {
    throw new StatusError("Invalid", `${config} is no YAML: ${messageOf(cause)}`, { cause });
  }
  return toMqttSettings(tree, config);
}

/** Settings for `cortado mqtt` out of a mosquitto.conf. @throws StatusError "Invalid" with the lines that cannot be honoured */
export async function importMosquitto(file: string, err: (text: string) => void): Promise<string> {
  const { settings, faults, notes } = importMosquittoConf(await read(file), file);
  for (const note of notes) err(`note: ${noteText(note)}\n`);
  if (faults.length > 0)
    throw new StatusError(
      "Invalid",
      `nothing is written: change these lines and try again\n${faults.map(noteText).join("\n")}`,
    );
  await readAccess(settings, read);
  // As it would be read back: what came of the file is fit to be started with.
  return dump(toMqttSettings(structuredClone(settings), file), { lineWidth: 120, noRefs: true });
}

/** A broker alone, as its file says. Disposing it ends it. @throws StatusError naming what cannot be */
export async function startMqttBroker({ config, check }: MqttWords): Promise<AsyncDisposable> {
  const settings = await readSettings(config);
  const access = new FileAccess(await readAccess(settings, read));
  const bridges = await readBridges(settings, { host: hostname(), read });
  await Promise.all(settings.listeners.map(({ tls }) => tls && toTls(tls)));
  await using stack = new AsyncDisposableStack();
  if (check) return stack.move();
  const write = (line: string): void => writeText(1, `${line}\n`);
  const log = jsonLog({ level: settings.logLevel ?? "info", clock: systemClock, write });
  const metrics = newMetrics();
  stack.use(watchProcess(metrics));
  const broker = stack.use(
    await startBroker({
      ...{ files: systemFiles, folder: settings.folder, network: systemNetwork, clock: systemClock },
      ...{ secureNetwork: systemSecureNetwork, random: systemRandom, log, metrics, dialRemote },
      ...(settings.limits === undefined ? {} : { limits: settings.limits }),
      authenticate: access.authenticate,
      authorize: access.authorize,
      mayRead: access.mayRead,
    }),
  );
  const secure: Secure[] = [];
  for (const listener of settings.listeners) {
    const listening = stack.use(await listen(broker, listener, log));
    const { renew } = listening;
    if (listener.tls !== undefined && renew !== undefined)
      secure.push({ tls: listener.tls, renew: (next) => renew.call(listening, next) });
  }
  await putBridges(broker, bridges, log);
  if (settings.metrics !== undefined) {
    const { port, address = "127.0.0.1" } = settings.metrics;
    const handle: HttpHandler = (request) => Promise.resolve(answer(broker, request.path, metrics.text));
    stack.use(await listenHttp({ addresses: [{ host: address, port }], handle }));
  }
  stack.use(onHangUp(async () => await reload({ config, access, secure }), log));
  log.info("mqtt broker serves", { listeners: settings.listeners, bridges: bridges.map(({ name }) => name) });
  return stack.move();
}

/** A bridge that the file no longer has ends with what waits for it: nobody would ever take that. */
async function putBridges(broker: Broker, bridges: readonly BridgeSettings[], log: Log): Promise<void> {
  const wanted = new Set(bridges.map(({ name }) => name));
  for (const name of broker.bridges.kept) {
    if (wanted.has(name)) continue;
    log.warn("mqtt bridge is not in the settings any more: what waited for it is dropped", { bridge: name });
    await broker.bridges.remove(name);
  }
  for (const bridge of bridges) await broker.bridges.put(bridge);
}

/** A listener whose certificates can be read anew. */
type Secure = { readonly tls: ListenerTls; readonly renew: (tls: TlsOptions) => void };

type Reloading = {
  readonly config: string;
  readonly access: FileAccess;
  readonly secure: readonly Secure[];
};

/** Users, rules and certificates anew. Other settings need a start: connections would have to be ended for them. */
async function reload({ config, access, secure }: Reloading): Promise<void> {
  const rules = await readAccess(await readSettings(config), read);
  const certificates = await Promise.all(secure.map(async ({ tls }) => await toTls(tls)));
  access.replace(rules);
  for (const [at, { renew }] of secure.entries()) {
    const next = certificates[at];
    if (next !== undefined) renew(next);
  }
}

/** A file that cannot be read changes nothing: what is served goes on as it was. */
function onHangUp(work: () => Promise<void>, log: Log): Disposable {
  const listener = (): void => {
    work().then(
      () => log.info("users, rules and certificates were read anew"),
      (error: unknown) => log.error("files cannot be read; all stays as it was", { error }),
    );
  };
  process.on("SIGHUP", listener);
  return { [Symbol.dispose]: () => void process.off("SIGHUP", listener) };
}

async function listen(
  broker: Broker,
  listener: ListenerSettings,
  log: Log,
): Promise<AsyncDisposable & { renew?(tls: TlsOptions): void }> {
  const { tls, protocol, unix, port = 0, address: host = "0.0.0.0" } = listener;
  const address: Address = unix === undefined ? { host, port } : { path: unix };
  const secured = tls === undefined ? {} : { tls: await toTls(tls) };
  const realm = realmOf(listener);
  const naming: Naming = { identity: identityOf(tls), ...(realm === undefined ? {} : { realm }) };
  return protocol === "websockets"
    ? await mqttOverWebSocket(broker, { addresses: [address], log, naming, ...secured })
    : await broker.listen(address, { ...naming, ...secured });
}

function identityOf(tls: ListenerTls | undefined): NonNullable<Naming["identity"]> {
  if (tls?.identity === undefined) return "username";
  return tls.identity === "commonName" ? "common-name" : "subject";
}

export async function toTls({
  certFile,
  keyFile,
  caFile,
  crlFile,
  requireCertificate = false,
  minVersion,
}: ListenerTls): Promise<TlsOptions> {
  return {
    certificate: await read(certFile),
    key: await read(keyFile),
    clientCertificates: requireCertificate ? "required" : caFile === undefined ? "none" : "asked",
    ...(caFile === undefined ? {} : { clientAuthorities: await read(caFile) }),
    ...(crlFile === undefined ? {} : { revocations: await read(crlFile) }),
    ...(minVersion === undefined ? {} : { minVersion }),
  };
}

function answer(broker: Broker, path: string, metrics: () => string): ReturnType<typeof textAnswer> {
  if (path === "/metrics") return textAnswer(200, metrics());
  if (path !== "/healthz") return textAnswer(404, `there is nothing at ${path}\n`);
  return healthAnswer(broker);
}

/** 503 while nothing that is published can be acknowledged; else what is wrong, if anything. */
export function healthAnswer(broker: Broker): ReturnType<typeof textAnswer> {
  const { ready, faults, setAside } = broker.health();
  const lines = [...faults, ...setAside.map((name) => `${name} was set aside as damaged`)];
  return textAnswer(ready ? 200 : 503, `${lines.length === 0 ? "ok" : lines.join("\n")}\n`);
}
