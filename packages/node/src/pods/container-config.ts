import type { Container, PodSpec } from "@cortado/kinds";
import { StatusError } from "@cortado/std/status";
import { GRACE_S } from "../limits.ts";
import { milliCpu, quantity } from "../quantity.ts";
import {
  containerNameLabel,
  graceAnnotation,
  hashAnnotation,
  podNameLabel,
  podNamespaceLabel,
  podUidLabel,
  policyAnnotation,
  restartCountAnnotation,
  roleAnnotation,
  terminationPathAnnotation,
  terminationPolicyAnnotation,
} from "../runtime/labels.ts";
import type { ContainerConfig, RuntimeImage } from "../runtime/runtime.ts";
import { expand, type EnvPair } from "./env.ts";
import { containerHash, podText, qosClass, roleOf, specOf, type StoredPod } from "./pod.ts";
import { namespaceOptions, supplementalGroups } from "./sandbox-config.ts";

export type ContainerMount = NonNullable<ContainerConfig["mounts"]>[number];

export type ContainerOptions = {
  readonly pod: StoredPod;
  readonly container: Container;
  readonly attempt: number;
  readonly imageRef: string;
  readonly image: RuntimeImage | undefined;
  readonly env: readonly EnvPair[];
  readonly mounts: readonly ContainerMount[];
  readonly nodeMemoryBytes: number;
};

// What upstream hides from a container that is not privileged (pkg/securitycontext, defaultMaskedPaths and defaultReadonlyPaths).
const maskedPaths = (
  "/proc/asound /proc/acpi /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list /proc/timer_stats " +
  "/proc/sched_debug /proc/scsi /sys/firmware /sys/devices/virtual/powercap"
).split(" ");
const readonlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/** The container that CRI is asked for. Pure. @throws StatusError for what the pod forbids itself (`runAsNonRoot`) */
export function containerConfig(options: ContainerOptions): ContainerConfig {
  const { pod, container, attempt, env } = options;
  const spec = specOf(pod);
  const { name, namespace = "", uid } = pod.metadata;
  const known = new Map(env.map(({ key, value }) => [key, value]));
  checkNonRoot(options);
  return {
    metadata: { name: container.name, attempt },
    image: { image: options.imageRef },
    command: (container.command ?? []).map((word) => expand(word, known)),
    args: (container.args ?? []).map((word) => expand(word, known)),
    workingDir: container.workingDir ?? "",
    envs: env,
    mounts: options.mounts,
    labels: {
      [podNameLabel]: name,
      [podNamespaceLabel]: namespace,
      [podUidLabel]: uid,
      [containerNameLabel]: container.name,
    },
    annotations: {
      [hashAnnotation]: containerHash(container),
      [restartCountAnnotation]: String(attempt),
      [terminationPathAnnotation]: container.terminationMessagePath ?? "/dev/termination-log",
      [terminationPolicyAnnotation]: container.terminationMessagePolicy ?? "File",
      [graceAnnotation]: String(spec.terminationGracePeriodSeconds ?? GRACE_S),
      [roleAnnotation]: roleOf(spec, container),
      [policyAnnotation]: spec.restartPolicy ?? "Always",
    },
    logPath: `${container.name}/${attempt}.log`,
    stdin: container.stdin ?? false,
    stdinOnce: container.stdinOnce ?? false,
    tty: container.tty ?? false,
    linux: {
      resources: resources(container, spec, options.nodeMemoryBytes),
      securityContext: securityContext(container, spec),
    },
  };
}

