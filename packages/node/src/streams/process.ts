import type { Duplex } from "node:stream";
import { StatusError, toStatusError } from "@cortado/std/status";
import { acceptWebSocket, offeredProtocol, type AcceptedWebSocket } from "@cortado/wire/websocket";
import type { SpdyStream } from "@cortado/wire/spdy";
import { STREAM_MESSAGE_BYTES_MAX, STREAM_OPEN_MS } from "../limits.ts";
import type { ProcessStreams, StreamSet } from "../runtime/runtime.ts";
import type { StreamsPorts, Upgrade } from "./requests.ts";
import { acceptSpdy, holdBack, spdyProtocol, upgradeKind } from "./upgrade.ts";

type Open = (streams: StreamSet) => Promise<ProcessStreams>;
type Ports = Pick<StreamsPorts, "clock" | "log">;

/** Joins a kubectl to a process in a container, by whichever of the two protocols it speaks. */
export async function serveProcess(
  streams: StreamSet,
  upgrade: Upgrade,
  ports: Ports,
  open: Open,
): Promise<void> {
  const wanted: StreamSet = {
    stdin: streams.stdin,
    stdout: streams.stdout,
    stderr: streams.stderr && !streams.tty,
    tty: streams.tty,
  };
  if (!wanted.stdin && !wanted.stdout && !wanted.stderr)
    throw new StatusError("BadRequest", "you must specify at least 1 of stdin, stdout, stderr");
  if (upgradeKind(upgrade.request) === "websocket") await serveWebSocket(wanted, upgrade, open);
  else serveSpdy(wanted, upgrade, ports, open);
}

// Channels of the WebSocket protocols (apimachinery, pkg/util/remotecommand and httpstream/wsstream).
const STDIN = 0;
const STDOUT = 1;
const STDERR = 2;
const ERROR = 3;
const RESIZE = 4;
const CLOSE = 255;
const webSocketProtocols = [
  "v5.channel.k8s.io",
  "v4.channel.k8s.io",
  "v4.base64.channel.k8s.io",
  "channel.k8s.io",
  "base64.channel.k8s.io",
] as const;

async function serveWebSocket(wanted: StreamSet, upgrade: Upgrade, open: Open): Promise<void> {
  const protocol = offeredProtocol(upgrade.request, webSocketProtocols);
  if (protocol === undefined && upgrade.request.headers["sec-websocket-protocol"] !== undefined)
    throw new StatusError(
      "Forbidden",
      `none of the offered WebSocket protocols is known; we speak ${webSocketProtocols.join(", ")}`,
    );
  const process = await open(wanted);
  const accepted = (socket: AcceptedWebSocket): void =>
    joinWebSocket({ socket, process, wanted, transport: upgrade.socket });
  upgrade.socket.once("close", () => process.destroy());
  acceptWebSocket({
    ...upgrade,
    protocols: webSocketProtocols,
    messageBytesMax: STREAM_MESSAGE_BYTES_MAX,
    accepted,
  });
}

type Join = {
  readonly socket: AcceptedWebSocket;
  readonly process: ProcessStreams;
  readonly wanted: StreamSet;
  readonly transport: Duplex;
};

function joinWebSocket({ socket, process, wanted, transport }: Join): void {
  const base64 = socket.protocol.includes("base64");
  const hasStatus = socket.protocol.startsWith("v4") || socket.protocol.startsWith("v5");
  const send = (channel: number, bytes: Uint8Array): void => {
    if (base64) socket.sendText(String(channel) + Buffer.from(bytes).toString("base64"));
    else socket.send(Buffer.concat([Uint8Array.of(channel), bytes]));
    hold();
  };
  const hold = holdBack(transport, process);
  // An empty message tells the client that all is set up (kubelet, cri/streaming/remotecommand/websocket.go).
  send(wanted.stdout ? STDOUT : wanted.stderr ? STDERR : ERROR, new Uint8Array(0));
  process.handle({
    stdout: (bytes) => send(STDOUT, bytes),
    stderr: (bytes) => send(STDERR, bytes),
    ended(status) {
      const text = hasStatus ? JSON.stringify(status) : failureText(status);
      if (text !== "") send(ERROR, Buffer.from(text));
      socket.close();
    },
    congested: (full) => (full ? socket.pause() : socket.resume()),
  });
  socket.handle({
    message(bytes) {
      const channel = base64 ? (bytes[0] ?? 0) - 48 : bytes[0];
      const rest = base64
        ? Buffer.from(Buffer.from(bytes.subarray(1)).toString("latin1"), "base64")
        : bytes.subarray(1);
      if (channel === STDIN) process.writeStdin(rest);
      else if (channel === RESIZE) resize(process, rest);
      else if (channel === CLOSE && rest[0] === STDIN) process.endStdin();
    },
    closed: () => process.destroy(),
  });
}

