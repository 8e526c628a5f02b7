// A process of many light stores over mutual TLS; told by its parent what to do (fork's messages).
import { createHash } from "node:crypto";
import { openHubDoor } from "@cortado/fleet/agent/node/hub-door";
import { machineKeys } from "@cortado/fleet/agent/node/keys";
import { LightStore } from "./light-store.ts";

export type StoreOrder =
  | { readonly do: "register"; readonly url: string; readonly token: string; readonly count: number }
  /** Comes to the hub, evenly over so many milliseconds; 0: as fast as so many at once can. */
  | { readonly do: "connect"; readonly overMs: number; readonly atOnce: number }
  | { readonly do: "disconnect" }
  | { readonly do: "trouble"; readonly store: string; readonly bundle: string; readonly text: string }
  | { readonly do: "count" };

export type StoreAnswer = {
  readonly tookMs: number;
  readonly failures: number;
  /** Connections that ended though nobody hung up. */
  readonly drops: number;
  readonly connected: number;
  /** (store, bundle) pairs that are applied and acknowledged. */
  readonly acknowledged: number;
  readonly latenciesMs: readonly number[];
  readonly rssBytes: number;
};

/** A signal of its own: each listener of a signal is looked at when one more comes, and ten thousand dial. */
const never = (): AbortSignal => new AbortController().signal;

type Known = { readonly store: LightStore; readonly privateKey: string; certificate: string };

const stores = new Map<string, Known>();
let url = "";
let authority = "";
let connected = 0;
let acknowledged = 0;
let failures = 0;
let drops = 0;
/** Counts up when they hang up: who called before that calls no more. */
let era = 0;
let firstFailure = "";

const events = {
  connected: () => void (connected += 1),
  ended: () => void (connected -= 1),
  acknowledged: () => void (acknowledged += 1),
};

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

async function inParallel<Item>(
  items: readonly Item[],
  atOnce: number,
  work: (item: Item) => Promise<void>,
): Promise<readonly number[]> {
  const latencies: number[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let at = next++; at < items.length; at = next++) {
      const startMs = performance.now();
      try {
        await work(items[at] as Item);
        latencies.push(performance.now() - startMs);
      } catch (error) {
        failures += 1;
        firstFailure ||= String(error);
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return latencies;
}

async function register(order: Extract<StoreOrder, { readonly do: "register" }>): Promise<readonly number[]> {
  ({ url } = order);
  const secret = /::fleet:(.+)$/.exec(order.token)?.[1] ?? "";
  const door = openHubDoor({ url });
  const signal = never();
  const names = Array.from(
    { length: order.count },
    (_, at) => `bench-${String(stores.size + at).padStart(6, "0")}`,
  );
  return await inParallel(names, 32, async (name) => {
    authority = await door.readAuthority({ signal });
    const { privateKey, publicKey } = machineKeys.make();
    const proof = machineKeys.sign(privateKey, `register\n${name}\n${sha256(secret)}`);
    const request = { token: secret, clientId: name, name, labels: { location: "edge" }, publicKey, proof };
    const { certificate } = await door.register(request, { authority, signal });
    stores.set(name, { store: new LightStore(name, events), privateKey, certificate });
  });
}

const DIAL_FIRST_MS = 500;
const DIAL_MAX_MS = 60_000;
const WELCOME_MS_MAX = 30_000;
/** After so long who is not in is counted as such. */
const STORM_MS_MAX = 5 * 60_000;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Calls until the store is in, and again when its connection ends, with the agent's back-off; resolves at its first welcome. */
function call(known: Known): Promise<void> {
  const { store } = known;
  const mine = era;
  const isOver = (): boolean => era !== mine;
  return new Promise((resolve) => {
    store.onWelcome = resolve;
    void (async () => {
      for (let fails = 0; !isOver(); fails += 1) {
        const sleepMs = await dial(known).catch((error: unknown) => {
          firstFailure ||= String(error);
          failures += 1;
          return undefined;
        });
        if (isOver()) return;
        if (store.wasWelcome) fails = 0;
        if (sleepMs === undefined) drops += 1;
        const waitMs = Math.min(DIAL_MAX_MS, DIAL_FIRST_MS * 2 ** fails);
        await sleep(sleepMs ?? waitMs / 2 + Math.random() * (waitMs / 2));
      }
    })();
  });
}

async function dial({ store, certificate, privateKey }: Known): Promise<number | undefined> {
  const link = await openHubDoor({ url }).dial({ certificate, privateKey }, { authority, signal: never() });
  const patience = setTimeout(() => {
    if (!store.isWelcome) void link[Symbol.asyncDispose]();
  }, WELCOME_MS_MAX);
  try {
    return await store.run(link);
  } finally {
    clearTimeout(patience);
  }
}

async function connect({
  overMs,
  atOnce,
}: Extract<StoreOrder, { readonly do: "connect" }>): Promise<readonly number[]> {
  const away = [...stores.values()].filter(({ store }) => !store.isConnected);
  if (overMs === 0) return await inParallel(away, atOnce, call);
  const startMs = performance.now();
  const latencies: number[] = [];
  const coming = inParallel([...away.entries()], away.length, async ([at, known]) => {
    const waitMs = (at * overMs) / away.length - (performance.now() - startMs);
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    const dialMs = performance.now();
    await call(known);
    latencies.push(performance.now() - dialMs);
  });
  await Promise.race([coming, sleep(STORM_MS_MAX)]);
  return [...latencies];
}

async function act(order: StoreOrder): Promise<readonly number[]> {
  switch (order.do) {
    case "register":
      return await register(order);
    case "connect":
      return await connect(order);
    case "disconnect":
      era += 1;
      await Promise.all([...stores.values()].map(({ store }) => store.hangUp()));
      return [];
    case "trouble":
      stores.get(order.store)?.store.say(order.bundle, order.text);
      return [];
    case "count":
      return [];
  }
}

process.on("message", (order: StoreOrder) => {
  const startMs = performance.now();
  act(order)
    .then((latenciesMs) => {
      if (firstFailure !== "") console.error(`stores: ${failures} failures; the first: ${firstFailure}`);
      firstFailure = "";
      const answer: StoreAnswer = {
        tookMs: performance.now() - startMs,
        failures,
        drops,
        connected,
        acknowledged,
        latenciesMs,
        rssBytes: process.memoryUsage.rss(),
      };
      process.send?.(answer);
    })
    .catch((error: unknown) => {
      console.error(error);
      process.exit(1);
    });
});
process.on("disconnect", () => process.exit(0));
