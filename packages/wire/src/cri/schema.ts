/**
 * The messages of CRI's `runtime.v1` (kubernetes/cri-api, pkg/apis/runtime/v1/api.proto) that we send or read, and the few of containerd's
 * event service and of gRPC health: field name, number, type. Numbers and types are the wire's, names are ours. Unknown fields are skipped.
 */
export const schema = {
  Empty: {},
  VersionResponse: {
    version: [1, "string"],
    runtimeName: [2, "string"],
    runtimeVersion: [3, "string"],
    runtimeApiVersion: [4, "string"],
  },
  Int64Value: { value: [1, "int64"] },
  UInt64Value: { value: [1, "uint64"] },
  KeyValue: { key: [1, "string"], value: [2, "string"] },
  PodSandboxMetadata: {
    name: [1, "string"],
    uid: [2, "string"],
    namespace: [3, "string"],
    attempt: [4, "uint32"],
  },
  ContainerMetadata: { name: [1, "string"], attempt: [2, "uint32"] },
  DnsConfig: { servers: [1, "string[]"], searches: [2, "string[]"], options: [3, "string[]"] },
  PortMapping: {
    protocol: [1, "int32"],
    containerPort: [2, "int32"],
    hostPort: [3, "int32"],
    hostIp: [4, "string"],
  },
  NamespaceOption: { network: [1, "int32"], pid: [2, "int32"], ipc: [3, "int32"], targetId: [4, "string"] },
  SecurityProfile: { profileType: [1, "int32"], localhostRef: [2, "string"] },
  LinuxSandboxSecurityContext: {
    namespaceOptions: [1, "NamespaceOption"],
    runAsUser: [3, "Int64Value"],
    readonlyRootfs: [4, "bool"],
    supplementalGroups: [5, "int64[]"],
    privileged: [6, "bool"],
    runAsGroup: [8, "Int64Value"],
    seccomp: [9, "SecurityProfile"],
  },
  LinuxPodSandboxConfig: {
    cgroupParent: [1, "string"],
    securityContext: [2, "LinuxSandboxSecurityContext"],
    sysctls: [3, "map"],
    resources: [5, "LinuxContainerResources"],
  },
  PodSandboxConfig: {
    metadata: [1, "PodSandboxMetadata"],
    hostname: [2, "string"],
    logDirectory: [3, "string"],
    dnsConfig: [4, "DnsConfig"],
    portMappings: [5, "PortMapping[]"],
    labels: [6, "map"],
    annotations: [7, "map"],
    linux: [8, "LinuxPodSandboxConfig"],
  },
  RunPodSandboxRequest: { config: [1, "PodSandboxConfig"], runtimeHandler: [2, "string"] },
  /** Every message that carries only an identity. */
  IdMessage: { id: [1, "string"] },
  StatusRequest: { id: [1, "string"], verbose: [2, "bool"] },
  PodIp: { ip: [1, "string"] },
  PodSandboxNetworkStatus: { ip: [1, "string"], additionalIps: [2, "PodIp[]"] },
  PodSandboxStatus: {
    id: [1, "string"],
    metadata: [2, "PodSandboxMetadata"],
    state: [3, "int32"],
    createdAt: [4, "int64"],
    network: [5, "PodSandboxNetworkStatus"],
    labels: [7, "map"],
    annotations: [8, "map"],
  },
  PodSandboxStatusResponse: { status: [1, "PodSandboxStatus"], info: [2, "map"] },
  PodSandbox: {
    id: [1, "string"],
    metadata: [2, "PodSandboxMetadata"],
    state: [3, "int32"],
    createdAt: [4, "int64"],
    labels: [5, "map"],
    annotations: [6, "map"],
  },
  PodSandboxFilter: { id: [1, "string"], labelSelector: [3, "map"] },
  ListPodSandboxRequest: { filter: [1, "PodSandboxFilter"] },
  ListPodSandboxResponse: { items: [1, "PodSandbox[]"] },
  ImageSpec: { image: [1, "string"], annotations: [2, "map"] },
  Mount: {
    containerPath: [1, "string"],
    hostPath: [2, "string"],
    readonly: [3, "bool"],
    selinuxRelabel: [4, "bool"],
    propagation: [5, "int32"],
  },
  Device: { containerPath: [1, "string"], hostPath: [2, "string"], permissions: [3, "string"] },
  LinuxContainerResources: {
    cpuPeriod: [1, "int64"],
    cpuQuota: [2, "int64"],
    cpuShares: [3, "int64"],
    memoryLimitInBytes: [4, "int64"],
    oomScoreAdj: [5, "int64"],
    cpusetCpus: [6, "string"],
  },
  Capability: { addCapabilities: [1, "string[]"], dropCapabilities: [2, "string[]"] },
  LinuxContainerSecurityContext: {
    capabilities: [1, "Capability"],
    privileged: [2, "bool"],
    namespaceOptions: [3, "NamespaceOption"],
    runAsUser: [5, "Int64Value"],
    runAsUsername: [6, "string"],
    readonlyRootfs: [7, "bool"],
    supplementalGroups: [8, "int64[]"],
    noNewPrivs: [11, "bool"],
    runAsGroup: [12, "Int64Value"],
    maskedPaths: [13, "string[]"],
    readonlyPaths: [14, "string[]"],
    seccomp: [15, "SecurityProfile"],
  },
  LinuxContainerConfig: {
    resources: [1, "LinuxContainerResources"],
    securityContext: [2, "LinuxContainerSecurityContext"],
  },
  ContainerConfig: {
    metadata: [1, "ContainerMetadata"],
    image: [2, "ImageSpec"],
    command: [3, "string[]"],
    args: [4, "string[]"],
    workingDir: [5, "string"],
    envs: [6, "KeyValue[]"],
    mounts: [7, "Mount[]"],
    devices: [8, "Device[]"],
    labels: [9, "map"],
    annotations: [10, "map"],
    logPath: [11, "string"],
    stdin: [12, "bool"],
    stdinOnce: [13, "bool"],
    tty: [14, "bool"],
    linux: [15, "LinuxContainerConfig"],
  },
  CreateContainerRequest: {
    podSandboxId: [1, "string"],
    config: [2, "ContainerConfig"],
    sandboxConfig: [3, "PodSandboxConfig"],
  },
  StopContainerRequest: { containerId: [1, "string"], timeout: [2, "int64"] },
  ContainerFilter: { id: [1, "string"], podSandboxId: [3, "string"], labelSelector: [4, "map"] },
  ListContainersRequest: { filter: [1, "ContainerFilter"] },
  Container: {
    id: [1, "string"],
    podSandboxId: [2, "string"],
    metadata: [3, "ContainerMetadata"],
    image: [4, "ImageSpec"],
    imageRef: [5, "string"],
    state: [6, "int32"],
    createdAt: [7, "int64"],
    labels: [8, "map"],
    annotations: [9, "map"],
  },
  ListContainersResponse: { containers: [1, "Container[]"] },
  ContainerStatus: {
    id: [1, "string"],
    metadata: [2, "ContainerMetadata"],
    state: [3, "int32"],
    createdAt: [4, "int64"],
    startedAt: [5, "int64"],
    finishedAt: [6, "int64"],
    exitCode: [7, "int32"],
    image: [8, "ImageSpec"],
    imageRef: [9, "string"],
    reason: [10, "string"],
    message: [11, "string"],
    labels: [12, "map"],
    annotations: [13, "map"],
    mounts: [14, "Mount[]"],
    logPath: [15, "string"],
  },
  ContainerStatusResponse: { status: [1, "ContainerStatus"], info: [2, "map"] },
  ExecSyncRequest: { containerId: [1, "string"], cmd: [2, "string[]"], timeout: [3, "int64"] },
  ExecSyncResponse: { stdout: [1, "bytes"], stderr: [2, "bytes"], exitCode: [3, "int32"] },
  ExecRequest: {
    containerId: [1, "string"],
    cmd: [2, "string[]"],
    tty: [3, "bool"],
    stdin: [4, "bool"],
    stdout: [5, "bool"],
    stderr: [6, "bool"],
  },
  AttachRequest: {
    containerId: [1, "string"],
    stdin: [2, "bool"],
    tty: [3, "bool"],
    stdout: [4, "bool"],
    stderr: [5, "bool"],
  },
  PortForwardRequest: { podSandboxId: [1, "string"], port: [2, "int32[]"] },
  UrlResponse: { url: [1, "string"] },
  CpuUsage: {
    timestamp: [1, "int64"],
    usageCoreNanoSeconds: [2, "UInt64Value"],
    usageNanoCores: [3, "UInt64Value"],
  },
  MemoryUsage: {
    timestamp: [1, "int64"],
    workingSetBytes: [2, "UInt64Value"],
    availableBytes: [3, "UInt64Value"],
    usageBytes: [4, "UInt64Value"],
    rssBytes: [5, "UInt64Value"],
  },
  FilesystemIdentifier: { mountpoint: [1, "string"] },
  FilesystemUsage: {
    timestamp: [1, "int64"],
    fsId: [2, "FilesystemIdentifier"],
    usedBytes: [3, "UInt64Value"],
    inodesUsed: [4, "UInt64Value"],
  },
  ContainerAttributes: {
    id: [1, "string"],
    metadata: [2, "ContainerMetadata"],
    labels: [3, "map"],
    annotations: [4, "map"],
  },
  ContainerStats: {
    attributes: [1, "ContainerAttributes"],
    cpu: [2, "CpuUsage"],
    memory: [3, "MemoryUsage"],
    writableLayer: [4, "FilesystemUsage"],
  },
  ListContainerStatsResponse: { stats: [1, "ContainerStats[]"] },
  RuntimeCondition: {
    type: [1, "string"],
    status: [2, "bool"],
    reason: [3, "string"],
    message: [4, "string"],
  },
  RuntimeStatus: { conditions: [1, "RuntimeCondition[]"] },
  RuntimeStatusResponse: { status: [1, "RuntimeStatus"], info: [2, "map"] },
  Image: {
    id: [1, "string"],
    repoTags: [2, "string[]"],
    repoDigests: [3, "string[]"],
    size: [4, "uint64"],
    uid: [5, "Int64Value"],
    username: [6, "string"],
    spec: [7, "ImageSpec"],
    pinned: [8, "bool"],
  },
  ListImagesResponse: { images: [1, "Image[]"] },
  ImageRequest: { image: [1, "ImageSpec"], verbose: [2, "bool"] },
  ImageStatusResponse: { image: [1, "Image"], info: [2, "map"] },
  AuthConfig: {
    username: [1, "string"],
    password: [2, "string"],
    auth: [3, "string"],
    serverAddress: [4, "string"],
  },
  PullImageRequest: {
    image: [1, "ImageSpec"],
    auth: [2, "AuthConfig"],
    sandboxConfig: [3, "PodSandboxConfig"],
  },
  PullImageResponse: { imageRef: [1, "string"] },
  ImageFsInfoResponse: { imageFilesystems: [1, "FilesystemUsage[]"] },
  // containerd, api/services/events/v1/events.proto and api/events/task.proto
  SubscribeRequest: { filters: [1, "string[]"] },
  Any: { typeUrl: [1, "string"], value: [2, "bytes"] },
  EventEnvelope: { namespace: [2, "string"], topic: [3, "string"], event: [4, "Any"] },
  TaskExit: { containerId: [1, "string"], id: [2, "string"], pid: [3, "uint32"], exitStatus: [4, "uint32"] },
  // grpc/grpc, doc/health-checking.md
  HealthCheckRequest: { service: [1, "string"] },
  HealthCheckResponse: { status: [1, "int32"] },
} as const;

type Schema = typeof schema;
export type MessageName = keyof Schema;

type ScalarOf = {
  string: string;
  bool: boolean;
  bytes: Uint8Array;
  int32: number;
  uint32: number;
  int64: bigint;
  uint64: bigint;
  map: Readonly<Record<string, string>>;
};

type ValueOf<Type> = Type extends keyof ScalarOf
  ? ScalarOf[Type]
  : Type extends MessageName
    ? Message<Type>
    : never;

type FieldOf<Entry> = Entry extends readonly [number, `${infer Type}[]`]
  ? readonly ValueOf<Type>[]
  : Entry extends readonly [number, infer Type]
    ? ValueOf<Type>
    : never;

/** A message as we hold it: what is absent on the wire is absent here, and 64-bit integers keep every digit. */
export type Message<Name extends MessageName> = {
  readonly [Field in keyof Schema[Name]]?: FieldOf<Schema[Name][Field]>;
};
