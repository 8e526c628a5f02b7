import type { Client, Stored } from "@cortado/client";
import { startInformer, type Informer } from "@cortado/client/informer";
import { done, startLoop, type LoopMetrics, type Outcome } from "@cortado/client/loop";
import type { Secret } from "@cortado/kinds";
import { mqttUsers, type MqttUser } from "@cortado/kinds/mqtt";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import { hasReason, messageOf, StatusError } from "@cortado/std/status";
import { topicFilterFault } from "@cortado/wire/mqtt";
import { isVerifierText, readVerifier } from "../auth/verifier.ts";
import { secretText } from "./bridge-spec.ts";
import { conditionOf } from "./status.ts";
import type { KnownUser, UserAccess } from "./user-access.ts";

/** Users that the store's own parts are; nobody else may be called so. */
const reserved: ReadonlySet<string> = new Set(["functions", "telemetry"]);

export type UserLoopOptions = {
  readonly client: Client;
  readonly access: UserAccess;
  readonly secrets: Informer<Secret>;
  /** Ends the connections of these users, who may come back. */
  readonly disconnect: (users: ReadonlySet<string>) => void;
  readonly clock: Clock;
  readonly log: Log;
  readonly loopMetrics: LoopMetrics;
  readonly signal: AbortSignal;
};

type Read = {
  readonly object: Stored<MqttUser>;
  readonly user: KnownUser | undefined;
  readonly fault: string | undefined;
};

const ALL = "all";

/** Keeps whom the broker lets in in line with the MqttUser objects: all of them at once, as one may take a name from another. */
export function startUserLoop(options: UserLoopOptions): void {
  const { client, access, secrets, disconnect, clock, log, loopMetrics, signal } = options;
  const informer = startInformer(client, mqttUsers, { clock, log, signal });
  const loop = startLoop({
    name: "mqtt-user",
    clock,
    log,
    metrics: loopMetrics,
    signal,
    ready: Promise.all([informer.synced, secrets.synced]),
    keys: () => [ALL],
    async reconcile(_key, waiting): Promise<Outcome> {
      const read = readUsers(informer, secrets);
      const users = read.flatMap(({ user }) => (user === undefined ? [] : [user]));
      const changed = access.replace(users, { isOpen: read.length === 0 });
      if (changed.size > 0) disconnect(changed);
      for (const one of read) await writeStatus(one, { client, clock, signal: waiting.signal });
      return done;
    },
  });
  informer.subscribe(() => loop.add(ALL));
  secrets.subscribe(({ key }) => {
    const isRead = [...informer.list()].some(
      ({ metadata, spec }) => `${metadata.namespace ?? "default"}/${spec.passwordSecret?.name}` === key,
    );
    if (isRead) loop.add(ALL);
  });
  loop.add(ALL);
}

function readUsers(informer: Informer<MqttUser>, secrets: Informer<Secret>): readonly Read[] {
  const taken = new Map<string, string>();
  // The oldest keeps its name when two want the same.
  const objects = [...informer.list()].toSorted((one, other) => ageText(one).localeCompare(ageText(other)));
  return objects.map((object) => {
    const { name, namespace = "default" } = object.metadata;
    try {
      const user = toUser(object, secrets);
      for (const claim of claimsOf(user)) {
        const owner = taken.get(claim);
        if (owner !== undefined)
          throw new StatusError("Invalid", `${claim} is MqttUser ${owner} already; change one of the two`);
        taken.set(claim, `${namespace}/${name}`);
      }
      return { object, user, fault: undefined };
    } catch (error) {
      if (!hasReason(error, "Invalid", "NotFound")) throw error;
      return { object, user: undefined, fault: messageOf(error) };
    }
  });
}

function ageText({ metadata }: MqttUser): string {
  return `${metadata.creationTimestamp ?? ""} ${metadata.namespace ?? ""}/${metadata.name}`;
}

function claimsOf({ user, anonymous, certificateName }: KnownUser): readonly string[] {
  return [
    `user ${user}`,
    ...(anonymous ? ["who comes without a name"] : []),
    ...(certificateName === undefined ? [] : [`certificate ${certificateName}`]),
  ];
}

/** @throws StatusError "Invalid" naming the field, "NotFound" naming the Secret */
export function toUser({ metadata, spec }: MqttUser, secrets: Informer<Secret>): KnownUser {
  const { name, namespace = "default" } = metadata;
  const { passwordSecret, certificateName, anonymous = false, clientIds, rules = [], username = name } = spec;
  if (reserved.has(username) || username.startsWith("$"))
    throw new StatusError("Invalid", `spec.username: ${username} is the store's own; choose another name`);
  if (passwordSecret === undefined && certificateName === undefined && !anonymous)
    throw new StatusError(
      "Invalid",
      "spec: give passwordSecret, certificateName or anonymous, or nobody can be this user",
    );
  for (const [at, { topics }] of rules.entries())
    for (const [index, topic] of topics.entries()) {
      const fault = topicFilterFault(topic.replaceAll("%u", "u").replaceAll("%c", "c"));
      if (fault !== undefined)
        throw new StatusError(
          "Invalid",
          `spec.rules[${at}].topics[${index}]: ${JSON.stringify(topic)}: ${fault}`,
        );
    }
  const secret = (secretName: string): Secret | undefined => secrets.get(`${namespace}/${secretName}`);
  const password =
    passwordSecret === undefined ? undefined : secretText(passwordSecret, { namespace, secret });
  if (password !== undefined && isVerifierText(password)) readVerifier(password); // says what it lacks
  return {
    user: username,
    anonymous,
    rules,
    ...(password === undefined ? {} : { password }),
    ...(certificateName === undefined ? {} : { certificateName }),
    ...(clientIds === undefined ? {} : { clientIds }),
  };
}

type Writing = { readonly client: Client; readonly clock: Clock; readonly signal: AbortSignal };

async function writeStatus({ object, fault }: Read, { client, clock, signal }: Writing): Promise<void> {
  const ready = conditionOf(object, {
    type: "Ready",
    isTrue: fault === undefined,
    reason: fault === undefined ? "Configured" : "Refused",
    message: fault ?? "the broker lets it in",
    nowMs: clock.nowMs(),
  });
  if (JSON.stringify(object.status?.conditions) === JSON.stringify([ready])) return;
  const { name, namespace = "default", generation = 0 } = object.metadata;
  try {
    await client.patch(mqttUsers, {
      name,
      namespace,
      subresource: "status",
      type: "merge",
      body: { status: { conditions: [ready], observedGeneration: generation } },
      fieldManager: "cortado-mqtt",
      signal,
    });
  } catch (error) {
    if (!hasReason(error, "NotFound")) throw error; // deleted meanwhile
  }
}
