import assert from "node:assert/strict";
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { testImages } from "@cortado/node/testing/images";
import { run, stockClient, type Ran } from "../clients/clients.ts";
import { until } from "./demo-world.ts";

const program = join(import.meta.dirname, "..", "..", "packages", "program", "src", "main.ts");

// PID 1 of a machine: reaps, and takes all with it when it ends. /run is lost at a boot; version 2 of cgroups confuses runtimes.
const init = `
mount --make-rshared / && mount -t proc proc /proc && mount -t tmpfs -o mode=755 tmpfs /run && mkdir -p /run/netns || exit 1
if [ -e /sys/fs/cgroup/unified/cgroup.controllers ]; then umount /sys/fs/cgroup/unified; fi
touch "$1"
while :; do sleep 1000 & wait $!; done
`;

type Machine = { shell: ChildProcess | undefined; agent: ChildProcess | undefined };

const sh = (script: string): string =>
  execFileSync("sh", ["-ec", script], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

/** Machines of one line, each with namespaces, a containerd and real containers of its own; the first is the server. All is gone afterwards. */
export class WorkerBoxes implements AsyncDisposable {
  readonly id: string = randomBytes(3).toString("hex");
  readonly folder: string = mkdtempSync(join(tmpdir(), "cortado-boxes-"));
  readonly kubectl: string = stockClient("kubectl");
  readonly #machines: Map<string, Machine> = new Map();

  static async start(...serverWords: readonly string[]): Promise<WorkerBoxes> {
    const boxes = new WorkerBoxes();
    try {
      boxes.#plugLine();
      await boxes.boot("server");
      await boxes.startServer(...serverWords);
      return boxes;
    } catch (error) {
      await boxes[Symbol.asyncDispose]();
      throw error;
    }
  }

  addressOf(name: string): string {
    const at = [...this.#machines.keys()].indexOf(name);
    assert.ok(at >= 0, `${name} is booted`);
    return `100.64.77.${at + 2}`;
  }

  get token(): string {
    return readFileSync(join(this.folder, "server", "server", "node-token"), "utf8").trim();
  }

  /** A machine with power, and nothing of ours running. */
  async boot(name: string): Promise<void> {
    const isNew = !this.#machines.has(name);
    const machine = this.#machines.get(name) ?? { shell: undefined, agent: undefined };
    this.#machines.set(name, machine);
    if (isNew) this.#plugIn(name);
    const ready = join(this.folder, `${name}.booted`);
    rmSync(ready, { force: true });
    const words = [
      "-m",
      "-p",
      "-f",
      "--kill-child",
      "--propagation",
      "private",
      "sh",
      "-c",
      init,
      "init",
      ready,
    ];
    machine.shell = this.#spawn(name, "nsenter", [
      `--net=/run/netns/${this.#namespace(name)}`,
      "unshare",
      ...words,
    ]);
    await until(`machine ${name}`, () => Promise.resolve(existsSync(ready)), 20_000);
  }

  async startServer(...more: readonly string[]): Promise<void> {
    const address = this.addressOf("server");
    this.#startProgram("server", [
      "server",
      ...["--write-kubeconfig", this.kubeconfig, "--kubeconfig-server", `https://${address}:6443`],
      ...["--mqtt-port", "0", "--mqtt-websocket-port", "0", "--gateway-port", "0", "--telemetry-port", "0"],
      ...more,
    ]);
    await until(
      "the server",
      async () => existsSync(this.kubeconfig) && (await this.ask("get --raw /readyz")).out === "ok",
      90_000,
    );
  }

  startAgent(name: string, ...more: readonly string[]): void {
    this.#startProgram(name, [
      "agent",
      "--server",
      `https://${this.addressOf("server")}:6443`,
      "--token",
      this.token,
      ...more,
    ]);
  }

  /** Ends our process at once; its containers run on. */
  async kill(name: string): Promise<void> {
    const machine = this.#machines.get(name);
    const child = machine?.agent;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    for (const pid of childrenOf(child.pid ?? 0)) process.kill(pid, "SIGKILL");
    await ended;
  }

  /** Ends everything of a machine at once. */
  async cutPower(name: string): Promise<void> {
    const machine = this.#machines.get(name);
    const { shell } = machine ?? {};
    if (shell?.exitCode === null && shell.signalCode === null) {
      const ended = new Promise((resolve) => shell.once("exit", resolve));
      shell.kill("SIGKILL");
      await ended;
    }
    await until(
      `the end of ${name}`,
      () => Promise.resolve(sh(`ip netns pids ${this.#namespace(name)}`) === ""),
      20_000,
    );
    // What a real machine loses with its power lives on in the network namespace.
    for (const link of ["cni0", "cortado.1"])
      sh(`ip -n ${this.#namespace(name)} link delete ${link} 2>/dev/null || true`);
    sh(`nsenter --net=/run/netns/${this.#namespace(name)} nft flush ruleset`);
  }

  /** Ends the processes of a program in a machine's containers. */
  endContainers(name: string, program: string): void {
    for (const pid of readdirSync("/proc").filter((one) => /^\d+$/.test(one))) {
      const command = readOr(`/proc/${pid}/cmdline`);
      const group = readOr(`/proc/${pid}/cgroup`);
      if (command.startsWith(program) && group.includes(`cw-${this.id}/${name}/`))
        process.kill(Number(pid), "SIGKILL");
    }
  }

  get kubeconfig(): string {
    return join(this.folder, "kubeconfig.yaml");
  }

  /** Stock kubectl, from a place on the line that is no machine of the cluster. */
  ask(words: string | readonly string[], input?: string): Promise<Ran> {
    const list = typeof words === "string" ? words.split(" ") : words;
    return this.outside([this.kubectl, "--kubeconfig", this.kubeconfig, ...list], input);
  }

  async told(words: string | readonly string[], input?: string): Promise<string> {
    const { code, out, err } = await this.ask(words, input);
    assert.equal(code, 0, `kubectl ${String(words)}: ${err}`);
    return out;
  }

  async apply(...objects: readonly object[]): Promise<void> {
    await this.told("apply -f -", JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }));
  }

  outside(words: readonly string[], input?: string): Promise<Ran> {
    const options = { timeoutMs: 30_000, ...(input === undefined ? {} : { input }) };
    return run("nsenter", [`--net=/run/netns/${this.#namespace("wan")}`, ...words], options);
  }

  inside(name: string, words: readonly string[]): Promise<Ran> {
    return run("nsenter", [`--net=/run/netns/${this.#namespace(name)}`, ...words], { timeoutMs: 30_000 });
  }

  /** What a shell in a pod says; what went wrong begins with "failed: ". */
  async inPod(pod: string, script: string): Promise<string> {
    const { code, out, err } = await this.ask(["exec", pod, "--", "sh", "-c", script]);
    return code === 0 ? out : `failed: ${err}`;
  }

  async untilReady(node: string): Promise<void> {
    const path = '-o=jsonpath={.status.conditions[?(@.type=="Ready")].status}';
    await until(
      `node ${node} Ready`,
      async () => (await this.ask(["get", "node", node, path])).out === "True",
      60_000,
    );
  }

  log(name: string): string {
    return readFileSync(join(this.folder, `${name}.log`), "utf8");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of this.#machines.keys()) await this.cutPower(name).catch(() => undefined);
    for (const name of [...this.#machines.keys(), "wan"])
      sh(`ip netns delete ${this.#namespace(name)} 2>/dev/null || true`);
    for (const hierarchy of readdirSync("/sys/fs/cgroup"))
      sh(
        `d=/sys/fs/cgroup/${hierarchy}/cw-${this.id}; [ ! -d $d ] || find $d -depth -type d -exec rmdir {} + 2>/dev/null || true`,
      );
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  #namespace(name: string): string {
    return `cw-${this.id}-${name}`;
  }

  #plugLine(): void {
    const wan = this.#namespace("wan");
    sh(`ip netns add ${wan}; ip -n ${wan} link set lo up; ip -n ${wan} link add line type bridge
      ip -n ${wan} address add 100.64.77.1/24 dev line; ip -n ${wan} link set line up`);
  }

  #plugIn(name: string): void {
    const [own, wan] = [this.#namespace(name), this.#namespace("wan")];
    const at = [...this.#machines.keys()].indexOf(name);
    sh(`ip netns add ${own}; ip -n ${own} link set lo up
      ip link add up0 netns ${own} type veth peer name l${at} netns ${wan}
      ip -n ${wan} link set l${at} master line up
      ip -n ${own} address add ${this.addressOf(name)}/24 dev up0; ip -n ${own} link set up0 up
      ip -n ${own} route add default via 100.64.77.1`);
    const images = join(this.folder, name, "agent", "images");
    mkdirSync(images, { recursive: true });
    writeFileSync(join(images, "test.tar"), testImages());
  }

  #startProgram(name: string, words: readonly string[]): void {
    const machine = this.#machines.get(name) as Machine;
    const [first] = childrenOf(machine.shell?.pid ?? 0);
    const enter = ["--target", String(first), "--mount", "--pid", "--net", "--", process.execPath, program];
    const common = [
      "--data-dir",
      join(this.folder, name),
      "--node-name",
      name,
      "--node-ip",
      this.addressOf(name),
    ];
    const more = ["--cgroup-root", `cw-${this.id}/${name}`, "--resolv-conf", "/dev/null"];
    machine.agent = this.#spawn(name, "nsenter", [...enter, ...words, ...common, ...more]);
  }

  #spawn(name: string, command: string, words: readonly string[]): ChildProcess {
    const log = openSync(join(this.folder, `${name}.log`), "a");
    const child = spawn(command, words, { stdio: ["ignore", log, log] });
    closeSync(log);
    return child;
  }
}

function readOr(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // it ended meanwhile
  }
}

function childrenOf(pid: number): readonly number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
  return text.split(" ").filter(Boolean).map(Number);
}
