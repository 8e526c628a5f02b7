import { appendFile, open, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join, parse } from "node:path";
import type { HubWords } from "@cortado/cli/hub";
import type { AuditEntry, AuditTrail } from "@cortado/fleet/hub/audit";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Random } from "@cortado/std/random";
import { StatusError } from "@cortado/std/status";

export type AuditFileOptions = {
  readonly path: string;
  /** A file that has so many bytes is put aside under the time of that moment, as kube-apiserver does. */
  readonly bytesMax: number;
  /** Files put aside that are kept; 0: all. */
  readonly backupsMax: number;
};

type Ports = { readonly clock: Clock; readonly random: Random; readonly log: Log };

/** Entries that wait for the disk; more are dropped, and the log says how many. */
const WAITING_MAX = 10_000;

/** The trail of who did and tried what, as lines of JSON: `Event` of audit.k8s.io/v1, which tools for Kubernetes' audit logs read. */
export class AuditFile implements AsyncDisposable {
  readonly #options: AuditFileOptions;
  readonly #ports: Ports;
  #waiting: string[] = [];
  #dropped = 0;
  #bytes: number;
  #writing: Promise<void> | undefined;
  #isFailing = false;

  private constructor(options: AuditFileOptions, ports: Ports, bytes: number) {
    this.#options = options;
    this.#ports = ports;
    this.#bytes = bytes;
  }

  /** @throws StatusError "Invalid" when the file cannot be written */
  static async open(options: AuditFileOptions, ports: Ports): Promise<AuditFile> {
    try {
      await using handle = await open(options.path, "a", 0o600);
      return new AuditFile(options, ports, (await handle.stat()).size);
    } catch (cause) {
      const message = `--audit-log-path ${options.path} cannot be written; name a file in a folder that is there`;
      throw new StatusError("Invalid", message, { cause });
    }
  }

  append(entry: AuditEntry): void {
    if (this.#waiting.length >= WAITING_MAX) {
      this.#dropped += 1;
      return;
    }
    this.#waiting.push(`${JSON.stringify(this.#event(entry))}\n`);
    this.#writing ??= this.#write();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing;
  }

  #event({ tookMs = 0, ...entry }: AuditEntry): unknown {
    const { clock, random } = this.#ports;
    const nowMs = clock.nowMs();
    const { user, groups, verb, path, remote, store, code, reason, message, event } = entry;
    const [, address = remote] = /^\[?([^\]]*?)\]?:\d+$/.exec(remote) ?? [];
    const [namespace = "", name = ""] = store.split("/");
    return {
      kind: "Event",
      apiVersion: "audit.k8s.io/v1",
      level: "Metadata",
      auditID: random.uuid(),
      stage: "ResponseComplete",
      requestURI: path,
      verb,
      user: { username: user === "" ? "system:anonymous" : user, groups },
      ...(address === "" ? {} : { sourceIPs: [address] }),
      ...(store === ""
        ? {}
        : { objectRef: { resource: "clusters", apiGroup: "fleet.cattle.io", namespace, name } }),
      responseStatus: {
        metadata: {},
        ...(reason === undefined ? {} : { status: "Failure", reason, message }),
        code,
      },
      requestReceivedTimestamp: microTime(nowMs - tookMs),
      stageTimestamp: microTime(nowMs),
      annotations: { "cortado.dev/event": event },
    };
  }

  async #write(): Promise<void> {
    const { log } = this.#ports;
    const { path, bytesMax } = this.#options;
    while (this.#waiting.length > 0) {
      const text = this.#waiting.join("");
      this.#waiting = [];
      try {
        if (this.#bytes >= bytesMax) await this.#putAside();
        await appendFile(path, text, { mode: 0o600 });
        this.#bytes += Buffer.byteLength(text);
        if (this.#isFailing) log.info("the audit log is written again", { path, dropped: this.#dropped });
        this.#isFailing = false;
        this.#dropped = 0;
      } catch (error) {
        // The log has each entry as well: nothing is refused because the trail has no room.
        this.#dropped += text.split("\n").length - 1;
        if (!this.#isFailing)
          log.error("the audit log cannot be written; entries are only in this log", { path, error });
        this.#isFailing = true;
      }
    }
    this.#writing = undefined;
  }

  async #putAside(): Promise<void> {
    const { path, backupsMax } = this.#options;
    const { dir, name, ext } = parse(path);
    const time = new Date(this.#ports.clock.nowMs()).toISOString().replaceAll(":", "-").replace("Z", "");
    await rename(path, join(dir, `${name}-${time}${ext}`));
    this.#bytes = 0;
    if (backupsMax === 0) return;
    const aside = (await readdir(dirname(path))).filter(
      (one) => one !== basename(path) && one.startsWith(`${name}-2`) && one.endsWith(ext),
    );
    for (const old of aside.sort().slice(0, -backupsMax)) await rm(join(dir, old), { force: true });
  }
}

function microTime(ms: number): string {
  return new Date(ms).toISOString().replace("Z", "000Z");
}

/** @throws StatusError "BadRequest" for a flag that is no number, "Invalid" when the file cannot be written */
export async function openAudit(
  words: HubWords,
  ports: Ports,
  stack: AsyncDisposableStack,
): Promise<AuditTrail | undefined> {
  const { dataDir, auditLogPath = join(dataDir, "audit.log"), auditLogMaxsize, auditLogMaxbackup } = words;
  if (auditLogPath === "-") return undefined;
  const megabytes = countOf({ flag: "--audit-log-maxsize", text: auditLogMaxsize, least: 1 });
  const backupsMax = countOf({ flag: "--audit-log-maxbackup", text: auditLogMaxbackup, least: 0 });
  const options = { path: auditLogPath, bytesMax: megabytes * 1_048_576, backupsMax };
  const file = stack.use(await AuditFile.open(options, ports));
  return (entry) => file.append(entry);
}

type Count = { readonly flag: string; readonly text: string; readonly least: number };

function countOf({ flag, text, least }: Count): number {
  const count = Number(text);
  if (Number.isSafeInteger(count) && count >= least) return count;
  throw new StatusError(
    "BadRequest",
    `${flag} ${JSON.stringify(text)} is not a whole number from ${least} on`,
  );
}