const spdyProtocols = ["v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io"] as const;

function serveSpdy(wanted: StreamSet, upgrade: Upgrade, { clock, log }: Ports, open: Open): void {
  const protocol = spdyProtocol(upgrade.request, spdyProtocols);
  const expected = ["error", ...(["stdin", "stdout", "stderr"] as const).filter((name) => wanted[name])];
  if (wanted.tty && protocol !== "v2.channel.k8s.io") expected.push("resize");
  const streams = new Map<string, SpdyStream>();
  const process: { streams?: ProcessStreams } = {};
  const alarm = clock.after(STREAM_OPEN_MS, () => upgrade.socket.destroy());
  const opened = (stream: SpdyStream): void => {
    const type = stream.headers["streamtype"] ?? "";
    if (!expected.includes(type) || streams.has(type)) {
      stream.reset();
      return;
    }
    stream.reply();
    streams.set(type, stream);
    if (streams.size < expected.length) return;
    alarm[Symbol.dispose]();
    // Input waits in the client's socket, not here, until the process is there to take it.
    upgrade.socket.pause();
    void start().finally(() => upgrade.socket.resume());
  };
  const finish = (status: object): void => {
    const text = protocol === "v4.channel.k8s.io" ? JSON.stringify(status) : failureText(status);
    const error = streams.get("error");
    if (text !== "") error?.write(Buffer.from(text));
    for (const stream of streams.values()) stream.end();
    // The client closes the session when it has read the status; one that does not is let go after a while.
    clock.after(1_000, () => upgrade.socket.end());
  };
  const start = async (): Promise<void> => {
    try {
      process.streams = await open(wanted);
      joinSpdy({ streams, process: process.streams, transport: upgrade.socket, finish });
    } catch (error) {
      log.debug("process not started", { error });
      finish(toStatusError(error).toStatus());
    }
  };
  const closed = (): void => {
    alarm[Symbol.dispose]();
    process.streams?.destroy();
  };
  acceptSpdy({ upgrade, protocol, opened, closed });
}

type JoinSpdy = {
  readonly streams: ReadonlyMap<string, SpdyStream>;
  readonly process: ProcessStreams;
  readonly transport: Duplex;
  readonly finish: (status: object) => void;
};

function joinSpdy({ streams, process, transport, finish }: JoinSpdy): void {
  const hold = holdBack(transport, process);
  const to = (name: string) => (bytes: Uint8Array) => {
    streams.get(name)?.write(bytes);
    hold();
  };
  const quiet = { ended: () => undefined, closed: () => undefined };
  streams.get("stdin")?.handle({
    data: (bytes) => process.writeStdin(bytes),
    ended: () => process.endStdin(),
    closed: () => undefined,
  });
  streams.get("resize")?.handle({ data: (bytes) => resize(process, bytes), ...quiet });
  for (const name of ["error", "stdout", "stderr"])
    streams.get(name)?.handle({ data: () => undefined, ...quiet });
  process.handle({
    stdout: to("stdout"),
    stderr: to("stderr"),
    ended: finish,
    congested: (full) => void (full ? transport.pause() : transport.resume()),
  });
}

function resize(process: ProcessStreams, bytes: Uint8Array): void {
  for (const line of new TextDecoder().decode(bytes).split("\n")) {
    if (line.trim() === "") continue;
    try {
      const { Width: width, Height: height } = JSON.parse(line) as { Width?: number; Height?: number };
      if (width !== undefined && height !== undefined) process.resize({ width, height });
    } catch {
      return; // a size that cannot be read leaves the terminal as it is
    }
  }
}

function failureText(status: object): string {
  const { status: outcome, message = "" } = status as { status?: string; message?: string };
  return outcome === "Success" ? "" : message;
}
