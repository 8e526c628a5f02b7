import { decode, encode } from "@cortado/wire/cri";
import { callPath, calls, type CallName } from "@cortado/wire/cri/calls";
import type { Message, MessageName } from "@cortado/wire/cri/schema";
import { newGrpcClient, type GrpcClient } from "@cortado/wire/grpc";
import type { Clock } from "@cortado/std/clock";
import { hasReason, StatusError } from "@cortado/std/status";
import { RUNTIME_CALL_MS, RUNTIME_MESSAGE_BYTES_MAX } from "../../limits.ts";
import { containerNameLabel, podUidLabel } from "../labels.ts";
import type {
  ContainerPhase,
  PodView,
  Runtime,
  RuntimeContainer,
  RuntimeImage,
  RuntimeRow,
  RuntimeSandbox,
  Waiting,
} from "../runtime.ts";
import { dialForward, dialProcess } from "./dial.ts";

type Request<Name extends CallName> = Message<Extract<(typeof calls)[Name][1], MessageName>>;
type Response<Name extends CallName> = Message<Extract<(typeof calls)[Name][2], MessageName>>;
type Call = <Name extends CallName>(
  name: Name,
  request: Request<Name>,
  options: Waiting & { readonly timeoutMs?: number },
) => Promise<Response<Name>>;

export type CriRuntimeOptions = {
  /** The runtime's Unix socket. */
  readonly socketPath: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
};

/**
 * containerd (1.6 and 2.x), or any runtime that speaks CRI v1.
 * @throws StatusError "ServiceUnavailable" when nothing answers at the socket
 */
export async function openCriRuntime({ socketPath, clock, signal }: CriRuntimeOptions): Promise<Runtime> {
  const client = newGrpcClient({ address: { path: socketPath }, messageBytesMax: RUNTIME_MESSAGE_BYTES_MAX });
  const call = newCall(client, clock);
  try {
    const { runtimeName = "", runtimeVersion = "" } = await call("Version", {}, { signal });
    return {
      version: `${runtimeName}://${runtimeVersion}`,
      simulated: false,
      ...parts({ call, client, clock }),
    };
  } catch (error) {
    client[Symbol.dispose]();
    throw error;
  }
}

function newCall(client: GrpcClient, clock: Clock): Call {
  return async (name, request, { signal, timeoutMs = RUNTIME_CALL_MS }) => {
    const deadline = new AbortController();
    const alarm = clock.after(timeoutMs, () =>
      deadline.abort(new StatusError("Timeout", `${name}: no answer for ${timeoutMs} ms`)),
    );
    try {
      const bytes = await client.unary({
        method: callPath(name),
        request: encode(calls[name][1] as MessageName, request as Message<MessageName>),
        signal: AbortSignal.any([signal, deadline.signal]),
      });
      return decode(calls[name][2] as MessageName, bytes) as Response<typeof name>;
    } finally {
      alarm[Symbol.dispose]();
    }
  };
}

type Parts = { readonly call: Call; readonly client: GrpcClient; readonly clock: Clock };

function parts({ call, client, clock }: Parts): Omit<Runtime, "version" | "simulated"> {
  return {
    async health(options) {
      const { status } = await call("Status", {}, options);
      const wrong = (status?.conditions ?? []).filter((condition) => condition.status !== true);
      return {
        ready: wrong.length === 0,
        message: wrong.map((one) => `${one.type}: ${one.message ?? one.reason}`).join("; "),
      };
    },
    runSandbox: async (config, options) => (await call("RunPodSandbox", { config }, options)).id ?? "",
    stopSandbox: (id, options) => absentIsFine(call("StopPodSandbox", { id }, options)),
    removeSandbox: (id, options) => absentIsFine(call("RemovePodSandbox", { id }, options)),
    createContainer: async ({ sandboxId, config, sandbox }, options) =>
      (await call("CreateContainer", { podSandboxId: sandboxId, config, sandboxConfig: sandbox }, options))
        .id ?? "",
    startContainer: async (id, options) => void (await call("StartContainer", { id }, options)),
    stopContainer: (id, { graceS, signal }) => {
      const request = { containerId: id, timeout: BigInt(Math.max(0, Math.round(graceS))) };
      return absentIsFine(
        call("StopContainer", request, { signal, timeoutMs: RUNTIME_CALL_MS + graceS * 1_000 }),
      );
    },
    removeContainer: (id, options) => absentIsFine(call("RemoveContainer", { id }, options)),
    rows: (options) => rows(call, options),
    pod: (uid, options) => podView({ call, uid, options }),
    watch: (changed, options) => watch({ client, changed, options }),
    ...streamParts(call, clock),
    logs: "files",
    reopenLog: async (id, options) => void (await call("ReopenContainerLog", { id }, options)),
    ...imageParts(call),
    [Symbol.asyncDispose]: () => Promise.resolve(client[Symbol.dispose]()),
  };
}