function securityContext(
  container: Container,
  spec: PodSpec,
): NonNullable<NonNullable<ContainerConfig["linux"]>["securityContext"]> {
  const own = container.securityContext ?? {};
  const pods = spec.securityContext ?? {};
  const privileged = own.privileged ?? false;
  const user = own.runAsUser ?? pods.runAsUser;
  const group = own.runAsGroup ?? pods.runAsGroup;
  return {
    privileged,
    namespaceOptions: namespaceOptions(spec),
    ...(user === undefined ? {} : { runAsUser: { value: BigInt(user) } }),
    ...(group === undefined ? {} : { runAsGroup: { value: BigInt(group) } }),
    readonlyRootfs: own.readOnlyRootFilesystem ?? false,
    supplementalGroups: supplementalGroups(spec),
    capabilities: {
      addCapabilities: own.capabilities?.add ?? [],
      dropCapabilities: own.capabilities?.drop ?? [],
    },
    noNewPrivs: own.allowPrivilegeEscalation === false,
    seccomp: seccomp(own.seccompProfile ?? pods.seccompProfile),
    ...(privileged ? {} : { maskedPaths, readonlyPaths }),
  };
}

// CRI: 0 is the runtime's default, 1 unconfined, 2 a profile on the node. A pod that says nothing runs unconfined, as upstream's default is.
function seccomp(profile: { readonly type: string; readonly localhostProfile?: string } | undefined): {
  profileType: number;
  localhostRef?: string;
} {
  switch (profile?.type) {
    case "RuntimeDefault":
      return { profileType: 0 };
    case "Localhost":
      return { profileType: 2, localhostRef: profile.localhostProfile ?? "" };
    default:
      return { profileType: 1 };
  }
}

const CPU_PERIOD_US = 100_000;
const CPU_QUOTA_MIN_US = 1_000;
const CPU_SHARES_MIN = 2;

function resources(
  container: Container,
  spec: PodSpec,
  nodeMemoryBytes: number,
): NonNullable<NonNullable<ContainerConfig["linux"]>["resources"]> {
  const { limits = {}, requests = {} } = container.resources ?? {};
  const cpuLimit = milliCpu(limits["cpu"]);
  const cpuRequest = milliCpu(requests["cpu"] ?? limits["cpu"]);
  const memoryLimit = quantity(limits["memory"]);
  return {
    cpuShares: BigInt(Math.max(CPU_SHARES_MIN, Math.floor((cpuRequest * 1024) / 1_000))),
    ...(cpuLimit === 0
      ? {}
      : {
          cpuPeriod: BigInt(CPU_PERIOD_US),
          cpuQuota: BigInt(Math.max(CPU_QUOTA_MIN_US, (cpuLimit * CPU_PERIOD_US) / 1_000)),
        }),
    ...(memoryLimit === 0 ? {} : { memoryLimitInBytes: BigInt(Math.floor(memoryLimit)) }),
    oomScoreAdj: BigInt(oomScore(container, spec, nodeMemoryBytes)),
  };
}

/** Who is killed first when memory runs out (kubelet, pkg/kubelet/qos/policy.go). */
export function oomScore(container: Container, spec: PodSpec, nodeMemoryBytes: number): number {
  const qos = qosClass(spec);
  if (qos === "Guaranteed") return -997;
  if (qos === "BestEffort") return 1_000;
  const request = quantity(
    container.resources?.requests?.["memory"] ?? container.resources?.limits?.["memory"],
  );
  return Math.min(999, Math.max(3, Math.floor(1_000 - (1_000 * request) / nodeMemoryBytes)));
}

function checkNonRoot({ pod, container, image }: ContainerOptions): void {
  const own = container.securityContext ?? {};
  const pods = specOf(pod).securityContext ?? {};
  if ((own.runAsNonRoot ?? pods.runAsNonRoot) !== true) return;
  const user = own.runAsUser ?? pods.runAsUser;
  const where = `(pod: "${podText(pod)}", container: ${container.name})`;
  if (user === 0)
    throw new StatusError("BadRequest", `container's runAsUser breaks non-root policy ${where}`);
  if (user !== undefined) return;
  const named = image?.username ?? "";
  if (image?.uid === undefined && named !== "")
    throw new StatusError(
      "BadRequest",
      `container has runAsNonRoot and image has non-numeric user (${named}), cannot verify user is non-root ${where}`,
    );
  if ((image?.uid ?? 0) === 0)
    throw new StatusError("BadRequest", `container has runAsNonRoot and image will run as root ${where}`);
}
