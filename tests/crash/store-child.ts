// A process that writes to a store under load and says on stdout what it was told; made to be killed.
// store-child.ts PATH: "have KEY N REVISION" for all that it finds, "open REVISION", then "ack KEY N REVISION" for ever.
// store-child.ts PATH look: says what it finds and waits, writing nothing.
import { writeSync } from "node:fs";
import { systemClock } from "@cortado/std/node/clock";
import { openSqliteStore } from "@cortado/store/sqlite";

const [path = "", mode] = process.argv.slice(2);
const writers = 32;
const text = new TextEncoder();
const read = new TextDecoder();
// At once and whole: what is only in a buffer of this process when it is killed was not acknowledged.
const say = (line: string): void => void writeSync(1, `${line}\n`);

const store = await openSqliteStore({ path, clock: systemClock });
const found = new Map<string, number>();
for (const { key, value, modified } of (await store.list({ prefix: "/" })).items) {
  const number = Number(read.decode(value).split(" ")[0]);
  found.set(key, number);
  say(`have ${key} ${number} ${modified}`);
}
say(`open ${store.revision}`);
if (mode === "look") await new Promise(() => void setInterval(() => undefined, 1_000));
await Promise.all(Array.from({ length: writers }, (_, at) => write(at)));

async function write(at: number): Promise<void> {
  for (let round = 0; ; round += 1) {
    const key = `/crash/${at}-${round % 7}`;
    const number = (found.get(key) ?? 0) + 1;
    // Some are like leases: they may be forgotten, but their revisions may not come again.
    const volatile = at === 0;
    const value = text.encode(`${number} ${"x".repeat(300 + ((at * 37 + round) % 700))}`);
    const result = await store.write({ kind: "put", key, value, expect: { kind: "anything" }, volatile });
    if (!result.written) throw new Error(`${key} was not written`);
    found.set(key, number);
    say(`ack ${key} ${number} ${result.revision}`);
  }
}
