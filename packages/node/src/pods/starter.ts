import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Container } from "@cortado/kinds";
import type { Clock } from "@cortado/std/clock";
import { hasReason, messageOf } from "@cortado/std/status";
import type { Cgroups } from "../cgroups/cgroups.ts";
import type { EventRecorder } from "../events/recorder.ts";
import { Gate } from "../gate.ts";
import type { ImagePuller } from "../images/puller.ts";
import { CLAIM_WAIT_MS, CRASH_BACKOFF_FIRST_MS, GRACE_S, STARTS_AT_ONCE } from "../limits.ts";
import { quantity } from "../quantity.ts";
import type { Runtime, RuntimeContainer, RuntimeImage, RuntimeSandbox } from "../runtime/runtime.ts";
import type { Sources } from "../sources.ts";
import { TokenKeeper, type PayloadOptions } from "../volumes/payload.ts";
import { containerMounts, type MountedVolumes, type Volumes } from "../volumes/volumes.ts";
import { containerConfig, type ContainerMount } from "./container-config.ts";
import type { Place } from "./downward.ts";
import { containerEnv } from "./env.ts";
import { allContainers, podRequest, qosClass, specOf, type ContainerRole, type StoredPod } from "./pod.ts";
import { podEvent, type PodHappening } from "./pod-events.ts";
import { fullHostname, hostname, sandboxConfig, type ClusterDns } from "./sandbox-config.ts";
import type { Problem } from "./status.ts";
import { runHook } from "./stop.ts";

export type StarterPorts = {
  readonly runtime: Runtime;
  readonly clock: Clock;
  readonly events: EventRecorder;
  readonly sources: Sources;
  readonly volumes: Volumes;
  readonly puller: ImagePuller;
  readonly cgroups: Cgroups;
  readonly signal: AbortSignal;
  readonly dns: ClusterDns;
  readonly logsFolder: string;
  /** Everything about where a pod runs but its own addresses. */
  readonly place: () => Omit<Place, "podIps">;
};

export type StartRequest = {
  readonly pod: StoredPod;
  readonly container: Container;
  readonly role: ContainerRole;
  readonly attempt: number;
  readonly sandbox: RuntimeSandbox;
  readonly volumes: MountedVolumes;
};

export type StartResult =
  | { readonly kind: "started" }
  | { readonly kind: "pulling" }
  | { readonly kind: "problem"; readonly problem: Problem; readonly againMs: number };

/** Starts sandboxes and containers; each step that fails has upstream's reason. */
export class PodStarter {
  readonly #ports: StarterPorts;
  readonly #gate: Gate = new Gate(STARTS_AT_ONCE);
  readonly #tokens: TokenKeeper;

  constructor(ports: StarterPorts) {
    this.#ports = ports;
    this.#tokens = new TokenKeeper(ports);
  }

