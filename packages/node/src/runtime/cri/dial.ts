import { request as httpRequest } from "node:http";
import type { Duplex } from "node:stream";
import type { Clock } from "@cortado/std/clock";
import { StatusError } from "@cortado/std/status";
import { SpdySession, type SpdyStream } from "@cortado/wire/spdy";
import { STREAM_OPEN_MS, STREAM_UNSENT_BYTES_MAX } from "../../limits.ts";
import type { ForwardEvents, ForwardStream, ProcessEvents, ProcessStreams, StreamSet } from "../runtime.ts";

type Dial = { readonly url: string; readonly clock: Clock; readonly signal: AbortSignal };

/**
 * Opens a process's streams at the runtime's streaming server. SPDY and not WebSocket: containerd's WebSocket knows no way to half-close
 * stdin, so `cat` in a container would never end.
 */
export async function dialProcess({
  streams,
  ...dial
}: Dial & { readonly streams: StreamSet }): Promise<ProcessStreams> {
  const { socket, session } = await dialSpdy({ ...dial, protocol: "v4.channel.k8s.io" });
  const open = (streamType: string): SpdyStream => session.open({ streamType });
  // The order is client-go's (tools/remotecommand/v2.go); the server waits until all it expects are there.
  const error = open("error");
  const stdin = streams.stdin ? open("stdin") : undefined;
  const stdout = streams.stdout ? open("stdout") : undefined;
  const stderr = streams.stderr && !streams.tty ? open("stderr") : undefined;
  const resize = streams.tty ? open("resize") : undefined;
  const congestion = watchCongestion(socket);
  return {
    handle: (events) => {
      congestion.tell = (full) => events.congested(full);
      handleProcess({ events, error, outputs: { stdout, stderr }, socket, session });
    },
    writeStdin: (bytes) => {
      stdin?.write(bytes);
      congestion.check();
    },
    endStdin: () => stdin?.end(),
    resize: ({ width, height }) =>
      resize?.write(new TextEncoder().encode(JSON.stringify({ Width: width, Height: height }))),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    destroy: () => void socket.destroy(),
  };
}

type Handled = {
  readonly events: ProcessEvents;
  readonly error: SpdyStream;
  readonly outputs: { readonly stdout: SpdyStream | undefined; readonly stderr: SpdyStream | undefined };
  readonly socket: Duplex;
  readonly session: SpdySession;
};

// The status comes on the error stream; output may still be on its way, so the end is told when all three are over.
function handleProcess({ events, error, outputs, socket, session }: Handled): void {
  const statusParts: Uint8Array[] = [];
  let open = 1;
  let told = false;
  const oneEnded = (): void => {
    open -= 1;
    if (open > 0 || told) return;
    told = true;
    events.ended(readStatus(Buffer.concat(statusParts)));
    session.close();
    socket.end();
  };
  const follow = (stream: SpdyStream | undefined, data: (bytes: Uint8Array) => void): void => {
    if (stream === undefined) return;
    open += 1;
    let ended = false;
    const end = (): void => {
      if (ended) return;
      ended = true;
      oneEnded();
    };
    stream.handle({ data, ended: end, closed: end });
  };
  follow(outputs.stdout, (bytes) => events.stdout(bytes));
  follow(outputs.stderr, (bytes) => events.stderr(bytes));
  follow(error, (bytes) => void statusParts.push(bytes.slice()));
  oneEnded();
}

function readStatus(bytes: Uint8Array): object {
  const text = new TextDecoder().decode(bytes);
  if (text === "") return { metadata: {}, status: "Success" };
  try {
    return JSON.parse(text) as object;
  } catch {
    return { metadata: {}, status: "Failure", reason: "InternalError", message: text, code: 500 };
  }
}

