import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

const child = join(import.meta.dirname, "store-child.ts");
const isLease = (key: string): boolean => key.startsWith("/crash/0-");

/** Runs the child again and again, and holds what it finds against what it was told before. */
export class StoreCrash {
  readonly #acknowledged = new Map<string, number>();
  readonly #revisions = new Map<number, string>();
  #unfound = new Set<string>();
  #newest = 0;
  #floor = 0;
  acknowledgements = 0;
  lost = 0;
  usedTwice = 0;

  /** One life: opens, writes for a while (or only looks), and is killed in full flow. */
  async life(
    path: string,
    { ms, looks = false }: { readonly ms: number; readonly looks?: boolean },
  ): Promise<void> {
    this.#begin();
    const running = spawn(process.execPath, [child, path, ...(looks ? ["look"] : [])], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const gone = once(running, "close");
    const opened = Promise.withResolvers<void>();
    let rest = "";
    running.stdout.setEncoding("utf8").on("data", (part: string) => {
      const lines = (rest + part).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (this.#take(line)) opened.resolve();
    });
    await Promise.race([opened.promise, gone.then(() => assert.fail("the child ended by itself"))]);
    await new Promise((resolve) => setTimeout(resolve, ms));
    await kill(running, gone);
  }

  /** True at the line that ends what was found. */
  #take(line: string): boolean {
    const [word, key = "", number = "", revision = ""] = line.split(" ");
    if (word === "have") this.#have(key, Number(number), Number(revision));
    else if (word === "ack") this.#ack(key, Number(number), Number(revision));
    else if (word === "open") {
      this.lost += this.#unfound.size;
      this.#unfound.clear();
      // Also revisions that were given out to nobody we know of: leases set them aside.
      this.#floor = Math.max(this.#floor, Number(key));
      return true;
    }
    return false;
  }

  #have(key: string, number: number, revision: number): void {
    const least = this.#acknowledged.get(key) ?? 0;
    // The write that was under way may be there or not; nothing else.
    if (!isLease(key) && (number < least || number > least + 1)) this.lost += 1;
    this.#acknowledged.set(key, number);
    this.#unfound.delete(key);
    this.#use(revision, `${key} ${number}`);
  }

  #ack(key: string, number: number, revision: number): void {
    this.acknowledgements += 1;
    this.#acknowledged.set(key, number);
    if (revision <= this.#floor) this.usedTwice += 1;
    this.#use(revision, `${key} ${number}`);
  }

  #use(revision: number, what: string): void {
    const known = this.#revisions.get(revision);
    if (known !== undefined && known !== what) this.usedTwice += 1;
    this.#revisions.set(revision, what);
    this.#newest = Math.max(this.#newest, revision);
  }

  // What comes after a death must have revisions greater than all that anybody saw, and all that was acknowledged must be found.
  #begin(): void {
    this.#floor = this.#newest;
    this.#unfound = new Set([...this.#acknowledged.keys()].filter((key) => !isLease(key)));
  }

  check(): void {
    assert.deepEqual({ lost: this.lost, usedTwice: this.usedTwice }, { lost: 0, usedTwice: 0 });
  }
}

async function kill(running: ChildProcess, gone: Promise<unknown>): Promise<void> {
  running.kill("SIGKILL");
  await gone;
}
