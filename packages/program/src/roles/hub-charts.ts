import { createHash } from "node:crypto";
import { join } from "node:path";
import type { HubWords } from "@cortado/cli/hub";
import { newStockCharts } from "@cortado/fleet/compile/node/charts";
import type { RepositoryPorts } from "@cortado/fleet/git/repositories";
import { systemFiles } from "@cortado/std/node/files";
import { onPath } from "./fleet.ts";

/**
 * Charts from elsewhere for the bundles of GitRepos. What one commit brought is kept: the same commit gives the same chart, also after a
 * restart and with no network. Of each wish the newest is kept.
 */
export function hubCharts(words: HubWords, dataDir: string): NonNullable<RepositoryPorts["charts"]> {
  const folder = join(dataDir, "fleet", "charts");
  const nameOf = (...parts: readonly string[]): string =>
    createHash("sha256").update(parts.join("\n")).digest("hex").slice(0, 32);
  return ({ repo, commit, loginFor, signal }) =>
    newStockCharts({
      helm: words.helm ?? onPath("helm"),
      environment: process.env,
      loginFor,
      signal,
      cache: {
        read: (wish) => systemFiles.read(join(folder, `${nameOf(repo, wish)}-${nameOf(commit)}`)),
        async write(wish, archive) {
          await systemFiles.makeFolder(folder);
          const own = nameOf(repo, wish);
          const older = (await systemFiles.list(folder)).filter((name) => name.startsWith(`${own}-`));
          await systemFiles.replace(join(folder, `${own}-${nameOf(commit)}`), archive);
          for (const name of older) await systemFiles.remove(join(folder, name));
        },
      },
    });
}