/** Opens one connection to a port inside a pod's network namespace, localhost included. */
export async function dialForward({
  port,
  ...dial
}: Dial & { readonly port: number }): Promise<ForwardStream> {
  const { socket, session } = await dialSpdy({ ...dial, protocol: "portforward.k8s.io" });
  const headers = { port: String(port), requestID: "0" };
  const error = session.open({ streamType: "error", ...headers });
  error.end(); // as client-go does: nothing is ever written to it from this side
  const data = session.open({ streamType: "data", ...headers });
  const congestion = watchCongestion(socket);
  return {
    handle: (events) => {
      congestion.tell = (full) => events.congested(full);
      handleForward({ events, error, data, socket, session });
    },
    write: (bytes) => {
      data.write(bytes);
      congestion.check();
    },
    end: () => data.end(),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    destroy: () => void socket.destroy(),
  };
}

type HandledForward = {
  readonly events: ForwardEvents;
  readonly error: SpdyStream;
  readonly data: SpdyStream;
  readonly socket: Duplex;
  readonly session: SpdySession;
};

// Why a connection failed comes on the error stream, before or after the end of the data: over it is when both are.
function handleForward({ events, error, data, socket, session }: HandledForward): void {
  let failure: Error | undefined;
  let open = 2;
  const oneClosed = (cause: Error | undefined): void => {
    failure ??= cause;
    open -= 1;
    if (open > 0) return;
    events.closed(failure);
    session.close();
    socket.end();
  };
  const said: Uint8Array[] = [];
  error.handle({
    data: (bytes) => void said.push(bytes.slice()),
    ended: () => {
      if (said.length > 0)
        failure = new StatusError("ServiceUnavailable", new TextDecoder().decode(Buffer.concat(said)));
    },
    closed: oneClosed,
  });
  data.handle({ data: (bytes) => events.data(bytes), ended: () => events.ended(), closed: oneClosed });
}

type Congestion = { tell: (full: boolean) => void; readonly check: () => void };

function watchCongestion(socket: Duplex): Congestion {
  let full = false;
  const congestion: Congestion = {
    tell: () => undefined,
    check() {
      if (full || socket.writableLength < STREAM_UNSENT_BYTES_MAX) return;
      full = true;
      congestion.tell(true);
    },
  };
  socket.on("drain", () => {
    if (!full) return;
    full = false;
    congestion.tell(false);
  });
  return congestion;
}

type Dialled = { readonly socket: Duplex; readonly session: SpdySession };

function dialSpdy({ url, protocol, clock, signal }: Dial & { readonly protocol: string }): Promise<Dialled> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, {
      method: "POST",
      agent: false,
      headers: { connection: "Upgrade", upgrade: "SPDY/3.1", "x-stream-protocol-version": protocol },
    });
    const alarm = clock.after(STREAM_OPEN_MS, () =>
      request.destroy(new Error("no answer from the runtime's streaming server")),
    );
    const abort = (): void => void request.destroy(new Error("given up"));
    const settle = (): void => {
      alarm[Symbol.dispose]();
      signal.removeEventListener("abort", abort);
    };
    signal.addEventListener("abort", abort, { once: true });
    request.on("upgrade", (_response, socket, head) => {
      settle();
      resolve(startSession(socket, head));
    });
    request.on("response", (response) => {
      settle();
      response.resume();
      reject(new StatusError("BadGateway", `the runtime's streaming server answered ${response.statusCode}`));
    });
    request.on("error", (cause) => {
      settle();
      reject(
        new StatusError("ServiceUnavailable", `the runtime's streaming server: ${cause.message}`, { cause }),
      );
    });
    request.end();
  });
}

function startSession(socket: Duplex, head: Buffer): Dialled {
  const session = new SpdySession({
    role: "client",
    write: (bytes) => void socket.write(bytes),
  });
  socket.on("data", (bytes: Uint8Array) => session.receive(bytes));
  socket.on("error", (error) => session.close(error));
  socket.on("close", () => session.close());
  if (head.byteLength > 0) session.receive(head);
  return { socket, session };
}
