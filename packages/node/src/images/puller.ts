import type { Container, Secret } from "@cortado/kinds";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import { hasReason, messageOf } from "@cortado/std/status";
import { PULL_BACKOFF_FIRST_MS, PULL_BACKOFF_MAX_MS, PULL_TIMEOUT_MS, PULLS_AT_ONCE } from "../limits.ts";
import { BackOff, durationText } from "../pods/back-off.ts";
import { specOf, type StoredPod } from "../pods/pod.ts";
import type { Problem } from "../pods/status.ts";
import type { RegistryLogin, Runtime, RuntimeImage } from "../runtime/runtime.ts";
import type { Sources } from "../sources.ts";
import { Gate } from "../gate.ts";

export type ImageAnswer =
  | { readonly kind: "present"; readonly image: RuntimeImage }
  | { readonly kind: "pulling" }
  | { readonly kind: "problem"; readonly problem: Problem; readonly againMs: number };

export type PullEvents = {
  pulling(pod: StoredPod, container: Container): void;
  pulled(
    pod: StoredPod,
    container: Container,
    how: { readonly tookMs: number | undefined; readonly sizeBytes: number },
  ): void;
  failed(pod: StoredPod, container: Container, problem: Problem): void;
  /** Back-off in force. */
  waits(pod: StoredPod, container: Container, problem: Problem): void;
};

export type PullerOptions = {
  readonly runtime: Runtime;
  readonly sources: Sources;
  readonly clock: Clock;
  readonly log: Log;
  readonly events: PullEvents;
  readonly signal: AbortSignal;
  /** A pull for this pod ended: it is time to plan again. */
  readonly settled: (uid: string) => void;
  /** Images that come with the store are still on their way: what is missing now may be there in a moment. */
  readonly importing?: Promise<unknown>;
  /** Images used by a pod are told, for the collector. */
  readonly used?: (image: RuntimeImage) => void;
};

type Failure = { readonly problem: Problem; readonly atMs: number };

/** Gets images as each container's pull policy says. Never waits: a pull goes on beside and `settled` tells its end. */
export class ImagePuller {
  readonly #options: PullerOptions;
  readonly #running = new Map<string, Promise<void>>();
  readonly #failures = new Map<string, Failure>();
  /** Pulls of this life under "Always": the image that a pod's container start may use once. */
  readonly #fresh = new Map<string, RuntimeImage>();
  readonly #backOff: BackOff;
  readonly #gate: Gate = new Gate(PULLS_AT_ONCE);
  readonly #waiting: string[] = [];
  #imported = false;

