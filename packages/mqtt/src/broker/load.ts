import type { Tally } from "./tally.ts";

/** What is averaged over time, as mosquitto does (mosquitto(8), "Broker status", load). */
export const loads: Readonly<Record<string, (tally: Tally) => number>> = {
  connections: (tally) => tally.connections,
  sockets: (tally) => tally.sockets,
  "bytes/received": (tally) => tally.bytesReceived,
  "bytes/sent": (tally) => tally.bytesSent,
  "messages/received": (tally) => tally.messagesReceived,
  "messages/sent": (tally) => tally.messagesSent,
  "publish/dropped": (tally) => tally.publishDropped,
  "publish/received": (tally) => tally.publishReceived,
  "publish/sent": (tally) => tally.publishSent,
};

const windows = [
  { name: "1min", seconds: 60 },
  { name: "5min", seconds: 300 },
  { name: "15min", seconds: 900 },
] as const;

/** Moving averages of what happens in a minute, by topic behind `load/`. */
export class Load {
  readonly values: Map<string, number> = new Map();
  readonly #last: Map<string, number> = new Map();
  #lastMs: number;

  constructor(nowMs: number) {
    this.#lastMs = nowMs;
    for (const name of Object.keys(loads))
      for (const window of windows) this.values.set(`${name}/${window.name}`, 0);
  }

  /** Takes the counters of now; as often as $SYS is published. */
  update(tally: Tally, nowMs: number): void {
    const seconds = (nowMs - this.#lastMs) / 1_000;
    if (seconds <= 0) return;
    this.#lastMs = nowMs;
    for (const [name, read] of Object.entries(loads)) {
      const count = read(tally);
      const perMinute = ((count - (this.#last.get(name) ?? 0)) * 60) / seconds;
      this.#last.set(name, count);
      for (const window of windows) {
        const topic = `${name}/${window.name}`;
        const old = this.values.get(topic) ?? 0;
        this.values.set(topic, perMinute + Math.exp(-seconds / window.seconds) * (old - perMinute));
      }
    }
  }
}
