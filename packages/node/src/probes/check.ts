import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect } from "node:net";
import type { Container, HTTPGetAction, Probe } from "@cortado/kinds";
import type { Clock } from "@cortado/std/clock";
import { messageOf, StatusError } from "@cortado/std/status";
import { decode, encode } from "@cortado/wire/cri";
import { newGrpcClient } from "@cortado/wire/grpc";
import { HOOK_OUTPUT_BYTES_MAX } from "../limits.ts";
import type { Runtime } from "../runtime/runtime.ts";

export type CheckResult = { readonly ok: boolean; readonly message: string };

export type CheckTarget = {
  readonly container: Container;
  readonly containerId: string;
  readonly podIp: string;
};

export type CheckPorts = { readonly runtime: Runtime; readonly clock: Clock; readonly signal: AbortSignal };

/** Anything that can be asked whether it is well: a probe, or a hook. */
export type Action = Pick<Probe, "exec" | "httpGet" | "tcpSocket" | "grpc">;

/** Runs one action once; what goes wrong is a result, not an error. */
export async function check(
  action: Action,
  target: CheckTarget,
  ports: CheckPorts & { readonly timeoutMs: number },
): Promise<CheckResult> {
  if (ports.runtime.simulated) return { ok: true, message: "simulated" };
  const deadline = new AbortController();
  const alarm = ports.clock.after(ports.timeoutMs, () =>
    deadline.abort(new StatusError("Timeout", `no answer for ${ports.timeoutMs} ms`)),
  );
  const signal = AbortSignal.any([ports.signal, deadline.signal]);
  try {
    if (action.exec !== undefined)
      return await checkExec(action.exec.command ?? [], target, { ...ports, signal });
    if (action.httpGet !== undefined) return await checkHttp(action.httpGet, target, signal);
    if (action.tcpSocket !== undefined) {
      const { host, port } = action.tcpSocket;
      return await checkTcp({ host: host ?? target.podIp, port: portNumber(port, target.container) }, signal);
    }
    if (action.grpc !== undefined) return await checkGrpc(action.grpc, target, signal);
    return { ok: true, message: "" };
  } catch (error) {
    return { ok: false, message: messageOf(error) };
  } finally {
    alarm[Symbol.dispose]();
  }
}

async function checkExec(
  command: readonly string[],
  target: CheckTarget,
  ports: CheckPorts & { readonly timeoutMs: number },
): Promise<CheckResult> {
  try {
    const result = await ports.runtime.run(
      { id: target.containerId, command, timeoutMs: ports.timeoutMs },
      { signal: ports.signal },
    );
    const output = Buffer.concat([result.stdout, result.stderr])
      .subarray(0, HOOK_OUTPUT_BYTES_MAX)
      .toString("utf8");
    return { ok: result.exitCode === 0, message: output };
  } catch (error) {
    const timedOut = error instanceof StatusError && error.reason === "Timeout";
    return {
      ok: false,
      message: timedOut
        ? `command "${command.join(" ")}" timed out after ${ports.timeoutMs / 1_000}s`
        : messageOf(error),
    };
  }
}

function checkHttp(action: HTTPGetAction, target: CheckTarget, signal: AbortSignal): Promise<CheckResult> {
  const port = portNumber(action.port, target.container);
  const host = action.host ?? target.podIp;
  const secure = action.scheme === "HTTPS";
  const path =
    action.path === undefined || action.path === ""
      ? "/"
      : action.path.startsWith("/")
        ? action.path
        : `/${action.path}`;
  const headers: Record<string, string> = {
    "user-agent": "kube-probe/1.36",
    accept: "*/*",
    connection: "close",
  };
  for (const { name, value } of action.httpHeaders ?? []) headers[name.toLowerCase()] = value;
  return new Promise((resolve) => {
    const request = (secure ? httpsRequest : httpRequest)(
      { host, port, path, headers, signal, agent: false, rejectUnauthorized: false },
      (response) => {
        const code = response.statusCode ?? 0;
        response.resume();
        response.on("close", () =>
          resolve({ ok: code >= 200 && code < 400, message: `HTTP probe failed with statuscode: ${code}` }),
        );
      },
    );
    request.on("error", (error) =>
      resolve({
        ok: false,
        message: `Get "${secure ? "https" : "http"}://${host}:${port}${path}": ${errorText(error, signal)}`,
      }),
    );
    request.end();
  });
}

function checkTcp(
  address: { readonly host: string; readonly port: number },
  signal: AbortSignal,
): Promise<CheckResult> {
  return new Promise((resolve) => {
    const socket = connect(address);
    const abort = (): void => void socket.destroy(new Error("i/o timeout"));
    signal.addEventListener("abort", abort, { once: true });
    const settle = (result: CheckResult): void => {
      signal.removeEventListener("abort", abort);
      socket.destroy();
      resolve(result);
    };
    socket.on("connect", () => settle({ ok: true, message: "" }));
    socket.on("error", (error) =>
      settle({ ok: false, message: `dial tcp ${address.host}:${address.port}: ${error.message}` }),
    );
  });
}

const SERVING = 1;

async function checkGrpc(
  action: NonNullable<Probe["grpc"]>,
  target: CheckTarget,
  signal: AbortSignal,
): Promise<CheckResult> {
  using client = newGrpcClient({
    address: { host: target.podIp, port: action.port },
    messageBytesMax: HOOK_OUTPUT_BYTES_MAX,
  });
  const request = encode("HealthCheckRequest", { service: action.service ?? "" });
  const { status = 0 } = decode(
    "HealthCheckResponse",
    await client.unary({ method: "/grpc.health.v1.Health/Check", request, signal }),
  );
  return { ok: status === SERVING, message: `service unhealthy (responded with status ${status})` };
}

function portNumber(port: number | string, container: Container): number {
  if (typeof port === "number") return port;
  const named = (container.ports ?? []).find((one) => one.name === port)?.containerPort ?? Number(port);
  if (!Number.isInteger(named))
    throw new StatusError("BadRequest", `container ${container.name} has no port named ${port}`);
  return named;
}

function errorText(error: Error, signal: AbortSignal): string {
  return signal.aborted
    ? "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    : error.message;
}
