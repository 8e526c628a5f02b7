import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { dieTogether, serveSide, type Disk } from "../testing/bridge-deaths.ts";

/** A file system of its own in a file; at the end of a round it is what a copy made at that moment holds. */
class LoopDisk implements Disk, Disposable {
  readonly #folder: string;
  #number = 0;
  #mounted = false;

  constructor(folder: string) {
    this.#folder = folder;
    execFileSync("truncate", ["-s", "128M", this.#image]);
    execFileSync("mkfs.ext4", ["-q", this.#image]);
  }

  get #image(): string {
    return join(this.#folder, `disk-${this.#number}.img`);
  }

  get #mount(): string {
    return join(this.#folder, "mnt");
  }

  begin(): string {
    mkdirSync(this.#mount, { recursive: true });
    execFileSync("mount", ["-o", "loop", this.#image, this.#mount], { stdio: "ignore" });
    this.#mounted = true;
    return this.#mount;
  }

  // What was not synced is in the kernel's memory and not in the image: it goes with the power.
  end(): void {
    const old = this.#image;
    this.#number += 1;
    execFileSync("cp", ["--sparse=always", old, this.#image]);
    this[Symbol.dispose]();
    rmSync(old);
  }

  [Symbol.dispose](): void {
    if (this.#mounted) execFileSync("umount", [this.#mount], { stdio: "ignore" });
    this.#mounted = false;
  }
}

if (process.argv[2] === "side") await serveSide(process.argv[3] ?? "");
else {
  const skip = process.getuid?.() === 0 && existsSync("/sbin/mkfs.ext4") ? false : "needs root and mkfs.ext4";
  test(
    "power cuts of both ends of a bridge under load: nothing acknowledged is lost, nothing comes twice",
    { skip },
    async () => {
      const folder = mkdtempSync(join(tmpdir(), "mqtt-bridge-cut-"));
      try {
        using disk = new LoopDisk(folder);
        await dieTogether({
          file: import.meta.filename,
          rounds: Number(process.env["CORTADO_MQTT_ROUNDS"] ?? 3),
          disk,
        });
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  );
}
