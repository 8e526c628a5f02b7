import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { rm } from "node:fs/promises";
import type { AddressInfo, Socket } from "node:net";
import type { Client } from "@cortado/client";
import type { Service } from "@cortado/kinds";
import { ingressClasses } from "@cortado/kinds/resources";
import { every, type Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Metrics } from "@cortado/std/metrics";
import { addressText, type Address } from "@cortado/std/net";
import { hasReason, StatusError } from "@cortado/std/status";
import {
  CERTIFICATES_REFRESH_MS,
  INGRESS_CLIENTS_MAX,
  INGRESS_HEADER_BYTES_MAX,
  INGRESS_SILENT_MS,
} from "../limits.ts";
import type { Objects } from "../objects.ts";
import { targetsOf } from "../services/endpoints.ts";
import { Certificates, type CertificatePair } from "./certificates.ts";
import { Proxy, type Choice, type Place } from "./proxy.ts";
import { route, routeTable, type Backend, type RouteTable } from "./routes.ts";

export type { CertificatePair } from "./certificates.ts";

export type IngressListener = { readonly address: Address; readonly secure: boolean };

export type IngressOptions = {
  readonly listeners: readonly IngressListener[];
  /** Names that mean us; the first is the class that is made and set as the default. */
  readonly classNames: readonly string[];
  /** Pods that are not real cannot be reached; then a 503 says so. */
  readonly simulated: boolean;
};

export type IngressPorts = {
  readonly client: Client;
  readonly objects: Objects;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly signal: AbortSignal;
  /** Served where no Secret fits; its maker keeps it fresh. */
  readonly fallbackCertificate: () => CertificatePair;
};

export interface RunningIngress extends AsyncDisposable {
  /** As asked for, with real ports. */
  readonly addresses: readonly Address[];
}

/** Serves all Ingress objects of our class. @throws StatusError "Conflict" when a listener's address is in use */
export async function startIngress(options: IngressOptions, ports: IngressPorts): Promise<RunningIngress> {
  const { objects, clock, log, metrics } = ports;
  await using starting = new AsyncDisposableStack();
  const state = { table: routeTable(objects.ingresses(), options) };
  const turns = new Map<string, number>();
  const requests = metrics.counter("cortado_ingress_requests_total", {
    help: "Requests answered by the ingress, by status code.",
    labels: ["code"],
  });
  const choose = (request: { readonly host: string; readonly path: string }): Choice =>
    choosePlaces({ request, table: state.table, objects, turns, simulated: options.simulated });
  const proxy = starting.use(new Proxy({ choose, clock, log, requests }));
  const certificates = new Certificates({ ...ports, fallback: ports.fallbackCertificate });
  const read = (): void => void certificates.read(objects.ingresses(), options);
  await certificates.read(objects.ingresses(), options);
  objects.onIngresses(() => {
    state.table = routeTable(objects.ingresses(), options);
    read();
  });
  starting.use(every(clock, CERTIFICATES_REFRESH_MS, read));
  const addresses: Address[] = [];
  for (const listener of options.listeners) {
    const listening = starting.use(await listen({ listener, proxy, certificates }));
    addresses.push(listening.address);
  }
  await ensureClass(options.classNames[0] ?? "cortado", ports);
  const lifetime = starting.move();
  return { addresses, [Symbol.asyncDispose]: () => lifetime.disposeAsync() };
}

type Choosing = {
  readonly request: { readonly host: string; readonly path: string };
  readonly table: RouteTable;
  readonly objects: Pick<Objects, "service" | "slicesOf">;
  readonly turns: Map<string, number>;
  readonly simulated: boolean;
};

