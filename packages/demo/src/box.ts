import { spawn } from "node:child_process";
import { closeSync, existsSync, openSync } from "node:fs";
import { StatusError } from "@cortado/std/status";
import { makeCgroup } from "./cgroups.ts";
import { attempt, childOf, killNow, run, startTimeOf, waitFor } from "./command.ts";
import { START_WITHIN_MS, WAN_PREFIX } from "./limits.ts";

/** How one store lives on this machine. The demo does not care whether it is a box or a plain process. */
export interface Store {
  readonly name: string;
  /** Starts whatever is missing; resolves when processes are started, not when they are ready. */
  boot(): Promise<void>;
  /** Ends our process at once; its containers run on. */
  kill(): Promise<void>;
  /** Ends everything of the store at once, as a pulled plug does. */
  cutPower(): Promise<void>;
  setUplink(state: "up" | "down"): Promise<void>;
  /** Lets our process stop by itself. */
  stop(): Promise<void>;
  /** Our process as the host sees it; undefined while it is dead. */
  pid(): Promise<number | undefined>;
  /** Every process that must not outlive the demo. */
  processes(): readonly number[];
}

export type BoxOptions = {
  readonly name: string;
  readonly demoId: string;
  /** Host number in the wide area: 2 is 100.64.0.2. */
  readonly host: number;
  /** The command line of `cortado server` for this store. */
  readonly command: readonly string[];
  readonly logFile: string;
};

export const wanOf = (demoId: string): string => `cortado-${demoId}-wan`;
export const cgroupOf = (demoId: string): string => `cortado-${demoId}`;

// The first process of a box: everything else hangs on it. It reaps what is orphaned, so that no shim stays a zombie. The
// almost empty version 2 hierarchy of a hybrid host confuses runtimes, so the box does not see it. The host's name servers are
// out of its reach: asking none fails at once, where asking them would hold up each pull of a missing image for 20 s.
const init = `
mount --make-rshared / && mount -t proc proc /proc && mount -t tmpfs -o mode=755 tmpfs /run && mkdir -p /run/netns || exit 1
if [ -e /etc/resolv.conf ]; then mount --bind /dev/null /etc/resolv.conf; fi
if [ -e /sys/fs/cgroup/unified/cgroup.controllers ]; then umount /sys/fs/cgroup/unified; fi
while :; do sleep 1000 & wait $!; done
`;

export class Box implements Store {
  readonly name: string;
  readonly #options: BoxOptions;
  readonly #namespace: string;
  #shell: number | undefined;
  #server: number | undefined;

  constructor(options: BoxOptions) {
    this.name = options.name;
    this.#options = options;
    this.#namespace = `cortado-${options.demoId}-${options.name}`;
  }

  async boot(): Promise<void> {
    await this.#ensureNetwork();
    await this.#dropInbound();
    const init = await this.#ensureInit();
    if ((await this.pid()) !== undefined) return;
    const enter = [
      "nsenter",
      "--target",
      String(init),
      "--mount",
      "--pid",
      "--net",
      "--",
      ...this.#options.command,
    ];
    // Who enters a box is counted and limited with it, and so is the containerd that it starts.
    this.#server = await this.#spawn("sh", ["-c", `${await this.#joinCgroup()} exec "$@"`, "box", ...enter]);
    await waitFor("the start of our process", () => childOf(this.#server ?? 0), {
      withinMs: START_WITHIN_MS,
      everyMs: 10,
    });
  }

  async kill(): Promise<void> {
    const pid = await this.pid();
    if (pid === undefined) throw new StatusError("Conflict", `${this.name} is not running; boot it first`);
    killNow(pid);
    await gone(pid);
  }

