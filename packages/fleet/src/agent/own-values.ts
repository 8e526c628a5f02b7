import { startInformer } from "@cortado/client/informer";
import type { ConfigMap, Secret } from "@cortado/kinds";
import { configMaps, secrets, type ResourceType } from "@cortado/kinds/resources";
import { hasReason, messageOf } from "@cortado/std/status";
import type { Needs, Values, ValuesNeed } from "../protocol/protocol.ts";
import { accountFor, clientAs, type AccountPorts } from "./accounts.ts";
import { VALUES_AGAIN_MS, VALUES_BYTES_MAX, VALUES_MAX } from "./limits.ts";
import type { AgentPorts } from "./ports.ts";

export type OwnValuesOptions = Omit<AccountPorts, "ports"> & {
  readonly ports: AgentPorts;
  readonly send: (values: Values) => Promise<void>;
};

type Source = ConfigMap | Secret;
type Followed = {
  readonly need: ValuesNeed;
  readonly stop: AbortController;
  told: string;
  isLooking: boolean;
  /** Something changed while it was being looked at. */
  isStale: boolean;
  again: Disposable | undefined;
};

const types: Readonly<Record<ValuesNeed["kind"], ResourceType<Source>>> = {
  ConfigMap: configMaps as ResourceType<Source>,
  Secret: secrets as ResourceType<Source>,
};

/**
 * Values that bundles have in this cluster (helm.valuesFrom): tells the hub of one connection what the ConfigMaps and Secrets hold that it
 * names, at once and when they change. Read with the rights of the bundle; that something changed is seen with the agent's own.
 */
export class OwnValues implements Disposable {
  readonly #options: OwnValuesOptions;
  readonly #followed: Map<string, Followed> = new Map();

  constructor(options: OwnValuesOptions) {
    this.#options = options;
  }

  need({ values }: Needs): void {
    const wanted = new Map(values.slice(0, VALUES_MAX).map((need) => [JSON.stringify(need), need]));
    for (const [key, { stop }] of this.#followed)
      if (!wanted.has(key)) {
        stop.abort(new Error("no bundle needs it any more"));
        this.#followed.delete(key);
      }
    for (const [key, need] of wanted) if (!this.#followed.has(key)) this.#follow(key, need);
    const problem = `this store reads ${VALUES_MAX} keys for its bundles at most`;
    for (const need of values.slice(VALUES_MAX))
      this.#options.send({ type: "values", need, problem }).catch(() => undefined);
  }

  [Symbol.dispose](): void {
    for (const { stop } of this.#followed.values()) stop.abort(new Error("the connection ended"));
    this.#followed.clear();
  }

  #follow(key: string, need: ValuesNeed): void {
    const { ports, signal } = this.#options;
    const { client, clock, log } = ports;
    const stop = new AbortController();
    const followed = { need, stop, told: "", isLooking: false, isStale: false, again: undefined };
    this.#followed.set(key, followed);
    const ended = AbortSignal.any([signal, stop.signal]);
    const selection = { namespace: need.namespace, fieldSelector: `metadata.name=${need.name}` };
    const informer = startInformer(client, types[need.kind], { ...selection, clock, log, signal: ended });
    const look = (): void => void this.#look(followed, ended);
    informer.subscribe(look);
    look();
  }

  /** One look at a time: what is told last is what was read last. */
  async #look(followed: Followed, signal: AbortSignal): Promise<void> {
    followed.isStale = true;
    if (followed.isLooking) return;
    followed.isLooking = true;
    try {
      while (followed.isStale && !signal.aborted) {
        followed.isStale = false;
        await this.#lookOnce(followed, signal);
      }
    } catch {
      // The connection ended: the next one begins anew.
    } finally {
      followed.isLooking = false;
    }
  }

  /** Reads and tells it; what cannot be read now is looked at again. */
  async #lookOnce(followed: Followed, signal: AbortSignal): Promise<void> {
    const { ports, send } = this.#options;
    const { need } = followed;
    const { isFinal, ...values } = await this.#read(need, signal);
    if (signal.aborted) return;
    followed.again?.[Symbol.dispose]();
    followed.again = isFinal
      ? undefined
      : ports.clock.after(VALUES_AGAIN_MS, () => void this.#look(followed, signal));
    const told = JSON.stringify(values);
    if (told === followed.told) return;
    followed.told = told;
    await send({ type: "values", need, ...values });
  }

  async #read(
    need: ValuesNeed,
    signal: AbortSignal,
  ): Promise<{ readonly text?: string; readonly problem?: string; readonly isFinal: boolean }> {
    const { kind, namespace, name, key, account } = need;
    const about = `${kind} ${namespace}/${name}`;
    let source: Source;
    try {
      const options = { ...this.#options, signal };
      const client = clientAs(await accountFor(account, options), options);
      source = await client.get(types[kind], { namespace, name, signal });
    } catch (error) {
      // Made later, it is seen by the watch; a right that is given later is not.
      const problem = hasReason(error, "NotFound")
        ? `${about} is not there in this store; make it, and the bundle goes on`
        : `${about} cannot be read in this store: ${messageOf(error)}`;
      return { problem, isFinal: hasReason(error, "NotFound") };
    }
    const text = textOf(source, need);
    if (text === undefined)
      return {
        problem: `${about} has no key ${key} in this store; add it, and the bundle goes on`,
        isFinal: true,
      };
    if (text.length > VALUES_BYTES_MAX)
      return { problem: `${about}, key ${key}, has more than ${VALUES_BYTES_MAX} bytes`, isFinal: true };
    return { text, isFinal: true };
  }
}

function textOf(source: Source, { kind, key }: ValuesNeed): string | undefined {
  const value = Object.hasOwn(source.data ?? {}, key) ? source.data?.[key] : undefined;
  if (value === undefined || kind === "ConfigMap") return value;
  return Buffer.from(value, "base64").toString("utf8");
}
