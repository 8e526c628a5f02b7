import { chmod, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { StatusError } from "@cortado/std/status";

/** Ports on 127.0.0.1 that the hub is reached by: its API under TLS, and plain HTTP with a password. */
export type HubPorts = { readonly api: number; readonly plain: number };

/** Ports on 127.0.0.1 that a store is reached by; picked free at the first start and kept. */
export type StorePorts = {
  readonly api: number;
  readonly mqtt: number;
  readonly gateway: number;
  readonly shop: number;
};

/** A process as a killed demo left it: the start time tells it from a later one with the same number. */
export type RecordedProcess = { readonly pid: number; readonly startTime: string };

/** What a demo must know again at its next start; in `.cortado/state.json`. Format 1. */
export type DemoState = {
  readonly format: 1;
  readonly id: string;
  readonly ports: Record<string, StorePorts>;
  /** Absent in a folder of before there was a hub. */
  hubPorts?: HubPorts;
  /** What a store of the simulated runtime reaches the hub by; that it is open is its uplink. */
  uplinkPorts?: Record<string, number>;
  /** What stores join with; known once the hub has been up. */
  hubToken?: string;
  /** Every store had all that the hub wants of it once: from then on it sells with no hub. */
  wasSteered?: boolean;
  readonly uplinks: Record<string, "up" | "down">;
  readonly processes: RecordedProcess[];
};

export type StoreEntry = {
  readonly name: string;
  readonly kubeconfig: string;
  readonly mqtt: string | null;
  readonly gateway: string | null;
  readonly shop: string | null;
  readonly pid: number | null;
  readonly uplink: "up" | "down";
};

export type HubEntry = {
  readonly kubeconfig: string;
  readonly url: string;
  readonly dashboard: string | null;
  readonly git: string;
  readonly pid: number | null;
};

/** What scripts read: `.cortado/demo.json`. */
export type DemoFile = {
  readonly ready: boolean;
  readonly runtime: "containerd" | "simulated";
  readonly hub: HubEntry;
  readonly stores: readonly StoreEntry[];
};

/** Reads the state; undefined when there is none. @throws StatusError "ServiceUnavailable" when it cannot be understood */
export async function readState(folder: string): Promise<DemoState | undefined> {
  const path = join(folder, "state.json");
  try {
    const state = JSON.parse(await readFile(path, "utf8")) as DemoState;
    if (state.format === 1) return state;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
  }
  throw new StatusError(
    "ServiceUnavailable",
    `${path} cannot be read; run npm start -- --fresh to begin anew`,
  );
}

/** Replaces a file in one step; only its owner may read it. */
export async function replaceFile(path: string, content: unknown): Promise<void> {
  const next = `${path}.next`;
  await mkdir(join(path, ".."), { recursive: true });
  await writeFile(next, `${JSON.stringify(content, undefined, 2)}\n`, { mode: 0o600 });
  await chmod(next, 0o600);
  await rename(next, path);
}