  async cutPower(): Promise<void> {
    const init = this.#shell === undefined ? undefined : await childOf(this.#shell);
    if (this.#shell !== undefined) killNow(this.#shell);
    if (init !== undefined) await gone(init);
    if (this.#server !== undefined) killNow(this.#server);
    this.#shell = undefined;
    this.#server = undefined;
    // A real machine's bridges and rules go with its power; these live in the network namespace, which outlasts the processes.
    await attempt("ip", "-n", this.#namespace, "link", "delete", "cni0");
    await attempt("nsenter", `--net=/run/netns/${this.#namespace}`, "nft", "flush", "ruleset");
    await attempt("ip", "-n", this.#namespace, "address", "flush", "dev", "lo", "scope", "global");
  }

  async setUplink(state: "up" | "down"): Promise<void> {
    await run("ip", "-n", wanOf(this.#options.demoId), "link", "set", this.#wanEnd(), state);
    // A link that was down loses its routes.
    if (state === "up") await this.#addRoute();
  }

  async stop(): Promise<void> {
    const pid = await this.pid();
    if (pid !== undefined) killNow(pid, "SIGTERM");
  }

  async pid(): Promise<number | undefined> {
    const pid = this.#server === undefined ? undefined : await childOf(this.#server);
    return pid !== undefined && (await startTimeOf(pid)) !== undefined ? pid : undefined;
  }

  processes(): readonly number[] {
    return [this.#shell, this.#server].filter((pid) => pid !== undefined);
  }

  #wanEnd(): string {
    return `s${this.#options.host}`;
  }

  async #ensureNetwork(): Promise<void> {
    const { host, demoId } = this.#options;
    const known = await run("ip", "netns", "list");
    if (new RegExp(`^${this.#namespace}( |$)`, "m").test(known)) return;
    const wan = wanOf(demoId);
    await run("ip", "netns", "add", this.#namespace);
    await run("ip", "-n", this.#namespace, "link", "set", "lo", "up");
    await run(
      "ip",
      "link",
      "add",
      "up0",
      "netns",
      this.#namespace,
      "type",
      "veth",
      "peer",
      "name",
      this.#wanEnd(),
      "netns",
      wan,
    );
    await run("ip", "-n", wan, "link", "set", this.#wanEnd(), "master", "wan0");
    await run("ip", "-n", wan, "link", "set", this.#wanEnd(), "up");
    await run("ip", "-n", this.#namespace, "address", "add", `${WAN_PREFIX}.${host}/24`, "dev", "up0");
    await run("ip", "-n", this.#namespace, "link", "set", "up0", "up");
    await this.#addRoute();
  }

  /** A store needs no open port: what comes in by the uplink and was not asked for is dropped. */
  async #dropInbound(): Promise<void> {
    const chain = "inet cortado_uplink inbound";
    const rules = [
      "add table inet cortado_uplink",
      // After connection tracking (-200), before any rewriting of addresses (-100).
      `add chain ${chain} { type filter hook prerouting priority -150; }`,
      `flush chain ${chain}`,
      `add rule ${chain} iifname "up0" ct state != { established, related } drop`,
    ].join("\n");
    await run("nsenter", `--net=/run/netns/${this.#namespace}`, "nft", rules);
  }

  async #addRoute(): Promise<void> {
    await attempt("ip", "-n", this.#namespace, "route", "replace", "default", "via", `${WAN_PREFIX}.1`);
  }

  async #ensureInit(): Promise<number> {
    const found = this.#shell === undefined ? undefined : await childOf(this.#shell);
    if (found !== undefined) return found;
    const join = await this.#joinCgroup();
    const enter = `exec nsenter --net=/run/netns/${this.#namespace} unshare -m -p -f --kill-child --propagation private sh -c "$1"`;
    this.#shell = await this.#spawn("sh", ["-c", `${join} ${enter}`, "box", init]);
    const shell = this.#shell;
    const first = await waitFor("the box's first process", () => childOf(shell), {
      withinMs: START_WITHIN_MS,
      everyMs: 5,
    });
    // Its /run is there when its mounts are done; entering earlier would see the host's.
    await waitFor("the box's mounts", () => hasOwnRun(first), { withinMs: START_WITHIN_MS, everyMs: 5 });
    return first;
  }

  /** What a shell says to be counted with the box. */
  async #joinCgroup(): Promise<string> {
    const groups = await makeCgroup(`${cgroupOf(this.#options.demoId)}/${this.name}/box`);
    return groups.map((file) => `echo $$ > ${file};`).join(" ");
  }

  async #spawn(program: string, words: readonly string[]): Promise<number> {
    const log = openSync(this.#options.logFile, "a", 0o600);
    const child = spawn(program, words, { detached: true, stdio: ["ignore", log, log] });
    closeSync(log);
    child.unref();
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", reject);
    });
    return child.pid as number;
  }
}

async function hasOwnRun(pid: number): Promise<true | undefined> {
  const entered = await run("nsenter", "--target", String(pid), "--mount", "test", "-d", "/run/netns").catch(
    () => undefined,
  );
  const sleeping = await childOf(pid);
  return entered !== undefined && sleeping !== undefined ? true : undefined;
}

/** Waits until a killed process is really gone, reaped by its parent too: a script may look for it in /proc. */
export async function gone(pid: number): Promise<void> {
  const look = (): Promise<true | undefined> =>
    Promise.resolve(existsSync(`/proc/${pid}`) ? undefined : true);
  await waitFor(`the end of process ${pid}`, look, { withinMs: 10_000, everyMs: 5 });
}
