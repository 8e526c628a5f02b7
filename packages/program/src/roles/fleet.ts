import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import type { CliRoles } from "@cortado/cli";
import { planFolder, validateFolder } from "@cortado/fleet/compile/node/plan";

/** `cortado fleet`, on this machine's folders and tools. */
export const fleetRoles: Pick<CliRoles, "validateFleet" | "planFleet"> = {
  validateFleet: ({ folder, gitRepo, strict }) =>
    validateFolder({ folder, strict, ...(gitRepo === undefined ? {} : { gitRepo }) }),
  planFleet: ({ folder, gitRepo, strict, clusters, helm, kubectl, kubeVersion }) =>
    planFolder({
      folder,
      strict,
      clusters,
      ...(gitRepo === undefined ? {} : { gitRepo }),
      tools: {
        helm: helm ?? onPath("helm"),
        kubectl: kubectl ?? onPath("kubectl"),
        ...(kubeVersion === undefined ? {} : { kubeVersion }),
      },
    }),
};

/** The program's path, or its name when there is none: the error then names it. */
export function onPath(program: string): string {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  return folders.map((folder) => join(folder, program)).find((path) => existsSync(path)) ?? program;
}
