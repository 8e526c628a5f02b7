import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const quietly = { stdio: "ignore" } as const;

/** Why no file system can be mounted here; undefined when one can. */
export function whyNoLoopDisk(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root";
  return existsSync("/sbin/mkfs.ext4") ? undefined : "needs mkfs.ext4 (e2fsprogs)";
}

/**
 * An ext4 of its own in a file. A power cut is a copy of the file at that moment: what was not synced is still in the page cache and
 * not in the file, so the copy does not have it.
 */
export class LoopDisk implements Disposable {
  readonly #folder: string;
  readonly at: string;
  #image: string;
  #cuts = 0;
  #mounted = false;

  constructor(megabytes: number) {
    this.#folder = mkdtempSync(join(tmpdir(), "loop-disk-"));
    this.at = join(this.#folder, "mnt");
    mkdirSync(this.at);
    this.#image = join(this.#folder, "disk-0.img");
    try {
      execFileSync("truncate", ["-s", `${megabytes}M`, this.#image]);
      execFileSync("mkfs.ext4", ["-q", this.#image]);
      this.#mount();
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Takes what the disk has now; to be called when what wrote to it is dead. */
  cutPower(): void {
    this.#cuts += 1;
    const next = join(this.#folder, `disk-${this.#cuts}.img`);
    execFileSync("cp", ["--sparse=always", this.#image, next]);
    this.#unmount();
    rmSync(this.#image);
    this.#image = next;
    this.#mount();
  }

  /** What a failing disk makes of ext4: read-only in the middle of work, until it is mounted anew. */
  turnReadOnly(): void {
    execFileSync("mount", ["-o", "remount,abort", this.at], quietly);
  }

  /** Mounts it anew, when what used it is dead. */
  mountAgain(): void {
    this.#unmount();
    const { status } = spawnSync("e2fsck", ["-p", "-f", this.#image], quietly);
    if (status !== 0 && status !== 1) throw new Error(`e2fsck could not mend the disk: ${status}`); // 1: mended
    this.#mount();
  }

  [Symbol.dispose](): void {
    this.#unmount();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  // The loop device goes with the mount: mount(8) makes it with autoclear.
  #mount(): void {
    execFileSync("mount", ["-o", "loop", this.#image, this.at], quietly);
    this.#mounted = true;
  }

  #unmount(): void {
    if (!this.#mounted) return;
    execFileSync("umount", [this.at], quietly);
    this.#mounted = false;
  }
}