  constructor(options: PullerOptions) {
    this.#options = options;
    const { importing = Promise.resolve(), settled } = options;
    const imported = (): void => {
      this.#imported = true;
      for (const uid of this.#waiting.splice(0)) settled(uid);
    };
    importing.then(imported, imported);
    this.#backOff = new BackOff({
      firstMs: PULL_BACKOFF_FIRST_MS,
      maxMs: PULL_BACKOFF_MAX_MS,
      resetMs: 2 * PULL_BACKOFF_MAX_MS,
      clock: options.clock,
    });
  }

  async ensure(pod: StoredPod, container: Container): Promise<ImageAnswer> {
    const name = normalImage(container.image ?? "");
    const key = `${pod.metadata.uid}/${name}`;
    if (this.#running.has(key)) return { kind: "pulling" };
    const fresh = this.#fresh.get(key);
    if (fresh !== undefined) {
      this.#fresh.delete(key);
      return { kind: "present", image: fresh };
    }
    const policy = container.imagePullPolicy ?? defaultPolicy(name);
    if (policy !== "Always") {
      const image = await this.#options.runtime.image(name, { signal: this.#options.signal });
      if (image !== undefined) {
        this.#options.used?.(image);
        this.#options.events.pulled(pod, container, { tookMs: undefined, sizeBytes: image.sizeBytes });
        return { kind: "present", image };
      }
      if (!this.#imported) {
        this.#waiting.push(pod.metadata.uid);
        return { kind: "pulling" };
      }
      if (policy === "Never") {
        const problem = {
          reason: "ErrImageNeverPull",
          message: `Container image "${container.image}" is not present with pull policy of Never`,
        };
        this.#options.events.failed(pod, container, problem);
        return { kind: "problem", problem, againMs: PULL_BACKOFF_FIRST_MS };
      }
    }
    return this.#pull(key, { pod, container, name });
  }

  forget(uid: string): void {
    this.#backOff.forget(`${uid}/`);
    for (const map of [this.#failures, this.#fresh])
      for (const key of map.keys()) if (key.startsWith(`${uid}/`)) map.delete(key);
  }

  #pull(key: string, ask: Ask): ImageAnswer {
    const failure = this.#failures.get(key);
    if (failure !== undefined) {
      const waitMs = this.#backOff.remainingMs(key, failure.atMs);
      if (waitMs > 0) {
        const problem = {
          reason: "ImagePullBackOff",
          message: `Back-off pulling image "${ask.container.image}": ${failure.problem.reason}: ${failure.problem.message}`,
        };
        this.#options.events.waits(ask.pod, ask.container, problem);
        return { kind: "problem", problem, againMs: waitMs };
      }
      this.#failures.delete(key);
    }
    this.#running.set(key, this.#run(key, ask));
    return { kind: "pulling" };
  }

  /** What went wrong last, before the next try; for the status while a pull is not running. */
  problem(uid: string, image: string): Problem | undefined {
    return this.#failures.get(`${uid}/${normalImage(image)}`)?.problem;
  }

  async #run(key: string, { pod, container, name }: Ask): Promise<void> {
    const { runtime, clock, events, signal, settled, used } = this.#options;
    const deadline = new AbortController();
    let alarm: Disposable | undefined;
    try {
      await this.#gate.run(async () => {
        alarm = clock.after(PULL_TIMEOUT_MS, () =>
          deadline.abort(new Error(`no end after ${durationText(PULL_TIMEOUT_MS)}`)),
        );
        events.pulling(pod, container);
        const startMs = clock.monotonicMs();
        const login = await this.#login(pod, name);
        const options = { signal: AbortSignal.any([signal, deadline.signal]) };
        const ref = await runtime.pull({ image: name, ...(login === undefined ? {} : { login }) }, options);
        const image = (await runtime.image(name, options)) ?? (await runtime.image(ref, options));
        if (image === undefined) throw new Error(`the runtime pulled ${name} and does not have it`);
        this.#fresh.set(key, image);
        this.#failures.delete(key);
        used?.(image);
        events.pulled(pod, container, { tookMs: clock.monotonicMs() - startMs, sizeBytes: image.sizeBytes });
      });
    } catch (error) {
      if (!signal.aborted) this.#failed(key, { pod, container, name }, error);
    } finally {
      alarm?.[Symbol.dispose]();
      this.#running.delete(key);
      settled(pod.metadata.uid);
    }
  }

  #failed(key: string, { pod, container }: Ask, error: unknown): void {
    const atMs = this.#options.clock.monotonicMs();
    const reason = hasReason(error, "BadRequest") ? "InvalidImageName" : "ErrImagePull";
    const problem = { reason, message: messageOf(error).replace(/^PullImage: /, "") };
    this.#failures.set(key, { problem, atMs });
    this.#backOff.next(key, atMs);
    this.#options.events.failed(pod, container, problem);
  }

  async #login(pod: StoredPod, image: string): Promise<RegistryLogin | undefined> {
    const registry = image.split("/")[0] ?? "";
    for (const { name = "" } of specOf(pod).imagePullSecrets ?? []) {
      const secret = await this.#options.sources.secret(pod.metadata.namespace ?? "", name);
      const login = secret === undefined ? undefined : loginFor(secret, registry);
      if (login !== undefined) return login;
    }
    return undefined;
  }
}

type Ask = { readonly pod: StoredPod; readonly container: Container; readonly name: string };

/** The full name of an image: registry, path and tag, as containerd's CRI wants it. */
export function normalImage(name: string): string {
  const [first = "", ...rest] = name.split("/");
  const hasRegistry =
    rest.length > 0 && (first.includes(".") || first.includes(":") || first === "localhost");
  const full = hasRegistry ? name : rest.length === 0 ? `docker.io/library/${name}` : `docker.io/${name}`;
  const last = full.slice(full.lastIndexOf("/") + 1);
  return last.includes(":") || full.includes("@") ? full : `${full}:latest`;
}

function defaultPolicy(name: string): string {
  return name.endsWith(":latest") ? "Always" : "IfNotPresent";
}

type DockerConfig = Readonly<
  Record<string, { readonly username?: string; readonly password?: string; readonly auth?: string }>
>;

/** Reads a `kubernetes.io/dockerconfigjson` or `dockercfg` secret; undefined when it has nothing for this registry. */
export function loginFor(secret: Secret, registry: string): RegistryLogin | undefined {
  const text = (key: string): string | undefined => {
    const base64 = secret.data?.[key];
    return base64 === undefined ? undefined : Buffer.from(base64, "base64").toString("utf8");
  };
  let logins: DockerConfig;
  try {
    const whole = text(".dockerconfigjson");
    logins =
      whole === undefined
        ? (JSON.parse(text(".dockercfg") ?? "{}") as DockerConfig)
        : ((JSON.parse(whole) as { auths?: DockerConfig }).auths ?? {});
  } catch {
    return undefined; // a broken secret is as good as none: the pull's own error says what was refused
  }
  const hubNames = ["index.docker.io", "docker.io", "registry-1.docker.io"];
  const wanted = hubNames.includes(registry) ? hubNames : [registry];
  for (const [server, login] of Object.entries(logins)) {
    const host = server.replace(/^https?:\/\//, "").split("/")[0] ?? "";
    if (!wanted.includes(host)) continue;
    const [user = "", ...word] = Buffer.from(login.auth ?? "", "base64")
      .toString("utf8")
      .split(":");
    return {
      username: login.username ?? user,
      password: login.password ?? word.join(":"),
      serverAddress: server,
    };
  }
  return undefined;
}
