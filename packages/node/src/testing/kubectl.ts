import { spawn, spawnSync } from "node:child_process";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { StatusError, toStatusError } from "@cortado/std/status";
import type { BoxWorld } from "./world.ts";

/** The kubectl to test with; undefined when there is none. */
export function kubectl(): string | undefined {
  const { KUBECTL } = process.env;
  if (KUBECTL !== undefined) return KUBECTL;
  return spawnSync("sh", ["-c", "command -v kubectl"], { encoding: "utf8" }).stdout.trim() || undefined;
}

export type KubectlRun = { readonly stdout: string; readonly stderr: string; readonly code: number | null };
export type RunOptions = {
  readonly url: string;
  readonly args: readonly string[];
  readonly input?: string;
  readonly awaited?: string;
  readonly env?: Readonly<Record<string, string>>;
};

export function runKubectl({ url, args, input = "", env = {}, awaited }: RunOptions): Promise<KubectlRun> {
  return new Promise((resolve) => {
    const child = spawn(kubectl() ?? "kubectl", ["--server", url, "-n", "n", ...args], {
      env: { ...process.env, ...env, HOME: "/nonexistent" },
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on("data", (bytes: Buffer) => {
      out.push(bytes);
      if (awaited !== undefined && Buffer.concat(out).toString("utf8").includes(awaited)) child.stdin.end();
    });
    child.stderr.on("data", (bytes: Buffer) => err.push(bytes));
    const timer = setTimeout(() => child.kill("SIGKILL"), 20_000);
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve({
        stdout: Buffer.concat(out).toString("utf8"),
        stderr: Buffer.concat(err).toString("utf8"),
        code,
      });
    });
    child.stdin.on("error", () => undefined);
    // Where the answer to the input is waited for, the input ends only then.
    if (awaited === undefined) child.stdin.end(input);
    else child.stdin.write(input);
  });
}

/** `kubectl port-forward` of pod web's port 8080 to a free one, until it is disposed. */
export async function startForward({
  url,
  env,
}: Pick<RunOptions, "url" | "env">): Promise<AsyncDisposable & { readonly port: number }> {
  const child = spawn(
    kubectl() ?? "kubectl",
    ["--server", url, "-n", "n", "port-forward", "pod/web", ":8080"],
    { env: { ...process.env, ...env, HOME: "/nonexistent" } },
  );
  let text = "";
  const closed = new Promise<void>((resolve) => child.on("close", () => resolve()));
  const port = await new Promise<number>((resolve, reject) => {
    const look = (bytes: Buffer): void => {
      text += bytes.toString("utf8");
      const found = /127\.0\.0\.1:(\d+) ->/.exec(text)?.[1];
      if (found !== undefined) resolve(Number(found));
    };
    child.stdout.on("data", look);
    child.stderr.on("data", look);
    void closed.then(() => reject(new Error(`kubectl port-forward: ${text}`)));
  });
  return {
    port,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await closed;
    },
  };
}

const podResource = {
  name: "pods",
  singularName: "pod",
  namespaced: true,
  kind: "Pod",
  verbs: ["get", "list"],
  shortNames: ["po"],
};
const discovery: Readonly<Record<string, object>> = {
  "/api": { kind: "APIVersions", versions: ["v1"] },
  "/apis": { kind: "APIGroupList", apiVersion: "v1", groups: [] },
  "/api/v1": { kind: "APIResourceList", groupVersion: "v1", resources: [podResource] },
};

/** As much of an API server as kubectl's stream commands need, before a node's streams. */
export async function serveKubectl(world: BoxWorld): Promise<AsyncDisposable & { readonly url: string }> {
  const server = createServer();
  server.on("request", (request, response) => {
    void (async () => {
      const { pod, verb, query } = route(request);
      try {
        if (verb === "log") {
          const signal = world.signal;
          const tailLines = query.get("tailLines");
          const options = {
            follow: query.get("follow") === "true",
            timestamps: query.get("timestamps") === "true",
            ...(tailLines === null ? {} : { tailLines: Number(tailLines) }),
          };
          for await (const bytes of await world.node.streams.log({ namespace: "n", pod, ...options, signal }))
            response.write(bytes);
          response.end();
          return;
        }
        const discovered = discovery[(request.url ?? "").split("?")[0] ?? ""];
        if (discovered !== undefined) {
          response.setHeader("content-type", "application/json");
          response.end(JSON.stringify(discovered));
          return;
        }
        const object = world.api.find("pods", `n/${pod}`);
        if (object === undefined || verb !== undefined)
          throw new StatusError("NotFound", `${request.method} ${request.url} not found`);
        response.setHeader("content-type", "application/json");
        response.end(JSON.stringify({ ...object, apiVersion: "v1", kind: "Pod" }));
      } catch (error) {
        const status = toStatusError(error);
        response
          .writeHead(status.code, { "content-type": "application/json" })
          .end(JSON.stringify(status.toStatus()));
      }
    })();
  });
  server.on("upgrade", (request, socket, head) => {
    const { pod, verb, query } = route(request);
    const on = (name: string): boolean => query.get(name) === "true" || query.get(name) === "1";
    const container = query.get("container");
    const streams = { stdin: on("stdin"), stdout: on("stdout"), stderr: on("stderr"), tty: on("tty") };
    const target = { namespace: "n", pod, ...(container === null ? {} : { container }), ...streams };
    const upgrade = { request, socket, head };
    socket.on("error", () => undefined);
    const work =
      verb === "exec"
        ? world.node.streams.exec({ ...target, command: query.getAll("command") }, upgrade)
        : verb === "attach"
          ? world.node.streams.attach(target, upgrade)
          : world.node.streams.portForward({ namespace: "n", pod, ports: [] }, upgrade);
    work.catch((error: unknown) => {
      const status = toStatusError(error);
      const body = JSON.stringify(status.toStatus());
      socket.end(
        `HTTP/1.1 ${status.code} Error\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

function route(request: IncomingMessage): {
  readonly pod: string;
  readonly verb: string | undefined;
  readonly query: URLSearchParams;
} {
  const url = new URL(request.url ?? "/", "http://localhost");
  const [, , , , , , pod = "", verb] = url.pathname.split("/");
  return { pod, verb, query: url.searchParams };
}