function streamParts(call: Call, clock: Clock): Pick<Runtime, "run" | "exec" | "attach" | "forward"> {
  return {
    run: async ({ id, command, timeoutMs }, { signal }) => {
      const timeout = BigInt(Math.max(1, Math.ceil(timeoutMs / 1_000)));
      const request = { containerId: id, cmd: command, timeout };
      const { stdout, stderr, exitCode } = await call("ExecSync", request, {
        signal,
        timeoutMs: timeoutMs + 5_000,
      });
      return {
        stdout: stdout ?? new Uint8Array(0),
        stderr: stderr ?? new Uint8Array(0),
        exitCode: exitCode ?? 0,
      };
    },
    exec: async ({ id, command, streams }, options) => {
      const { url = "" } = await call(
        "Exec",
        { containerId: id, cmd: command, ...criStreams(streams) },
        options,
      );
      return dialProcess({ url, streams, clock, ...options });
    },
    attach: async ({ id, streams }, options) => {
      const { url = "" } = await call("Attach", { containerId: id, ...criStreams(streams) }, options);
      return dialProcess({ url, streams, clock, ...options });
    },
    forward: async ({ sandboxId, port }, options) => {
      const { url = "" } = await call("PortForward", { podSandboxId: sandboxId, port: [port] }, options);
      return dialForward({ url, port, clock, ...options });
    },
  };
}

// A TTY has one output; CRI refuses stderr beside it.
function criStreams(streams: {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
}) {
  return { ...streams, stderr: streams.stderr && !streams.tty };
}

function imageParts(
  call: Call,
): Pick<Runtime, "images" | "image" | "pull" | "removeImage" | "imageFolder" | "usage"> {
  return {
    images: async (options) => ((await call("ListImages", {}, options)).images ?? []).map(toImage),
    async image(name, options) {
      const { image } = await call("ImageStatus", { image: { image: name } }, options);
      return image === undefined ? undefined : toImage(image);
    },
    async pull({ image, login }, { signal }) {
      const request = { image: { image }, ...(login === undefined ? {} : { auth: login }) };
      // The puller above has its own, longer patience; CRI's own deadline must not come first.
      return (await call("PullImage", request, { signal, timeoutMs: 24 * 3_600_000 })).imageRef ?? "";
    },
    removeImage: (name, options) => absentIsFine(call("RemoveImage", { image: { image: name } }, options)),
    imageFolder: async (options) =>
      (await call("ImageFsInfo", {}, options)).imageFilesystems?.[0]?.fsId?.mountpoint,
    usage: async (options) => ((await call("ListContainerStats", {}, options)).stats ?? []).map(toUsage),
  };
}

async function rows(call: Call, options: Waiting): Promise<readonly RuntimeRow[]> {
  const [sandboxes, containers] = await Promise.all([
    call("ListPodSandbox", {}, options),
    call("ListContainers", {}, options),
  ]);
  return [
    ...(sandboxes.items ?? []).map((one) => ({
      id: one.id ?? "",
      podUid: one.metadata?.uid ?? "",
      phase: one.state === 1 ? "notready" : "ready",
      kind: "sandbox" as const,
    })),
    ...(containers.containers ?? []).map((one) => ({
      id: one.id ?? "",
      podUid: one.labels?.[podUidLabel] ?? "",
      phase: containerPhases[one.state ?? 0] ?? "unknown",
      kind: "container" as const,
    })),
  ];
}

async function podView({
  call,
  uid,
  options,
}: {
  readonly call: Call;
  readonly uid: string;
  readonly options: Waiting;
}): Promise<PodView> {
  const filter = { labelSelector: { [podUidLabel]: uid } };
  const [sandboxes, containers] = await Promise.all([
    call("ListPodSandbox", { filter }, options),
    call("ListContainers", { filter }, options),
  ]);
  const [sandboxStatuses, containerStatuses] = await Promise.all([
    Promise.all(
      (sandboxes.items ?? []).map((one) =>
        absentIsUndefined(call("PodSandboxStatus", { id: one.id ?? "" }, options)),
      ),
    ),
    Promise.all(
      (containers.containers ?? []).map((one) =>
        absentIsUndefined(call("ContainerStatus", { id: one.id ?? "" }, options)),
      ),
    ),
  ]);
  const sandboxOf = new Map((containers.containers ?? []).map((one) => [one.id, one.podSandboxId ?? ""]));
  return {
    sandboxes: sandboxStatuses
      .flatMap((response) => (response?.status === undefined ? [] : [toSandbox(response.status)]))
      .toSorted((first, second) => second.attempt - first.attempt || second.createdMs - first.createdMs),
    containers: containerStatuses
      .flatMap((response) =>
        response?.status === undefined ? [] : [toContainer(response.status, sandboxOf)],
      )
      .toSorted((first, second) => second.createdMs - first.createdMs || second.attempt - first.attempt),
  };
}

