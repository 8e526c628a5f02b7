import { tmpdir } from "node:os";
import { RENDER_FOLDER } from "@cortado/fleet/compile/node";
import { GIT_FOLDER } from "@cortado/fleet/git/node/process";
import type { Log } from "@cortado/std/log";
import { sweepProcessFolders } from "@cortado/std/node/process-folder";

/** What a hub that was killed left in the machine's place for temporary files: folders of git, with logins in them, and of helm and kubectl. */
export async function sweepLeftFolders(log: Log): Promise<void> {
  let removed = 0;
  for (const prefix of [GIT_FOLDER, RENDER_FOLDER]) removed += await sweepProcessFolders(tmpdir(), prefix);
  if (removed > 0) log.info("folders of processes that are gone are removed", { removed });
}