  logFolder(pod: StoredPod): string {
    return join(this.#ports.logsFolder, `${pod.metadata.namespace}_${pod.metadata.name}_${pod.metadata.uid}`);
  }

  paths(
    pod: StoredPod,
    container: Pick<RuntimeContainer, "name" | "attempt">,
  ): { readonly messageFile: string; readonly logFile: string } {
    const folder = this.#ports.volumes.podFolder(pod.metadata.uid);
    return {
      messageFile: join(folder, "containers", container.name, String(container.attempt)),
      logFile: join(this.logFolder(pod), container.name, `${container.attempt}.log`),
    };
  }

  /** Mounts the pod's volumes and runs a sandbox for it. */
  async startSandbox(pod: StoredPod, attempt: number): Promise<MountedVolumes> {
    const { runtime, cgroups, signal, dns } = this.#ports;
    const spec = specOf(pod);
    const volumes = await this.mount(pod, []);
    const cgroupParent = await cgroups.makePod({
      uid: pod.metadata.uid,
      qos: qosClass(spec),
      cpuMilli: podRequest(spec, "cpu"),
      memoryLimitBytes: memoryLimit(pod),
    });
    const logFolder = this.logFolder(pod);
    if (runtime.logs === "files") await mkdir(logFolder, { recursive: true });
    try {
      await this.#gate.run(() =>
        runtime.runSandbox(sandboxConfig({ pod, attempt, logFolder, cgroupParent, dns }), { signal }),
      );
    } catch (error) {
      this.#tell(pod, {
        type: "Warning",
        reason: "FailedCreatePodSandBox",
        message: `Failed to create pod sandbox: ${messageOf(error)}`,
      });
      throw error;
    }
    return volumes;
  }

  /** Makes the pod's volumes; what is missing becomes an event and an error. */
  async mount(pod: StoredPod, podIps: readonly string[]): Promise<MountedVolumes> {
    try {
      return await this.#ports.volumes.mount(pod, this.#payload(pod, podIps));
    } catch (error) {
      // A claim is bound a moment after its first pod is: only one that stays unbound is worth a warning.
      const ageMs = this.#ports.clock.nowMs() - Date.parse(pod.metadata.creationTimestamp ?? "");
      if (!hasReason(error, "ServiceUnavailable") || !(ageMs < CLAIM_WAIT_MS))
        this.#tell(pod, { type: "Warning", reason: "FailedMount", message: messageOf(error) });
      throw error;
    }
  }

  refresh(pod: StoredPod, podIps: readonly string[]): Promise<void> {
    return this.#ports.volumes.refresh(pod, this.#payload(pod, podIps));
  }

  async startContainer(request: StartRequest): Promise<StartResult> {
    const { pod, container } = request;
    const answer = await this.#ports.puller.ensure(pod, container);
    if (answer.kind !== "present") return answer;
    // Some volumes tell the pod's address, which is known only now.
    if (
      specOf(pod).volumes?.some((one) => one.downwardAPI !== undefined || one.projected !== undefined) ===
      true
    )
      await this.refresh(pod, this.#podIps(request));
    let stage = "CreateContainerConfigError";
    try {
      const config = await this.#config(request, answer.image);
      stage = "CreateContainerError";
      const id = await this.#gate.run(async () => {
        const { runtime, signal } = this.#ports;
        const made = await runtime.createContainer({ ...config, sandboxId: request.sandbox.id }, { signal });
        this.#tell(pod, {
          type: "Normal",
          reason: "Created",
          message: `Created container: ${container.name}`,
          container: container.name,
        });
        stage = "RunContainerError";
        await runtime.startContainer(made, { signal });
        return made;
      });
      this.#tell(pod, {
        type: "Normal",
        reason: "Started",
        message: `Started container ${container.name}`,
        container: container.name,
      });
      await this.#postStart(request, id);
      return { kind: "started" };
    } catch (error) {
      const message = messageOf(error).replace(/^(Create|Start)Container: /, "");
      this.#tell(pod, {
        type: "Warning",
        reason: "Failed",
        message: stage === "CreateContainerConfigError" ? `Error: ${message}` : message,
        container: container.name,
      });
      return { kind: "problem", problem: { reason: stage, message }, againMs: CRASH_BACKOFF_FIRST_MS };
    }
  }

  async clean(uid: string): Promise<void> {
    await this.#ports.volumes.remove(uid);
  }

  forget(uid: string): void {
    this.#ports.puller.forget(uid);
    this.#tokens.forget(uid);
  }

  #tell(pod: StoredPod, happening: PodHappening): void {
    this.#ports.events.record(podEvent(pod, happening));
  }

  #podIps({ pod, sandbox }: StartRequest): readonly string[] {
    return specOf(pod).hostNetwork === true ? this.#ports.place().hostIps : sandbox.ips;
  }

  #payload(pod: StoredPod, podIps: readonly string[]): PayloadOptions {
    return {
      pod,
      place: { ...this.#ports.place(), podIps },
      sources: this.#ports.sources,
      tokens: this.#tokens,
    };
  }

  async #config(request: StartRequest, image: RuntimeImage) {
    const { pod, container, attempt, volumes, sandbox } = request;
    const { cgroups, dns, sources } = this.#ports;
    const place: Place = { ...this.#ports.place(), podIps: this.#podIps(request) };
    const env = await containerEnv({ pod, container, sources, place });
    const mounts = [
      ...(await containerMounts({ container, volumes, env })),
      ...(await this.#ownMounts(request)),
    ];
    const imageRef = image.id === "" ? (container.image ?? "") : image.id;
    const config = containerConfig({
      pod,
      container,
      attempt,
      imageRef,
      image,
      env,
      mounts,
      nodeMemoryBytes: place.allocatable.memory,
    });
    const parent = cgroups.version === "none" ? undefined : await this.#parentOf(pod);
    const sandboxOf = sandboxConfig({
      pod,
      attempt: sandbox.attempt,
      logFolder: this.logFolder(pod),
      cgroupParent: parent,
      dns,
    });
    return { config, sandbox: sandboxOf };
  }

  #parentOf(pod: StoredPod): Promise<string | undefined> {
    const spec = specOf(pod);
    return this.#ports.cgroups.makePod({
      uid: pod.metadata.uid,
      qos: qosClass(spec),
      cpuMilli: podRequest(spec, "cpu"),
      memoryLimitBytes: memoryLimit(pod),
    });
  }

  // /etc/hosts and the termination message are files of ours.
  async #ownMounts(request: StartRequest): Promise<readonly ContainerMount[]> {
    const { pod, container } = request;
    if (this.#ports.runtime.logs !== "files") return [];
    const mounts: ContainerMount[] = [];
    const taken = new Set((container.volumeMounts ?? []).map((one) => one.mountPath));
    if (!taken.has("/etc/hosts")) {
      const hostsFile = join(this.#ports.volumes.podFolder(pod.metadata.uid), "etc-hosts");
      await mkdir(dirname(hostsFile), { recursive: true });
      await writeFile(hostsFile, await this.#hosts(request));
      await chmod(hostsFile, 0o644);
      mounts.push({ containerPath: "/etc/hosts", hostPath: hostsFile });
    }
    const { messageFile } = this.paths(pod, { name: container.name, attempt: request.attempt });
    await mkdir(dirname(messageFile), { recursive: true });
    await writeFile(messageFile, "");
    await chmod(messageFile, 0o666);
    mounts.push({
      containerPath: container.terminationMessagePath ?? "/dev/termination-log",
      hostPath: messageFile,
    });
    return mounts;
  }

  async #hosts(request: StartRequest): Promise<string> {
    const { pod } = request;
    const spec = specOf(pod);
    const aliases = (spec.hostAliases ?? []).map(
      ({ ip, hostnames = [] }) => `${ip}\t${hostnames.join("\t")}`,
    );
    const added = aliases.length === 0 ? "" : `\n# Entries added by HostAliases.\n${aliases.join("\n")}\n`;
    if (spec.hostNetwork === true) {
      const own = await readFile("/etc/hosts", "utf8").catch(() => "127.0.0.1\tlocalhost\n");
      return `# Kubernetes-managed hosts file (host network).\n${own}${added}`;
    }
    const full = fullHostname(pod, this.#ports.dns.domain);
    const lines = [
      "# Kubernetes-managed hosts file.",
      "127.0.0.1\tlocalhost",
      "::1\tlocalhost ip6-localhost ip6-loopback",
      "fe00::\tip6-localnet",
      "fe00::1\tip6-allnodes",
      "fe00::2\tip6-allrouters",
      ...this.#podIps(request).map((ip) =>
        full === undefined ? `${ip}\t${hostname(pod)}` : `${ip}\t${full}\t${hostname(pod)}`,
      ),
    ];
    return `${lines.join("\n")}\n${added}`;
  }

  async #postStart({ pod, container, sandbox }: StartRequest, id: string): Promise<void> {
    const hook = container.lifecycle?.postStart;
    if (hook === undefined) return;
    const podIp = sandbox.ips[0] ?? "127.0.0.1";
    const graceS = specOf(pod).terminationGracePeriodSeconds ?? GRACE_S;
    const result = await runHook(
      { hook, container, containerId: id, podIp, timeoutMs: 600_000 },
      this.#ports,
    );
    if (result.ok) return;
    const message = `PostStartHook failed: ${result.message}`;
    this.#tell(pod, { type: "Warning", reason: "FailedPostStartHook", message, container: container.name });
    this.#tell(pod, {
      type: "Normal",
      reason: "Killing",
      message: "FailedPostStartHook",
      container: container.name,
    });
    await this.#ports.runtime.stopContainer(id, { graceS, signal: this.#ports.signal });
  }
}

// Only when each container has a limit has the pod one: the sum, over the whole life of the pod.
function memoryLimit(pod: StoredPod): number | undefined {
  const limits = allContainers(specOf(pod)).map(({ container }) =>
    quantity(container.resources?.limits?.["memory"]),
  );
  if (limits.length === 0 || limits.some((limit) => limit === 0)) return undefined;
  return limits.reduce((sum, limit) => sum + limit, 0);
}