function toSandbox(status: Message<"PodSandboxStatus">): RuntimeSandbox {
  const { ip = "", additionalIps = [] } = status.network ?? {};
  return {
    id: status.id ?? "",
    podUid: status.metadata?.uid ?? "",
    podName: status.metadata?.name ?? "",
    podNamespace: status.metadata?.namespace ?? "",
    attempt: status.metadata?.attempt ?? 0,
    ready: (status.state ?? 0) === 0,
    createdMs: toMs(status.createdAt),
    ips: [ip, ...additionalIps.map((one) => one.ip ?? "")].filter((text) => text !== ""),
  };
}

const containerPhases: readonly ContainerPhase[] = ["created", "running", "exited", "unknown"];

function toContainer(
  status: Message<"ContainerStatus">,
  sandboxOf: ReadonlyMap<string | undefined, string>,
): RuntimeContainer {
  return {
    id: status.id ?? "",
    sandboxId: sandboxOf.get(status.id) ?? "",
    podUid: status.labels?.[podUidLabel] ?? "",
    name: status.labels?.[containerNameLabel] ?? status.metadata?.name ?? "",
    attempt: status.metadata?.attempt ?? 0,
    phase: containerPhases[status.state ?? 0] ?? "unknown",
    annotations: status.annotations ?? {},
    image: status.image?.image ?? "",
    imageRef: status.imageRef ?? "",
    createdMs: toMs(status.createdAt),
    startedMs: toMs(status.startedAt),
    finishedMs: toMs(status.finishedAt),
    exitCode: status.exitCode ?? 0,
    reason: status.reason ?? "",
    message: status.message ?? "",
  };
}

function toImage(image: Message<"Image">): RuntimeImage {
  return {
    id: image.id ?? "",
    tags: image.repoTags ?? [],
    digests: image.repoDigests ?? [],
    sizeBytes: Number(image.size ?? 0n),
    uid: image.uid === undefined ? undefined : Number(image.uid.value ?? 0n),
    username: image.username ?? "",
    pinned: image.pinned ?? false,
  };
}

function toUsage(stats: Message<"ContainerStats">) {
  const { attributes, cpu, memory, writableLayer } = stats;
  return {
    id: attributes?.id ?? "",
    name: attributes?.labels?.[containerNameLabel] ?? "",
    podUid: attributes?.labels?.[podUidLabel] ?? "",
    atMs: toMs(cpu?.timestamp),
    cpuNanoseconds: cpu?.usageCoreNanoSeconds?.value ?? 0n,
    memoryWorkingSetBytes: Number(memory?.workingSetBytes?.value ?? 0n),
    memoryUsageBytes: Number(memory?.usageBytes?.value ?? memory?.workingSetBytes?.value ?? 0n),
    writableLayerBytes: Number(writableLayer?.usedBytes?.value ?? 0n),
  };
}

// CRI's own event call is missing in 1.6; containerd's event service is in both, on the same socket.
function watch({
  client,
  changed,
  options,
}: {
  readonly client: GrpcClient;
  readonly changed: () => void;
  readonly options: Waiting;
}): Promise<void> {
  return client.stream({
    method: "/containerd.services.events.v1.Events/Subscribe",
    request: encode("SubscribeRequest", { filters: ['topic~="/tasks/(exit|oom)"'] }),
    signal: options.signal,
    received(bytes) {
      const { topic, event } = decode("EventEnvelope", bytes);
      if (topic === "/tasks/exit" && event?.value !== undefined) {
        const exit = decode("TaskExit", event.value);
        if (exit.id !== exit.containerId) return; // an exec ended, not a container
      }
      changed();
    },
  });
}

function toMs(nanoseconds: bigint | undefined): number {
  return Number((nanoseconds ?? 0n) / 1_000_000n);
}

async function absentIsFine(work: Promise<unknown>): Promise<void> {
  await absentIsUndefined(work);
}

async function absentIsUndefined<Value>(work: Promise<Value>): Promise<Value | undefined> {
  try {
    return await work;
  } catch (error) {
    if (hasReason(error, "NotFound") || (error instanceof Error && /not found/.test(error.message)))
      return undefined;
    throw error;
  }
}
