import type { LoopMetrics } from "@cortado/client/loop";
import { newLoopMetrics } from "@cortado/client/loop";
import { startBroker, type Broker } from "@cortado/mqtt";
import { connectMqtt, type MqttClient } from "@cortado/mqtt/client";
import type { Clock } from "@cortado/std/clock";
import type { Files } from "@cortado/std/files";
import type { HttpAnswer, HttpHandler } from "@cortado/std/http";
import { newMetrics, type Metrics } from "@cortado/std/metrics";
import { seededRandom } from "@cortado/std/random";
import { MemoryFiles } from "@cortado/std/testing/memory-files";
import { MemoryNetwork } from "@cortado/std/testing/memory-network";
import { keptLog } from "@cortado/std/testing/silent-log";
import { startFunctions, type Functions, type StartFunctionsOptions } from "../functions.ts";
import { MemoryApi } from "./memory-api.ts";

export type Called = {
  readonly status: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
};

/** Functions, a broker and as much of an API as they need, in one process. */
export class World implements AsyncDisposable {
  readonly api: MemoryApi = new MemoryApi();
  readonly files: Files = new MemoryFiles();
  readonly kept: ReturnType<typeof keptLog> = keptLog();
  metrics: Metrics = newMetrics();
  readonly #clock: Clock;
  readonly #options: Partial<StartFunctionsOptions>;
  functions!: Functions;
  broker!: Broker;
  machine!: MqttClient;
  #handler!: HttpHandler;

  constructor(clock: Clock, options: Partial<StartFunctionsOptions>) {
    this.#clock = clock;
    this.#options = options;
  }

  async boot(): Promise<void> {
    this.metrics = newMetrics();
    const random = seededRandom(5);
    const ports = { clock: this.#clock, random, log: this.kept.log, files: this.files };
    const { broker } = {
      broker: await startBroker({
        ...ports,
        folder: "/mqtt",
        network: new MemoryNetwork(),
        metrics: this.metrics,
      }),
    };
    this.broker = broker;
    const loopMetrics: LoopMetrics = newLoopMetrics(this.metrics);
    this.functions = await startFunctions({
      ...ports,
      client: this.api.client,
      folder: "/functions",
      dataFolder: "/nowhere",
      runFolder: "/nowhere",
      store: "store-042",
      metrics: this.metrics,
      loopMetrics,
      dialBroker: () => broker.dialLocal("functions"),
      nodePath: process.execPath,
      release: { version: "0.1.0", commit: "abc" },
      plainProcesses: true,
      ...this.#options,
    });
    this.#handler = this.functions.handler({ trusted: false });
    this.machine = connectMqtt({
      ...ports,
      dial: () => broker.dialLocal("machine"),
      stamped: true,
      clientId: "machine",
      cleanSession: true,
      onMessage() {},
    });
    await this.functions.ready;
  }

  async stop(): Promise<void> {
    await this.machine[Symbol.asyncDispose]();
    await this.functions[Symbol.asyncDispose]();
    await this.broker[Symbol.asyncDispose]();
  }

  publish(topic: string, text: string, retain = false): Promise<void> {
    return this.machine.publish({ topic, payload: new TextEncoder().encode(text), qos: 1, retain });
  }

  async call(
    method: string,
    url: string,
    options: { body?: string; headers?: Record<string, string> } = {},
  ): Promise<Called> {
    const [path = "", query = ""] = url.split("?");
    const answer: HttpAnswer = await this.#handler({
      method,
      path,
      query: new URLSearchParams(query),
      headers: options.headers ?? {},
      remote: "10.0.0.1:5",
      signal: new AbortController().signal,
      body: () => Promise.resolve(new TextEncoder().encode(options.body ?? "")),
      pieces: (async function* () {
        yield new TextEncoder().encode(options.body ?? "");
      })(),
    });
    let body = "";
    if (typeof answer.body === "string") body = answer.body;
    else if (answer.body instanceof Uint8Array) body = new TextDecoder().decode(answer.body);
    return { status: answer.status, body, headers: answer.headers ?? {} };
  }

  /** A function with its code, as kubectl apply makes them. */
  deploy(
    name: string,
    code: string,
    options: {
      language?: "python3" | "node";
      annotations?: Record<string, string>;
      spec?: object;
      namespace?: string;
    } = {},
  ): void {
    const { language = "python3", annotations = {}, spec = {}, namespace = "openfaas-fn" } = options;
    this.api.apply("configmaps", {
      metadata: { name: `${name}-code`, namespace },
      data: { [language === "node" ? "handler.ts" : "handler.py"]: code },
    });
    this.api.apply("functions", {
      apiVersion: "openfaas.com/v1",
      kind: "Function",
      metadata: { name, namespace },
      spec: {
        name,
        image: `cortado.local/${language}:1`,
        annotations: { "cortado.local/source": `${name}-code`, ...annotations },
        ...spec,
      },
    });
  }

  alerts(): readonly { name: string; spec: Record<string, unknown> }[] {
    return this.api
      .all("alerts")
      .map((object) => ({ name: object.metadata.name, spec: object["spec"] as Record<string, unknown> }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
