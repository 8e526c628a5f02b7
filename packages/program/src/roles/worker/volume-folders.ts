import { rm } from "node:fs/promises";
import { basename, dirname, isAbsolute, normalize } from "node:path";
import type { Client } from "@cortado/client";
import type { Tunnels } from "@cortado/cluster/tunnel/server";
import { nodes } from "@cortado/kinds/resources";
import type { Log } from "@cortado/std/log";
import { hasReason, StatusError } from "@cortado/std/status";
import { askNode } from "./node-streams.ts";

export type FolderRemoverOptions = {
  readonly ownNode: string;
  readonly tunnels: Tunnels;
  readonly client: Client;
  readonly log: Log;
  readonly signal: AbortSignal;
};

/** Removes the folder of a volume whose claim is gone, at the node that has it; rejects while that is out of reach, to be asked again. */
export function folderRemover({
  ownNode,
  tunnels,
  client,
  log,
  signal,
}: FolderRemoverOptions): (path: string, node: string | undefined) => Promise<void> {
  return async (path, node = ownNode) => {
    if (node === ownNode) return await rm(path, { recursive: true, force: true });
    const known = await client.get(nodes, { name: node, signal }).catch((error: unknown) => {
      if (hasReason(error, "NotFound")) return undefined;
      throw error;
    });
    if (known === undefined) {
      log.warn("the folder of a volume stays on a machine that is no node any more", { node, path });
      return;
    }
    const stream = await tunnels.open(node, { signal });
    const answer = await askNode(stream, {
      method: "DELETE",
      path: `/folders?path=${encodeURIComponent(path)}`,
      signal,
    });
    answer.resume();
  };
}

/** What an agent does of it: a folder that is no volume's it leaves alone. @throws StatusError "Forbidden" */
export async function removeVolumeFolder(path: string): Promise<void> {
  const isVolume =
    basename(dirname(path)) === "storage" && /^pvc-[0-9a-f-]{36}_[^/]+_[^/]+$/.test(basename(path));
  if (!isAbsolute(path) || normalize(path) !== path || !isVolume)
    throw new StatusError(
      "Forbidden",
      `${JSON.stringify(path)} is no folder of a volume that a server makes`,
    );
  await rm(path, { recursive: true, force: true });
}
