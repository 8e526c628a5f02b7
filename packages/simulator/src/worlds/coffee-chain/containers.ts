import type { Runtime } from "@cortado/node/runtime";
import type { Claims } from "../../checkers/claims.ts";
import type { Life } from "../../faults/files.ts";

type Sandbox = { readonly pod: string; readonly uid: string };

/** Which pods really run, as their runtimes know: never two of one name. */
export class ContainerChecker {
  readonly #claims: Claims;
  readonly #sandboxes = new Map<string, Map<string, Sandbox>>();

  constructor(claims: Claims) {
    this.#claims = claims;
  }

  started(store: string, id: string, sandbox: Sandbox): void {
    const running = this.#sandboxes.get(store) ?? new Map<string, Sandbox>();
    this.#sandboxes.set(store, running);
    for (const other of running.values())
      this.#claims.check(other.pod !== sandbox.pod, "pods", () => ({
        store,
        detail: `pod ${sandbox.pod} (${sandbox.uid}) started while ${other.uid} of the same name runs`,
      }));
    running.set(id, sandbox);
  }

  ended(store: string, id: string): void {
    this.#sandboxes.get(store)?.delete(id);
  }

  /** The power of a store was cut. */
  forget(store: string): void {
    this.#sandboxes.delete(store);
  }
}

/** The runtime with the checker looking on. */
export function watchedRuntime(
  runtime: Runtime,
  {
    store,
    containers,
    power,
  }: { readonly store: string; readonly containers: ContainerChecker; readonly power: Life },
): Runtime {
  return {
    ...runtime,
    async runSandbox(config, options) {
      const id = await runtime.runSandbox(config, options);
      const { name = "", namespace = "", uid = "" } = config.metadata ?? {};
      if (power.alive) containers.started(store, id, { pod: `${namespace}/${name}`, uid });
      return id;
    },
    async stopSandbox(id, options) {
      await runtime.stopSandbox(id, options);
      containers.ended(store, id);
    },
    async removeSandbox(id, options) {
      await runtime.removeSandbox(id, options);
      containers.ended(store, id);
    },
  };
}
