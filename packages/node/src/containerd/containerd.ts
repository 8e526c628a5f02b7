import { spawn, execFile, type ChildProcess } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { access, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import { StatusError } from "@cortado/std/status";
import { CONTAINERD_LOOK_MS, CONTAINERD_READY_LOOK_MS, CONTAINERD_READY_MS } from "../limits.ts";
import { openCriRuntime } from "../runtime/cri/cri-runtime.ts";

export type ContainerdOptions = {
  /** Survives: images, snapshots, addresses. Usually DATA/containerd. */
  readonly dataFolder: string;
  /** Lost at a boot, short: its socket's path is limited to 108 bytes. Usually /run/cortado/containerd. */
  readonly runFolder: string;
  readonly pauseImage: string;
  readonly podSubnet: string;
  readonly bridge: string;
  readonly binFolder?: string;
};

export type ContainerdTraits = {
  /** 2 for containerd 1.x, 3 for 2.x: the configuration's own version. */
  readonly configVersion: 2 | 3;
  /** True where we may not write negative OOM scores. */
  readonly lacksSysResource: boolean;
  readonly snapshotter: "overlayfs" | "native";
  readonly cniFolder: string;
};

export function containerdSocket(options: Pick<ContainerdOptions, "runFolder">): string {
  return join(options.runFolder, "c.sock");
}

/** containerd's config.toml. Pure. */
export function containerdConfig(options: ContainerdOptions, traits: ContainerdTraits): string {
  const cri = traits.configVersion === 2 ? criSection2(options, traits) : criSection3(options, traits);
  const off = ["btrfs", "zfs", "devmapper", "aufs"].map((name) => `"io.containerd.snapshotter.v1.${name}"`);
  return `version = ${traits.configVersion}
root = ${toml(join(options.dataFolder, "root"))}
state = ${toml(join(options.runFolder, "state"))}
disabled_plugins = [${[...off, '"io.containerd.tracing.processor.v1.otlp"', '"io.containerd.internal.v1.tracing"'].join(", ")}]
[grpc]
  address = ${toml(containerdSocket(options))}
[debug]
  level = "warn"
${cri}`;
}

function criSection2(options: ContainerdOptions, traits: ContainerdTraits): string {
  const cri = '[plugins."io.containerd.grpc.v1.cri"';
  return `${cri}]
  sandbox_image = ${toml(options.pauseImage)}
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  stream_idle_timeout = "4h0m0s"
  restrict_oom_score_adj = ${traits.lacksSysResource}
  ${cri}.cni]
    bin_dir = ${toml(traits.cniFolder)}
    conf_dir = ${toml(cniConfigFolder(options))}
  ${cri}.registry]
    config_path = ${toml(join(options.dataFolder, "certs.d"))}
  ${cri}.containerd]
    snapshotter = ${toml(traits.snapshotter)}
    default_runtime_name = "runc"
    ${cri}.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      ${cri}.containerd.runtimes.runc.options]
        SystemdCgroup = false
`;
}

function criSection3(options: ContainerdOptions, traits: ContainerdTraits): string {
  const images = `[plugins."io.containerd.cri.v1.images"`;
  const runtime = `[plugins."io.containerd.cri.v1.runtime"`;
  return `${images}]
  snapshotter = ${toml(traits.snapshotter)}
  ${images}.pinned_images]
    sandbox = ${toml(options.pauseImage)}
  ${images}.registry]
    config_path = ${toml(join(options.dataFolder, "certs.d"))}
${runtime}]
  restrict_oom_score_adj = ${traits.lacksSysResource}
  ${runtime}.cni]
    bin_dirs = [${toml(traits.cniFolder)}]
    conf_dir = ${toml(cniConfigFolder(options))}
  ${runtime}.containerd]
    default_runtime_name = "runc"
    ${runtime}.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      ${runtime}.containerd.runtimes.runc.options]
        SystemdCgroup = false
[plugins."io.containerd.grpc.v1.cri"]
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  stream_idle_timeout = "4h0m0s"
`;
}

/**
 * The pods' network: a bridge with addresses by host-local, host ports, and hairpin so that a pod reaches itself. The way to the outside
 * is not CNI's: it would hide a pod from those of other nodes behind its node's address.
 */
export function cniConfig(options: ContainerdOptions): string {
  const config = {
    cniVersion: "0.4.0",
    name: "cortado",
    plugins: [
      {
        type: "bridge",
        bridge: options.bridge,
        isGateway: true,
        hairpinMode: true,
        ipam: {
          type: "host-local",
          dataDir: join(options.runFolder, "ipam"),
          ranges: [[{ subnet: options.podSubnet }]],
          routes: [{ dst: "0.0.0.0/0" }],
        },
      },
      { type: "portmap", capabilities: { portMappings: true } },
    ],
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

function cniConfigFolder(options: ContainerdOptions): string {
  return join(options.dataFolder, "cni");
}

export type ContainerdPorts = { readonly clock: Clock; readonly log: Log; readonly signal: AbortSignal };

export interface Containerd extends AsyncDisposable {
  readonly socketPath: string;
  readonly pid: number | undefined;
  /** Resolves when the process is gone, whoever ended it. */
  readonly ended: Promise<void>;
}

/** Looks at the machine: which containerd, which rights, which file system. @throws StatusError naming what to install */
export async function readTraits(options: ContainerdOptions): Promise<ContainerdTraits> {
  const binary = containerdBinary(options);
  const version = await run(binary, ["--version"]).catch((cause: unknown) => {
    throw new StatusError(
      "NotFound",
      `${binary} does not run; install containerd, runc and containernetworking-plugins`,
      { cause },
    );
  });
  const major = /\sv?(\d+)\.\d+\.\d+/.exec(version)?.[1] ?? "1";
  const status = await readFile("/proc/self/status", "utf8");
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? "0"}`);
  const sysResource = 1n << 24n;
  const cniFolder = ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"].find((folder) =>
    existsSync(join(folder, "bridge")),
  );
  if (cniFolder === undefined)
    throw new StatusError(
      "NotFound",
      "no CNI plugins in /opt/cni/bin or /usr/lib/cni; install containernetworking-plugins",
    );
  return {
    configVersion: Number(major) >= 2 ? 3 : 2,
    lacksSysResource: (effective & sysResource) === 0n,
    snapshotter: (await overlayWorks(options.dataFolder)) ? "overlayfs" : "native",
    cniFolder,
  };
}

// An overlay cannot lie on an overlay or on some network file systems; copying whole layers always works.
async function overlayWorks(folder: string): Promise<boolean> {
  const probe = join(folder, "overlay-probe");
  const paths = ["lower", "upper", "work", "merged"].map((name) => join(probe, name));
  try {
    for (const path of paths) await mkdir(path, { recursive: true });
    const [lower, upper, work, merged] = paths;
    await run("mount", [
      "-t",
      "overlay",
      "overlay",
      "-o",
      `lowerdir=${lower},upperdir=${upper},workdir=${work}`,
      merged ?? "",
    ]);
    await run("umount", [merged ?? ""]);
    return true;
  } catch {
    return false;
  } finally {
    await rm(probe, { recursive: true, force: true });
  }
}

/** Writes containerd's files. Addresses are kept under the run folder: no pod outlives a boot, so no address may. */
export async function writeContainerdFiles(
  options: ContainerdOptions,
  traits: ContainerdTraits,
): Promise<string> {
  const configFile = join(options.dataFolder, "config.toml");
  for (const folder of [
    options.dataFolder,
    options.runFolder,
    cniConfigFolder(options),
    join(options.dataFolder, "certs.d"),
  ])
    await mkdir(folder, { recursive: true, mode: 0o711 });
  await writeFile(configFile, containerdConfig(options, traits));
  await writeCniFile(options);
  return configFile;
}

/** containerd looks at its folder, and takes a new one for the pods that come. */
async function writeCniFile(options: ContainerdOptions): Promise<void> {
  const path = join(cniConfigFolder(options), "10-cortado.conflist");
  const wanted = cniConfig(options);
  if ((await readFile(path, "utf8").catch(() => "")) !== wanted) await writeFile(path, wanted);
}

/**
 * Starts a containerd of our own and waits until it answers, or adopts the one that already answers at the socket: containers and their
 * containerd outlive us.
 */
export async function startContainerd(
  options: ContainerdOptions,
  ports: ContainerdPorts,
): Promise<Containerd> {
  const socketPath = containerdSocket(options);
  if (await answers(socketPath, ports)) {
    await mkdir(cniConfigFolder(options), { recursive: true, mode: 0o711 });
    await writeCniFile(options);
    return {
      socketPath,
      pid: undefined,
      ended: new Promise(() => undefined),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }
  const configFile = await writeContainerdFiles(options, await readTraits(options));
  // Into a file and not a pipe: containerd outlives us, and must not fall over a pipe that nobody reads.
  const logFile = join(options.dataFolder, "containerd.log");
  const output = openSync(logFile, "w", 0o600);
  const child = spawn(containerdBinary(options), ["--config", configFile], {
    stdio: ["ignore", output, output],
    detached: true,
  });
  closeSync(output);
  const lastLines = (): string =>
    readFileSync(logFile, "utf8").trimEnd().split("\n").slice(-LINES_KEPT).join(" | ");
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  await untilReady({ socketPath, child, ports, lastLines });
  child.unref();
  ports.log.info("containerd started", { pid: child.pid, socketPath });
  return {
    socketPath,
    pid: child.pid,
    ended,
    async [Symbol.asyncDispose]() {
      child.ref(); // or nothing would keep us here until it is gone
      child.kill("SIGTERM");
      await ended;
    },
  };
}

/**
 * Starts or adopts a containerd and starts it again whenever it ends, until the signal aborts. Pods live on meanwhile, and it stays when
 * this process ends.
 */
export async function keepContainerd(
  options: ContainerdOptions,
  ports: ContainerdPorts,
): Promise<{ readonly socketPath: string }> {
  const { socketPath } = await startContainerd(options, ports);
  void watchContainerd(options, ports);
  return { socketPath };
}

async function watchContainerd(options: ContainerdOptions, ports: ContainerdPorts): Promise<void> {
  const { clock, log, signal } = ports;
  while (!signal.aborted) {
    try {
      await clock.sleep(CONTAINERD_LOOK_MS, { signal });
      // Asked twice: one that is only busy must not get a rival.
      if (await answers(containerdSocket(options), ports)) continue;
      await clock.sleep(CONTAINERD_LOOK_MS, { signal });
      if (await answers(containerdSocket(options), ports)) continue;
      log.error("containerd does not answer and is started again");
      await startContainerd(options, ports);
    } catch (error) {
      if (!signal.aborted) log.error("containerd not started again", { error });
    }
  }
}

type Ready = {
  readonly socketPath: string;
  readonly child: ChildProcess;
  readonly ports: ContainerdPorts;
  readonly lastLines: () => string;
};

async function untilReady({ socketPath, child, ports, lastLines }: Ready): Promise<void> {
  const startMs = ports.clock.monotonicMs();
  while (!(await answers(socketPath, ports))) {
    if (child.exitCode !== null)
      throw new StatusError(
        "ServiceUnavailable",
        `containerd ended with code ${child.exitCode}: ${lastLines()}`,
      );
    if (ports.clock.monotonicMs() - startMs > CONTAINERD_READY_MS) {
      child.kill("SIGKILL");
      throw new StatusError(
        "Timeout",
        `containerd is not ready after ${CONTAINERD_READY_MS} ms: ${lastLines()}`,
      );
    }
    await ports.clock.sleep(CONTAINERD_READY_LOOK_MS, ports);
  }
}

async function answers(socketPath: string, { clock, signal }: ContainerdPorts): Promise<boolean> {
  if (
    !(await access(socketPath).then(
      () => true,
      () => false,
    ))
  )
    return false;
  try {
    await using runtime = await openCriRuntime({ socketPath, clock, signal });
    return (await runtime.health({ signal })).message !== undefined;
  } catch {
    return false;
  }
}

const LINES_KEPT = 5;

function containerdBinary(options: ContainerdOptions): string {
  return options.binFolder === undefined ? "containerd" : join(options.binFolder, "containerd");
}

function run(command: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(command, [...args], { encoding: "utf8" }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else
        reject(
          new Error(`${command} ${args.join(" ")}: ${stderr.trim() || error.message}`, { cause: error }),
        );
    });
  });
}

function toml(text: string): string {
  return JSON.stringify(text);
}
