import { seededRandom, type Random } from "@cortado/std/random";
import type { World } from "./world.ts";
import { DARK_MS_MAX, HUB_DARK_MS_MAX, OPENING_MS } from "./limits.ts";

/** Kills, power cuts and broken lines, at moments of their own. */
export class Troubles {
  readonly #world: World;
  readonly #random: Random;
  /** What is broken now, and how it is mended. */
  readonly #mending = new Set<() => void>();
  #isHubAway = false;

  constructor(world: World) {
    this.#world = world;
    this.#random = seededRandom(world.random.integer(2 ** 32));
  }

  async befall(signal: AbortSignal): Promise<void> {
    const { clock, options } = this.#world;
    const { kills, minutes } = options;
    if (kills === 0) return;
    const everyMs = (minutes * 60_000 - OPENING_MS / 2) / kills;
    await clock.sleep(OPENING_MS / 2, { signal }).catch(() => undefined);
    while (!signal.aborted) {
      this.#strike();
      await clock.sleep(1 + this.#random.integer(everyMs * 2), { signal }).catch(() => undefined);
    }
  }

  /** Mends everything. */
  async end(): Promise<void> {
    for (const mend of [...this.#mending]) mend();
    await Promise.resolve();
  }

  #strike(): void {
    const { stores, trace, options } = this.#world;
    const store = stores[this.#random.integer(stores.length)];
    const dice = this.#random.integer(20);
    trace.counts["strike"] = (trace.counts["strike"] ?? 0) + 1;
    if (options.fault !== undefined) this.#plant();
    if (dice < 3) this.#endHub();
    else if (store === undefined || !store.isOn) trace.note("trouble", "missed", store?.name ?? "");
    else if (dice < 10) store.killAgent();
    else if (dice < 16) {
      store.powerOff();
      this.#mendAfter(this.#random.integer(DARK_MS_MAX), () => this.#powerOn(store));
    } else {
      store.setLine(false, { isSilent: this.#random.integer(2) === 0 });
      this.#mendAfter(this.#random.integer(DARK_MS_MAX), () => store.setLine(true, { isSilent: false }));
    }
  }

  #powerOn(store: World["stores"][number]): void {
    const { claims } = this.#world;
    store.powerOn().catch((error: unknown) => claims.fail("work", store.name, (error as Error).stack ?? ""));
  }

  #endHub(): void {
    const { hub, claims, trace } = this.#world;
    if (this.#isHubAway) return trace.note("trouble", "missed", "hub");
    this.#isHubAway = true;
    hub.die({ isSilent: this.#random.integer(3) === 0 });
    this.#mendAfter(this.#random.integer(HUB_DARK_MS_MAX), () => {
      this.#isHubAway = false;
      hub.boot().catch((error: unknown) => claims.fail("work", "hub", (error as Error).stack ?? ""));
    });
  }

  #mendAfter(ms: number, work: () => void): void {
    const mend = (): void => {
      if (!this.#mending.delete(mend)) return;
      alarm[Symbol.dispose]();
      work();
    };
    this.#mending.add(mend);
    const alarm = this.#world.clock.after(ms, mend);
  }

  /** The deliberate faults that are the world's own. */
  #plant(): void {
    const { options, stores, operator } = this.#world;
    const store = stores.at(-1);
    if (options.fault === "object-lost") store?.meddle((one) => one.remove("configmaps", "shop", "till"));
    const where = { plural: "configmaps", namespace: "shop", name: "menu" };
    if (options.fault === "release-leaks")
      store?.meddle((one) => one.set(where, { version: String(operator.version + 1) }));
  }
}