/** Where a request goes: every ready endpoint of its backend, each time beginning with the next. */
export function choosePlaces({ request, table, objects, turns, simulated }: Choosing): Choice {
  const backend = route(table, request);
  if (backend === undefined)
    return {
      kind: "refused",
      code: 404,
      message: `no Ingress takes ${request.host}${request.path}; see kubectl get ingress -A`,
    };
  const name = `${backend.namespace}/${backend.service}`;
  const service = objects.service(name);
  if (service === undefined)
    return {
      kind: "refused",
      code: 503,
      message: `service ${name}, the backend of this path, does not exist`,
    };
  const places = placesOf(service, backend, objects);
  if (places === undefined)
    return { kind: "refused", code: 503, message: `service ${name} has no port ${backend.port}` };
  if (simulated)
    return {
      kind: "refused",
      code: 503,
      message: `service ${name} runs on a simulated node: nothing can answer`,
    };
  if (places.length === 0)
    return {
      kind: "refused",
      code: 503,
      message: `service ${name} has no ready pod; see kubectl get endpointslices -n ${backend.namespace}`,
    };
  const turn = (turns.get(name) ?? 0) % places.length;
  turns.set(name, turn + 1);
  return { kind: "places", places: [...places.slice(turn), ...places.slice(0, turn)] };
}

function placesOf(
  service: Service,
  backend: Backend,
  objects: Pick<Objects, "slicesOf">,
): readonly Place[] | undefined {
  const port = (service.spec?.ports ?? []).find((one) =>
    typeof backend.port === "number" ? one.port === backend.port : one.name === backend.port,
  );
  if (service.spec?.type === "ExternalName") {
    const number = port?.port ?? (typeof backend.port === "number" ? backend.port : undefined);
    return number === undefined ? undefined : [{ host: service.spec.externalName ?? "", port: number }];
  }
  if (port === undefined) return undefined;
  return targetsOf(port, objects.slicesOf(service)).map(({ ip, port: target }) => ({
    host: ip,
    port: target,
  }));
}

type Listen = {
  readonly listener: IngressListener;
  readonly proxy: Proxy;
  readonly certificates: Certificates;
};

async function listen({
  listener,
  proxy,
  certificates,
}: Listen): Promise<AsyncDisposable & { readonly address: Address }> {
  const { address, secure } = listener;
  const options = {
    maxHeaderSize: INGRESS_HEADER_BYTES_MAX,
    keepAliveTimeout: INGRESS_SILENT_MS,
    requestTimeout: 0,
    noDelay: true,
  };
  const server: Server = secure
    ? createTlsServer({
        ...options,
        SNICallback: (name, done) => done(null, certificates.context(name)),
        ALPNProtocols: ["http/1.1"],
      })
    : createServer(options);
  if (secure) useFallback(server, certificates);
  server.maxConnections = INGRESS_CLIENTS_MAX;
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  const port = "port" in address ? address.port : undefined;
  server.on("request", (request: IncomingMessage, response: ServerResponse) =>
    proxy.handle(request, response, { secure, port }),
  );
  server.on("upgrade", (request: IncomingMessage, socket: Socket, head: Buffer) =>
    proxy.upgrade(request, socket, { secure, port, head }),
  );
  await bind(server, address);
  return {
    address:
      "path" in address ? address : { host: address.host, port: (server.address() as AddressInfo).port },
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

// A client that names no host (an address in its URL) never gets to the SNI callback.
function useFallback(server: Server, certificates: Certificates): void {
  const { setSecureContext } = server as Server & { setSecureContext?: (options: object) => void };
  setSecureContext?.call(server, certificates.fallbackPair());
}

async function bind(server: Server, address: Address): Promise<void> {
  if ("path" in address) await rm(address.path, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const reason = cause.code === "EADDRINUSE" ? "Conflict" : "ServiceUnavailable";
      reject(
        new StatusError(reason, `ingress cannot listen on ${addressText(address)}: ${cause.message}`, {
          cause,
        }),
      );
    });
    server.listen(
      "path" in address ? { path: address.path } : { host: address.host, port: address.port },
      resolve,
    );
  });
}

async function ensureClass(name: string, { client, signal, log }: IngressPorts): Promise<void> {
  const annotations = { "ingressclass.kubernetes.io/is-default-class": "true" };
  try {
    await client.create(
      ingressClasses,
      { metadata: { name, annotations }, spec: { controller: "cortado.dev/ingress" } },
      { signal },
    );
  } catch (error) {
    if (!hasReason(error, "AlreadyExists")) log.warn("ingress class not made", { name, error });
  }
}
