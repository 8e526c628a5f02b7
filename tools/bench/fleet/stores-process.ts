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

type Known = { readonly store: LightStore; readonly privateKey: string; certificate: string };

const stores = new Map<string, Known>();
const stop = new AbortController();
let url = "";
let authority = "";
let connected = 0;
let acknowledged = 0;
let failures = 0;
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
  const { signal } = stop;
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

async function call({ store, privateKey, certificate }: Known): Promise<void> {
  const door = openHubDoor({ url });
  const link = await door.dial({ certificate, privateKey }, { authority, signal: stop.signal });
  void store
    .run(link)
    .catch((error: unknown) => {
      firstFailure ||= String(error);
    })
    .finally(() => again(store));
  // It is in when the hub has said welcome.
  for (let waited = 0; !store.isWelcome && waited < 60_000; waited += 10)
    await new Promise((resolve) => setTimeout(resolve, 10));
  if (!store.isWelcome) throw new Error(`${store.name} was not welcomed within a minute`);
}

/** A store whose connection ended comes back, as an agent does; but for when it was told to go. */
function again(store: LightStore): void {
  if (!isOpen) return;
  drops += 1;
  setTimeout(
    () => {
      const known = stores.get(store.name);
      if (isOpen && known !== undefined && !store.isConnected) call(known).catch(() => again(store));
    },
    1_000 + (drops % 100) * 50,
  );
}

async function connect({
  overMs,
  atOnce,
}: Extract<StoreOrder, { readonly do: "connect" }>): Promise<readonly number[]> {
  isOpen = true;
  const away = [...stores.values()].filter(({ store }) => !store.isConnected);
  if (overMs === 0) return await inParallel(away, atOnce, call);
  const startMs = performance.now();
  const latencies: number[] = [];
  await inParallel([...away.entries()], away.length, async ([at, known]) => {
    const waitMs = (at * overMs) / away.length - (performance.now() - startMs);
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    const dialMs = performance.now();
    await call(known);
    latencies.push(performance.now() - dialMs);
  });
  return latencies;
}

let isOpen = false;
let drops = 0;

async function act(order: StoreOrder): Promise<readonly number[]> {
  switch (order.do) {
    case "register":
      return await register(order);
    case "connect":
      return await connect(order);
    case "disconnect":
      isOpen = false;
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
