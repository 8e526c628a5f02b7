import type { Message } from "@cortado/wire/cri/schema";

/** What runs a pod's containers, in CRI's own words: the two makers below take the same configurations. */
export type SandboxConfig = Message<"PodSandboxConfig">;
export type ContainerConfig = Message<"ContainerConfig">;
export type RegistryLogin = Message<"AuthConfig">;

export type RuntimeSandbox = {
  readonly id: string;
  readonly podUid: string;
  readonly podName: string;
  readonly podNamespace: string;
  readonly attempt: number;
  readonly ready: boolean;
  /** Wall time. */
  readonly createdMs: number;
  /** The pod's own addresses; none when it uses the node's network. */
  readonly ips: readonly string[];
};

export type ContainerPhase = "created" | "running" | "exited" | "unknown";

export type RuntimeContainer = {
  readonly id: string;
  readonly sandboxId: string;
  readonly podUid: string;
  readonly name: string;
  readonly attempt: number;
  readonly phase: ContainerPhase;
  readonly annotations: Readonly<Record<string, string>>;
  readonly image: string;
  readonly imageRef: string;
  /** Wall times; 0 when it did not happen yet. */
  readonly createdMs: number;
  readonly startedMs: number;
  readonly finishedMs: number;
  readonly exitCode: number;
  readonly reason: string;
  readonly message: string;
};

/** Everything the runtime has of one pod; newest first. */
export type PodView = {
  readonly sandboxes: readonly RuntimeSandbox[];
  readonly containers: readonly RuntimeContainer[];
};

/** One row of the cheap list of everything: enough to see that something changed. */
export type RuntimeRow = {
  readonly id: string;
  readonly podUid: string;
  readonly phase: string;
  readonly kind: "sandbox" | "container";
};

export type RuntimeImage = {
  readonly id: string;
  readonly tags: readonly string[];
  readonly digests: readonly string[];
  readonly sizeBytes: number;
  /** The numeric user of the image, or undefined when it names one or says nothing. */
  readonly uid: number | undefined;
  readonly username: string;
  readonly pinned: boolean;
};

export type ExecResult = {
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
  readonly exitCode: number;
};

export type ContainerUsage = {
  readonly id: string;
  readonly name: string;
  readonly podUid: string;
  /** Wall time of the sample. */
  readonly atMs: number;
  readonly cpuNanoseconds: bigint;
  readonly memoryWorkingSetBytes: number;
  readonly memoryUsageBytes: number;
  readonly writableLayerBytes: number;
};

export type RuntimeHealth = { readonly ready: boolean; readonly message: string };

/** Which streams of a process are wanted. */
export type StreamSet = {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
};

export type ProcessEvents = {
  stdout(bytes: Uint8Array): void;
  stderr(bytes: Uint8Array): void;
  /** Once, at the end: a v1.Status as the error channel carries it. */
  ended(status: object): void;
  /** Our writes do not get through (true), or do again (false). */
  congested(full: boolean): void;
};

/** The open streams of a process in a container. */
export interface ProcessStreams {
  handle(events: ProcessEvents): void;
  writeStdin(bytes: Uint8Array): void;
  /** Half-closes: the process reads end of file. */
  endStdin(): void;
  resize(size: { readonly width: number; readonly height: number }): void;
  pause(): void;
  resume(): void;
  destroy(): void;
}

export type ForwardEvents = {
  data(bytes: Uint8Array): void;
  /** The other side sends no more. */
  ended(): void;
  closed(error: Error | undefined): void;
  /** Our writes do not get through (true), or do again (false). */
  congested(full: boolean): void;
};

/** One connection to a port inside a pod. */
export interface ForwardStream {
  handle(events: ForwardEvents): void;
  write(bytes: Uint8Array): void;
  end(): void;
  pause(): void;
  resume(): void;
  destroy(): void;
}

export type Waiting = { readonly signal: AbortSignal };

/**
 * What the node drives. Calls reject with a StatusError; stopping or removing what is not there is no error.
 * Two makers: containerd through CRI, and the simulated one; one conformance suite proves both.
 */
export interface Runtime extends AsyncDisposable {
  /** Shown in the node's status: "containerd://1.6.20" or "simulated://1". */
  readonly version: string;
  readonly simulated: boolean;
  health(options: Waiting): Promise<RuntimeHealth>;

  runSandbox(config: SandboxConfig, options: Waiting): Promise<string>;
  stopSandbox(id: string, options: Waiting): Promise<void>;
  removeSandbox(id: string, options: Waiting): Promise<void>;
  createContainer(
    request: {
      readonly sandboxId: string;
      readonly config: ContainerConfig;
      readonly sandbox: SandboxConfig;
    },
    options: Waiting,
  ): Promise<string>;
  startContainer(id: string, options: Waiting): Promise<void>;
  /** Asks the container to end and kills it after `graceS`; resolves when it is gone. */
  stopContainer(id: string, options: Waiting & { readonly graceS: number }): Promise<void>;
  removeContainer(id: string, options: Waiting): Promise<void>;

  rows(options: Waiting): Promise<readonly RuntimeRow[]>;
  pod(uid: string, options: Waiting): Promise<PodView>;
  /**
   * Tells when a container of some sandbox may have changed, until the signal aborts or the runtime breaks off (rejects).
   * @throws StatusError "NotImplemented" when the runtime tells no events: then it is listed more often
   */
  watch(changed: () => void, options: Waiting): Promise<void>;

  run(
    request: { readonly id: string; readonly command: readonly string[]; readonly timeoutMs: number },
    options: Waiting,
  ): Promise<ExecResult>;
  exec(
    request: { readonly id: string; readonly command: readonly string[]; readonly streams: StreamSet },
    options: Waiting,
  ): Promise<ProcessStreams>;
  attach(
    request: { readonly id: string; readonly streams: StreamSet },
    options: Waiting,
  ): Promise<ProcessStreams>;
  forward(
    request: { readonly sandboxId: string; readonly port: number },
    options: Waiting,
  ): Promise<ForwardStream>;

  /** Where a container's log can be read: a file in CRI's format, or lines that are held in memory. */
  readonly logs: "files" | ((id: string) => readonly string[]);
  reopenLog(id: string, options: Waiting): Promise<void>;

  images(options: Waiting): Promise<readonly RuntimeImage[]>;
  /** Undefined when the runtime does not have it. */
  image(name: string, options: Waiting): Promise<RuntimeImage | undefined>;
  /** Answers the reference by which the image is known. */
  pull(
    request: { readonly image: string; readonly login?: RegistryLogin },
    options: Waiting,
  ): Promise<string>;
  removeImage(name: string, options: Waiting): Promise<void>;
  /** Where images lie, for the disk check; undefined when they lie nowhere. */
  imageFolder(options: Waiting): Promise<string | undefined>;
  usage(options: Waiting): Promise<readonly ContainerUsage[]>;
}
