import { mkdir, readFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { StatusError } from "@cortado/std/status";
import { wanOf } from "./box.ts";
import { waitFor } from "./command.ts";
import { openDoor } from "./doors.ts";
import { BOOT_MS_MAX, HUB_PORT, TOKEN_MS_MAX, WAN_PREFIX } from "./limits.ts";
import { PlainProcess } from "./plain-process.ts";
import { answersReady } from "./questions.ts";
import type { HubEntry, HubPorts } from "./state.ts";

/** What `cortado hub` is told in the demo. */
export type HubPlan = {
  readonly dataDir: string;
  /** Holds api.sock, for TLS, and hub.sock, for plain HTTP with a password. */
  readonly socketDir: string;
  readonly kubeconfig: string;
  /** What the kubeconfig says the server is: the door on this machine. */
  readonly apiUrl: string;
  /** As stores reach it. */
  readonly url: string;
  readonly listen: { readonly address: string; readonly port: number };
};

export type DemoHubOptions = {
  readonly folder: string;
  readonly sockets: string;
  readonly demoId: string;
  readonly runtime: "containerd" | "simulated";
  readonly ports: HubPorts;
  readonly command: (plan: HubPlan) => readonly string[];
};

type RepoState = {
  readonly status?: {
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly readyClusters?: number;
  };
};

/** The name that `cortado demo kill` and `boot` know it by. */
export const HUB = "hub";

/** The hub of a demo: a process in the wide area, where stores reach it by their uplinks and nothing reaches them. */
export class DemoHub {
  readonly plan: HubPlan;
  readonly process: PlainProcess;
  readonly #ports: HubPorts;
  readonly #logFile: string;
  #password: string | undefined;

  constructor({ folder, sockets, demoId, runtime, ports, command }: DemoHubOptions) {
    const isReal = runtime === "containerd";
    const apiUrl = `https://127.0.0.1:${ports.api}`;
    this.#ports = ports;
    this.#logFile = join(folder, "logs", "hub.log");
    this.plan = {
      dataDir: join(folder, "hub", "data"),
      socketDir: join(sockets, HUB),
      kubeconfig: join(folder, "hub", "kubeconfig.yaml"),
      apiUrl,
      url: isReal ? `https://${WAN_PREFIX}.1:${HUB_PORT}` : apiUrl,
      listen: isReal ? { address: "0.0.0.0", port: HUB_PORT } : { address: "127.0.0.1", port: 0 },
    };
    const enter = isReal ? ["nsenter", `--net=/run/netns/${wanOf(demoId)}`, "--"] : [];
    this.process = new PlainProcess({
      name: HUB,
      command: [...enter, ...command(this.plan)],
      logFile: this.#logFile,
    });
  }

  /** Boots it behind its doors on this machine. */
  async bring(open: AsyncDisposableStack): Promise<void> {
    const { dataDir, socketDir } = this.plan;
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    await mkdir(socketDir, { recursive: true, mode: 0o700 });
    open.use(await openDoor({ port: this.#ports.api, socket: join(socketDir, "api.sock") }));
    open.use(await openDoor({ port: this.#ports.plain, socket: join(socketDir, "hub.sock") }));
    await this.process.boot();
  }

  async untilServing(signal: AbortSignal): Promise<void> {
    const look = async (): Promise<true | undefined> =>
      signal.aborted || (await answersReady(`${this.plan.apiUrl}/readyz`)) ? true : undefined;
    await waitFor(`the hub; its log is ${this.#logFile} and`, look, { withinMs: BOOT_MS_MAX, everyMs: 50 });
    const path = join(this.plan.dataDir, "server", "hub-password");
    this.#password ??= (await readFile(path, "utf8").catch(() => undefined))?.trim();
  }

  /** What stores join with: the token of a ClusterRegistrationToken, made if it is not there. */
  async token(): Promise<string> {
    const namespace = "fleet-default";
    const wish = {
      apiVersion: "fleet.cattle.io/v1alpha1",
      kind: "ClusterRegistrationToken",
      metadata: { name: "stores", namespace },
    };
    const tokens = `/apis/fleet.cattle.io/v1alpha1/namespaces/${namespace}/clusterregistrationtokens`;
    const made = await this.#ask("POST", tokens, wish);
    if (made.status !== 201 && made.status !== 409)
      throw new StatusError("InternalError", `the hub makes no registration token: ${made.text}`);
    const look = async (): Promise<string | undefined> => {
      const { status, text } = await this.#ask("GET", `/api/v1/namespaces/${namespace}/secrets/stores`);
      const data = status === 200 ? (JSON.parse(text) as { data?: { token?: string } }).data : undefined;
      return data?.token === undefined ? undefined : Buffer.from(data.token, "base64").toString("utf8");
    };
    return await waitFor("the hub's registration token", look, { withinMs: TOKEN_MS_MAX, everyMs: 50 });
  }

  /** Have so many stores all that the hub's own repository wants of them? False while nobody answers. */
  async hasSteered(stores: number): Promise<boolean> {
    const repo = "/apis/fleet.cattle.io/v1alpha1/namespaces/fleet-default/gitrepos/coffee-shop";
    const { status, text } = await this.#ask("GET", repo).catch(() => ({ status: 0, text: "" }));
    if (status !== 200) return false;
    const { conditions = [], readyClusters = 0 } = (JSON.parse(text) as RepoState).status ?? {};
    // It is not Ready before all of its bundles are known: a store that has none yet is ready, too.
    const isReady = conditions.some(({ type, status: is }) => type === "Ready" && is === "True");
    return isReady && readyClusters >= stores;
  }

  async entry(): Promise<HubEntry> {
    const { api, plain } = this.#ports;
    const who = `admin:${this.#password ?? ""}`;
    return {
      kubeconfig: this.plan.kubeconfig,
      url: `https://${who}@127.0.0.1:${api}`,
      dashboard: `http://${who}@127.0.0.1:${plain}/dashboard`,
      git: `http://${who}@127.0.0.1:${plain}/git/coffee-shop.git`,
      pid: (await this.process.pid()) ?? null,
    };
  }

  #ask(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ readonly status: number; readonly text: string }> {
    const headers = { "content-type": "application/json" };
    const socketPath = join(this.plan.socketDir, "hub.sock");
    return new Promise((resolve, reject) => {
      const asked = { socketPath, path, method, headers, auth: `admin:${this.#password ?? ""}` };
      const outgoing = request(asked, (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (part: string) => (text += part));
        response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
        response.on("error", reject);
      });
      outgoing.on("error", reject);
      outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}
