import type { Client } from "@cortado/client";
import { publishLocalServices } from "../local-services.ts";
import type { Parts } from "./server.ts";

/** Starts what carries packets: services, DNS, ingress and policies. On the simulated runtime there are none to carry. */
export async function startTraffic(
  parts: Parts & { readonly client: Client; readonly address: string },
  stack: AsyncDisposableStack,
): Promise<void> {
  const { client, address, config, signal } = parts;
  void stack;
  const services = [
    { name: "mqtt", namespace: "cortado-system", ports: [{ name: "mqtt", port: config.mqttPort }] },
    { name: "telemetry", namespace: "cortado-system", ports: [{ name: "http", port: config.telemetryPort }] },
    { name: "gateway", namespace: "openfaas", ports: [{ name: "http", port: config.gatewayPort }] },
  ];
  await publishLocalServices(client, { services, address, signal });
}
