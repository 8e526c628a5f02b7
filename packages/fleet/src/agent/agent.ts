import { backoffMs } from "@cortado/std/backoff";
import { textAt } from "@cortado/kinds/tree";
import { hasReason, messageOf } from "@cortado/std/status";
import { ensureNamespace } from "./apply/apply.ts";
import { AGENT_NAMESPACE } from "./apply/marks.ts";
import { BundleWork } from "./bundle-work.ts";
import { EventSender } from "./event-sender.ts";
import { IdentityStore } from "./identity.ts";
import { DIAL_DARK_MAX_MS, DIAL_FIRST_MS, DIAL_MAX_MS } from "./limits.ts";
import { StatusOutbox } from "./outbox.ts";
import type { Agent, AgentOptions, AgentPorts, AgentState } from "./ports.ts";
import { ensureCertificate, renew } from "./registration.ts";
import { runSession } from "./session.ts";

/**
 * Starts the agent of a cluster: it goes on with what it knew, registers at the hub if it never did, and stays in touch with it.
 * Answers at once; what goes wrong is tried again for ever and told in `state.message`.
 */
export function startAgent(options: AgentOptions, ports: AgentPorts): Agent {
  return new RunningAgent(options, ports);
}

class RunningAgent implements Agent {
  readonly #options: AgentOptions;
  readonly #ports: AgentPorts;
  readonly #namespace: string;
  readonly #stop: AbortController = new AbortController();
  readonly #work: BundleWork;
  readonly #ended: Promise<void>;
  #identity: IdentityStore | undefined;
  #outbox: StatusOutbox | undefined;
  #isConnected = false;
  #message = "starts";

  constructor(options: AgentOptions, ports: AgentPorts) {
    this.#options = options;
    this.#ports = ports;
    this.#namespace = options.namespace ?? AGENT_NAMESPACE;
    this.#work = new BundleWork({
      ports,
      namespace: this.#namespace,
      signal: this.#stop.signal,
      reported: (name, report) => this.#outbox?.put(name, report),
    });
    this.#ended = this.#run();
  }

  get state(): AgentState {
    const {
      clusterNamespace: namespace = "",
      clusterName: name = "",
      revision = 0,
    } = this.#identity?.current ?? {};
    return {
      cluster: name === "" ? undefined : { namespace, name },
      isConnected: this.#isConnected,
      revision,
      bundles: this.#work.reports,
      message: this.#isConnected ? "" : this.#message,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("the agent stops"));
    await this.#ended;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    const { client, keys, clock, journal } = this.#ports;
    await this.#insist(async () => {
      const namespace = this.#namespace;
      await ensureNamespace(client, namespace, signal);
      const makeKey = (): string => keys.make().privateKey;
      this.#identity ??= await IdentityStore.open({ client, namespace, makeKey, signal });
      const identity = this.#identity;
      this.#outbox ??= new StatusOutbox({ clock, nextSequence: () => identity.nextSequence() });
      await this.#work.start();
    });
    const events = journal === undefined ? undefined : new EventSender(journal, clock);
    await this.#insist(async (welcomed) => {
      // Each end of a connection comes back here; a hub that asked for it is left alone for so long.
      for (;;) {
        const { sleepMs } = await this.#connect(events, welcomed);
        if (sleepMs === undefined) throw new Error("the hub ended the connection");
        this.#message = `sleeps for ${Math.ceil(sleepMs / 1_000)} s, as the hub asked`;
        await clock.sleep(sleepMs, { signal });
      }
    });
  }

  /** Tries until it is done or the agent stops. `succeeded` says that a failure from now on is a first one. */
  async #insist(step: (succeeded: () => void) => Promise<void>): Promise<void> {
    const { signal } = this.#stop;
    const { random, log } = this.#ports;
    for (let failures = 0; !signal.aborted;) {
      try {
        await step(() => {
          failures = 0;
        });
        return;
      } catch (error) {
        if (signal.aborted) return;
        this.#message = messageOf(error);
        log.warn("agent tries again", { failures, error });
        const isDark = hasReason(error, "ServiceUnavailable", "Timeout");
        const maxMs = isDark ? DIAL_DARK_MAX_MS : DIAL_MAX_MS;
        const waitMs = backoffMs(failures, { firstMs: DIAL_FIRST_MS, maxMs, random });
        failures += 1;
        if (await this.#rest(waitMs)) failures = 0;
      }
    }
  }

  /** Sleeps until the time is over or the line is back; true for the latter. */
  async #rest(waitMs: number): Promise<boolean> {
    const { clock, line } = this.#ports;
    const back = new AbortController();
    using _watching = line?.subscribe(() => back.abort(new Error("the line is back")));
    const signal = AbortSignal.any([this.#stop.signal, back.signal]);
    await clock.sleep(waitMs, { signal }).catch(() => undefined);
    return back.signal.aborted;
  }

  async #connect(events: EventSender | undefined, welcomed: () => void) {
    const [ports, identity, outbox] = [this.#ports, this.#identity, this.#outbox];
    if (identity === undefined || outbox === undefined) throw new Error("the agent has no identity yet");
    // A line that comes back has lost what was under way; waiting for TCP to notice takes longer than a new call.
    const lost = new AbortController();
    const signal = AbortSignal.any([this.#stop.signal, lost.signal]);
    let heardMs = 0;
    using _watching = ports.line?.subscribe((goneMs) => {
      if (heardMs <= goneMs) lost.abort(new Error("the line was gone"));
    });
    const trust = await ensureCertificate({ options: this.#options, ports, identity, signal });
    const { certificate, privateKey } = identity.current;
    const kubernetes = await this.#kubernetesVersion();
    try {
      const link = await ports.hub.dial({ certificate, privateKey }, trust);
      return await runSession(link, {
        ports,
        namespace: this.#namespace,
        identity,
        work: this.#work,
        outbox,
        events,
        versions: { agent: this.#options.version, kubernetes },
        welcomed: () => {
          this.#isConnected = true;
          welcomed();
        },
        heard: (ms) => {
          heardMs = ms;
        },
        signal,
      });
    } catch (error) {
      // A store whose clock is wrong does not know that its certificate has ended; the hub does.
      if (hasReason(error, "Unauthorized"))
        await renew({ options: this.#options, ports, identity, signal }, trust);
      throw error;
    } finally {
      this.#isConnected = false;
    }
  }

  async #kubernetesVersion(): Promise<string> {
    const request = { method: "GET", path: "/version", query: {}, signal: this.#stop.signal } as const;
    return textAt(await this.#ports.client.raw(request), "gitVersion");
  }
}
