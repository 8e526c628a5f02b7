import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";

export const remoteKinds = ["mosquitto", "nats", "rabbitmq"] as const;
export type RemoteKind = (typeof remoteKinds)[number];

const programs: Readonly<Record<RemoteKind, { readonly path: string; readonly debian: string }>> = {
  mosquitto: { path: "/usr/sbin/mosquitto", debian: "mosquitto" },
  nats: { path: "/usr/sbin/nats-server", debian: "nats-server" },
  rabbitmq: { path: "/usr/lib/rabbitmq/bin/rabbitmq-server", debian: "rabbitmq-server" },
};

/** Why tests with this broker cannot run here; false when they can. */
export function skipWithout(kind: RemoteKind): string | false {
  const { path, debian } = programs[kind];
  return existsSync(path) ? false : `Debian's ${debian} is not installed`;
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** A stock broker on a folder of its own, which can be killed and started again on what it left. */
export class RemoteBroker implements AsyncDisposable {
  readonly kind: RemoteKind;
  readonly port: number;
  readonly #folder: string;
  readonly #more: readonly string[];
  readonly #epmdPort: number;
  readonly #nodePort: number;
  #child: ChildProcess | undefined;
  /** Erlang's port mapper, which a node would start as a daemon of its own and leave behind. */
  #epmd: ChildProcess | undefined;

  private constructor(
    kind: RemoteKind,
    options: { readonly folder: string; readonly more: readonly string[]; readonly ports: readonly number[] },
  ) {
    const [port = 0, epmdPort = 0, nodePort = 0] = options.ports;
    this.kind = kind;
    this.port = port;
    this.#folder = options.folder;
    this.#more = options.more;
    this.#epmdPort = epmdPort;
    this.#nodePort = nodePort;
  }

  /** `more`: lines of mosquitto.conf; with a listener among them there is no other. */
  static async start(
    kind: RemoteKind,
    options: { readonly folder: string; readonly more?: readonly string[]; readonly port?: number },
  ): Promise<RemoteBroker> {
    const { folder, more = [], port = await freePort() } = options;
    const ports = [port, await freePort(), await freePort()];
    mkdirSync(folder, { recursive: true });
    const broker = new RemoteBroker(kind, { folder, more, ports });
    await broker.boot();
    return broker;
  }

  async boot(): Promise<void> {
    if (this.kind === "rabbitmq" && this.#epmd === undefined) {
      this.#epmd = spawn("epmd", ["-port", String(this.#epmdPort)], { stdio: "ignore" });
      await isListening(this.#epmdPort);
    }
    const { words, env } = this.#command();
    const child = spawn(programs[this.kind].path, words, {
      stdio: "ignore",
      env: { ...process.env, ...env },
      detached: true, // a group of its own, so that what it starts can be ended with it
    });
    this.#child = child;
    await this.#answers();
  }

  /** kill -9 of it and all that it has started. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child?.pid === undefined) return;
    const gone = once(child, "exit");
    process.kill(-child.pid, "SIGKILL");
    await gone;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    this.#epmd?.kill("SIGKILL");
  }

  #command(): { readonly words: readonly string[]; readonly env: Readonly<Record<string, string>> } {
    const file = (name: string, lines: readonly string[]): string => {
      const path = join(this.#folder, name);
      writeFileSync(path, `${lines.join("\n")}\n`);
      return path;
    };
    const { port } = this;
    if (this.kind === "mosquitto") {
      const hasListener = this.#more.some((line) => line.startsWith("listener"));
      const lines = [
        ...(hasListener ? [] : [`listener ${port} 127.0.0.1`]),
        ...this.#more,
        "user root",
        "persistence true",
        `persistence_location ${this.#folder}/`,
        "max_queued_messages 0",
        ...(this.#more.some((line) => line.startsWith("allow_anonymous")) ? [] : ["allow_anonymous true"]),
      ];
      return { words: ["-c", file("mosquitto.conf", lines)], env: {} };
    }
    if (this.kind === "nats") {
      const lines = [
        `listen: 127.0.0.1:${this.#nodePort}`,
        "server_name: central",
        `jetstream { store_dir: "${this.#folder}/jetstream" }`,
        `mqtt { listen: "127.0.0.1:${port}" }`,
      ];
      return { words: ["-c", file("nats.conf", lines)], env: {} };
    }
    const plugins = file("enabled_plugins", ["[rabbitmq_mqtt]."]);
    const conf = file("rabbitmq.conf", [
      `listeners.tcp.1 = 127.0.0.1:${this.#nodePort}`,
      `mqtt.listeners.tcp.1 = 127.0.0.1:${port}`,
      "mqtt.allow_anonymous = true",
    ]);
    const env = {
      HOME: this.#folder,
      ERL_EPMD_PORT: String(this.#epmdPort),
      RABBITMQ_NODENAME: `central-${port}@localhost`,
      RABBITMQ_MNESIA_BASE: join(this.#folder, "mnesia"),
      RABBITMQ_LOG_BASE: join(this.#folder, "log"),
      RABBITMQ_ENABLED_PLUGINS_FILE: plugins,
      RABBITMQ_CONFIG_FILE: conf,
      RABBITMQ_DIST_PORT: String(this.#nodePort + 1),
    };
    return { words: [], env };
  }

  async #answers(): Promise<void> {
    const isGone = (): boolean => (this.#child?.exitCode ?? null) !== null;
    if (await isListening(this.port, isGone)) return;
    throw new Error(
      `${this.kind} ${isGone() ? "ended before it listened" : "does not listen within a minute"}`,
    );
  }
}

async function isListening(port: number, isGone: () => boolean = () => false): Promise<boolean> {
  for (let at = 0; at < 600 && !isGone(); at += 1) {
    if (await isOpen(port)) return true;
    await new Promise<void>((resolve) => void setTimeout(resolve, 100));
  }
  return false;
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
