import {
  connect as connectHttp2,
  constants,
  type ClientHttp2Session,
  type ClientHttp2Stream,
} from "node:http2";
import { connect as connectSocket } from "node:net";
import { StatusError } from "@cortado/std/status";
import type { Address } from "@cortado/std/net";
import { addressText } from "@cortado/std/net";
import { FrameReader, grpcError, toFrame } from "../frame.ts";

export type GrpcClientOptions = {
  readonly address: Address;
  /** The kubelet allows 16 MiB (kubelet, pkg/cri/remote, maxMsgSize). */
  readonly messageBytesMax: number;
};

export type GrpcCall = {
  readonly method: string;
  readonly request: Uint8Array;
  readonly signal: AbortSignal;
};

/** One HTTP/2 session to a gRPC server, dialled when first needed and again after it broke. */
export interface GrpcClient extends Disposable {
  /** @throws StatusError as the server's code says; "ServiceUnavailable" when it cannot be reached */
  unary(call: GrpcCall): Promise<Uint8Array>;
  /** Calls `received` for each message; resolves when the server ends the stream well. */
  stream(call: GrpcCall & { readonly received: (message: Uint8Array) => void }): Promise<void>;
}

export function newGrpcClient(options: GrpcClientOptions): GrpcClient {
  let session: ClientHttp2Session | undefined;
  const live = (): ClientHttp2Session => {
    if (session === undefined || session.closed || session.destroyed) session = openSession(options.address);
    return session;
  };
  return {
    async unary(call) {
      let answer: Uint8Array | undefined;
      await run({ session: live(), options, call, received: (message) => (answer = message) });
      if (answer === undefined)
        throw new StatusError("InternalError", `${call.method}: the server answered without a message`);
      return answer;
    },
    stream: (call) => run({ session: live(), options, call, received: call.received }),
    [Symbol.dispose]: () => session?.destroy(),
  };
}

function openSession(address: Address): ClientHttp2Session {
  const session = connectHttp2("http://localhost", {
    createConnection: () =>
      "path" in address ? connectSocket(address.path) : connectSocket({ ...address, noDelay: true }),
    settings: { initialWindowSize: 4 * 1024 * 1024, enablePush: false },
  });
  // Each call hears of the loss by its own stream; the session's event only has to be taken.
  session.on("error", () => undefined);
  return session;
}

type Run = {
  readonly session: ClientHttp2Session;
  readonly options: GrpcClientOptions;
  readonly call: GrpcCall;
  readonly received: (message: Uint8Array) => void;
};

function run({ session, options, call, received }: Run): Promise<void> {
  return new Promise((resolve, reject) => {
    if (call.signal.aborted) {
      reject(aborted(call));
      return;
    }
    const stream = request(session, call);
    const reader = new FrameReader({ messageBytesMax: options.messageBytesMax });
    let status: { readonly code: number; readonly message: string } | undefined;
    let failure: Error | undefined;
    const note = (headers: Readonly<Record<string, unknown>>): void => {
      if (headers["grpc-status"] === undefined) return;
      status = { code: Number(headers["grpc-status"]), message: String(headers["grpc-message"] ?? "") };
    };
    const abort = (): void => stream.close(constants.NGHTTP2_CANCEL);
    call.signal.addEventListener("abort", abort, { once: true });
    stream.on("response", note);
    stream.on("trailers", note);
    stream.on("data", (bytes: Uint8Array) => {
      try {
        for (const message of reader.push(bytes)) received(message);
      } catch (error) {
        failure = error as Error;
        stream.close(constants.NGHTTP2_CANCEL);
      }
    });
    stream.on("error", (error) => (failure ??= error));
    stream.on("close", () => {
      call.signal.removeEventListener("abort", abort);
      if (status !== undefined && status.code === 0) resolve();
      else if (status !== undefined) reject(grpcError({ method: call.method, ...status }));
      else if (call.signal.aborted) reject(aborted(call));
      else reject(unreachable({ call, address: options.address, cause: failure }));
    });
  });
}

function request(session: ClientHttp2Session, call: GrpcCall): ClientHttp2Stream {
  const stream = session.request({
    ":method": "POST",
    ":path": call.method,
    "content-type": "application/grpc",
    te: "trailers",
  });
  stream.end(toFrame(call.request));
  return stream;
}

function aborted(call: GrpcCall): StatusError {
  return new StatusError("Timeout", `${call.method.slice(call.method.lastIndexOf("/") + 1)}: given up`, {
    cause: call.signal.reason,
  });
}

function unreachable(at: {
  readonly call: GrpcCall;
  readonly address: Address;
  readonly cause: Error | undefined;
}): StatusError {
  if (at.cause instanceof StatusError) return at.cause;
  const why = at.cause === undefined ? "the connection ended" : at.cause.message;
  return new StatusError(
    "ServiceUnavailable",
    `${at.call.method}: ${addressText(at.address)} does not answer: ${why}`,
    at.cause === undefined ? {} : { cause: at.cause },
  );
}
