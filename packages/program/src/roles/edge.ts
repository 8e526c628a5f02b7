import { join } from "node:path";
import type { Client } from "@cortado/client";
import type { Certificates } from "@cortado/cluster/certificates";
import { startFunctions } from "@cortado/functions";
import { startBroker, type Broker } from "@cortado/mqtt";
import { startMqttControl, UserAccess } from "@cortado/mqtt/control";
import { startTelemetry, type Telemetry } from "@cortado/telemetry";
import { watchAlerts } from "@cortado/telemetry/alerts";
import { textAnswer, type HttpHandler } from "@cortado/std/http";
import { systemNetwork } from "@cortado/std/node/net";
import { systemSecureNetwork } from "@cortado/std/node/tls";
import type { Address } from "@cortado/std/net";
import { listenHttp } from "../http-listener.ts";
import { listenMqttTls } from "../mqtt-tls.ts";
import { mqttOverWebSocket } from "../mqtt-websocket.ts";
import { version } from "../version.ts";
import { ownSecret } from "../own-secret.ts";
import { startPart } from "./lifetime.ts";
import { dialRemote, healthAnswer } from "./mqtt.ts";
import type { Parts } from "./parts.ts";

type Edge = Parts & { readonly client: Client; readonly certificates: Certificates };

/** Starts what machines and the shop talk to: the broker, the journal of events, which it answers, and the gateway of functions. */
export async function startEdge(parts: Edge, stack: AsyncDisposableStack): Promise<Telemetry> {
  const { config, ports, client, loopMetrics, signal } = parts;
  const { clock, random, files, log, metrics } = ports;
  const open = (port: number, socket?: string): readonly Address[] => addressesOf(parts, port, socket);
  const broker = await startMqtt(parts, stack);
  const telemetry = await startPart(stack, {
    name: "telemetry",
    log,
    start: () =>
      startTelemetry({
        files,
        folder: join(config.dataDir, "telemetry"),
        store: config.nodeName,
        clock,
        random,
        log,
        metrics,
        dialBroker: () => broker.dialLocal("telemetry"),
      }),
  });
  watchAlerts({ client, journal: telemetry.journal, clock, log, loopMetrics, signal });
  await startGateway({ ...parts, broker }, stack);
  const handle: HttpHandler = async (request) => {
    if (request.path === "/metrics") return textAnswer(200, metrics.text());
    if (request.path === "/healthz/mqtt") return healthAnswer(broker);
    const route = telemetry.routes.find(({ path }) => path === request.path);
    return route?.handle(request) ?? textAnswer(404, `there is nothing at ${request.path}\n`);
  };
  stack.use(await listenHttp({ addresses: open(config.telemetryPort, "telemetry.sock"), handle }));
  return telemetry;
}

/** The broker, configured from the API, and where machines reach it. */
async function startMqtt(parts: Edge, stack: AsyncDisposableStack): Promise<Broker> {
  const { config, ports, client, certificates, loopMetrics, signal } = parts;
  const { clock, random, files, log, metrics } = ports;
  const access = new UserAccess(random);
  const broker = await startPart(stack, {
    name: "mqtt",
    log,
    start: () =>
      startBroker({
        files,
        folder: join(config.dataDir, "mqtt"),
        network: systemNetwork,
        secureNetwork: systemSecureNetwork,
        clock,
        random,
        log,
        metrics,
        authenticate: (credentials) => access.authenticate(credentials),
        scramVerifierOf: (client) => access.scramVerifierOf(client),
        authorize: (asked) => access.authorize(asked),
        mayRead: (session, topic) => access.mayRead(session, topic),
        dialRemote,
      }),
  });
  startMqttControl({ client, broker, access, store: config.nodeName, clock, log, loopMetrics, signal });
  for (const address of addressesOf(parts, config.mqttPort, "mqtt.sock"))
    stack.use(await broker.listen(address));
  const webSocket = addressesOf(parts, config.mqttWebSocketPort);
  if (webSocket.length > 0) stack.use(await mqttOverWebSocket(broker, { addresses: webSocket, log }));
  if (config.mqttTls !== undefined) {
    const { port, webSocketPort } = config.mqttTls;
    const [addresses, webSocketAddresses] = [addressesOf(parts, port), addressesOf(parts, webSocketPort)];
    const common = { config: config.mqttTls, certificates, files, clock, log };
    stack.use(await listenMqttTls(broker, { ...common, addresses, webSocketAddresses }));
  }
  return broker;
}

/** Functions, and their gateway: with a password on the node's port, without one on the socket that only root can open. */
async function startGateway(
  parts: Parts & { readonly client: Client; readonly broker: Broker },
  stack: AsyncDisposableStack,
): Promise<void> {
  const { config, ports, client, loopMetrics, broker } = parts;
  const { dataDir, cgroupRoot, gatewayPort, runtime } = config;
  if (config.disable.includes("functions")) return;
  const functions = await startPart(stack, {
    name: "functions",
    log: ports.log,
    start: async () =>
      startFunctions({
        ...ports,
        client,
        loopMetrics,
        folder: join(dataDir, "functions", "queue"),
        dataFolder: join(dataDir, "functions", "data"),
        runFolder: runtime === "simulated" ? join(dataDir, "functions", "run") : "/run/cortado/functions",
        store: config.nodeName,
        dialBroker: () => broker.dialLocal("functions"),
        nodePath: process.execPath,
        cgroupParent: `/${cgroupRoot}/functions`,
        plainProcesses: runtime === "simulated",
        credentials: {
          user: "admin",
          password: await ownSecret(join(dataDir, "server", "gateway-password"), ports),
        },
        release: { version, commit: "" },
      }),
  });
  const onNode = addressesOf(parts, gatewayPort);
  if (onNode.length > 0)
    stack.use(await listenHttp({ addresses: onNode, handle: functions.handler({ trusted: false }) }));
  const local = addressesOf(parts, 0, "gateway.sock");
  if (local.length > 0)
    stack.use(await listenHttp({ addresses: local, handle: functions.handler({ trusted: true }) }));
}

/** Where a part listens: a port of the node, unless turned off or simulated, and a socket for this machine. */
export function addressesOf(
  { config }: Pick<Parts, "config">,
  port: number,
  socket?: string,
): readonly Address[] {
  const onNode: readonly Address[] =
    port === 0 || config.runtime === "simulated" ? [] : [{ host: "0.0.0.0", port }];
  const { localSocketDir } = config;
  return localSocketDir === undefined || socket === undefined
    ? onNode
    : [...onNode, { path: join(localSocketDir, socket) }];
}
