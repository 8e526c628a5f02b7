import type { Client } from "@cortado/client";
import { startInformer } from "@cortado/client/informer";
import { fleetPolicies, gitRepoRestrictions } from "@cortado/kinds/fleet";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Rules } from "./rules.ts";

export interface RuleBook {
  /** What is allowed is not known before this resolves. */
  readonly synced: Promise<void>;
  of(namespace: string): Rules;
  /** Tells the namespace whose rules changed. */
  subscribe(listener: (namespace: string) => void): void;
}

/** Keeps the GitRepoRestrictions and Policies at hand: there are few. */
export function followRules(ports: {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
}): RuleBook {
  const { client, ...following } = ports;
  const restrictions = startInformer(client, gitRepoRestrictions, following);
  const policies = startInformer(client, fleetPolicies, following);
  const synced = Promise.all([restrictions.synced, policies.synced]).then(() => undefined);
  synced.catch(() => undefined);
  return {
    synced,
    of(namespace) {
      const isHere = (one: { readonly metadata: { readonly namespace?: string } }): boolean =>
        one.metadata.namespace === namespace;
      return {
        restrictions: [...restrictions.list()].filter(isHere),
        policies: [...policies.list()].filter(isHere),
      };
    },
    subscribe(listener) {
      restrictions.subscribe(({ old, now }) => listener((now ?? old)?.metadata.namespace ?? ""));
      policies.subscribe(({ old, now }) => listener((now ?? old)?.metadata.namespace ?? ""));
    },
  };
}
