import { Command } from "commander";
import { StatusError } from "@cortado/std/status";
import { agentCommand, type FleetAgentRoles } from "./agent.ts";

export type FleetReport = { readonly text: string; readonly isWell: boolean };

export type FleetQuery = {
  readonly folder: string;
  readonly gitRepo: string | undefined;
  readonly strict: boolean;
};

export type FleetPlanQuery = FleetQuery & {
  readonly clusters: string;
  /** Absent: the one on PATH. */
  readonly helm: string | undefined;
  readonly kubectl: string | undefined;
  readonly kubeVersion: string | undefined;
};

export type FleetRoles = FleetAgentRoles & {
  readonly validateFleet: (query: FleetQuery) => Promise<FleetReport>;
  readonly planFleet: (query: FleetPlanQuery) => Promise<FleetReport>;
  readonly out: (text: string) => void;
};

/** `cortado fleet`: what a repository makes of itself, with no hub near, and the agent of other Kubernetes. */
export function fleetCommand(roles: FleetRoles): Command {
  const tell = ({ text, isWell }: FleetReport, what: string): void => {
    roles.out(text);
    if (!isWell) throw new StatusError("Invalid", `${what}; see above`);
  };
  const fleet = new Command("fleet").description(
    "Checks a repository for a fleet of stores, with no hub; runs an agent for a Kubernetes.",
  );
  withSource(fleet.command("validate"))
    .description("Compiles a folder as a hub would, and tells every problem with its place.")
    .action(async (folder: string, options: SourceOptions) =>
      tell(await roles.validateFleet(queryOf(folder, options)), "not all of it can be compiled"),
    );
  withSource(fleet.command("plan"))
    .description("Tells what each store would get of a folder, rendered by helm and kubectl.")
    .requiredOption("--clusters <file>", "Clusters and ClusterGroups, as kubectl get -o yaml gives them")
    .option("--helm <file>", "Another helm than the one on PATH")
    .option("--kubectl <file>", "Another kubectl than the one on PATH")
    .option("--kube-version <version>", "The version of Kubernetes that charts see")
    .action(async (folder: string, options: SourceOptions & PlanOptions) => {
      const { clusters, helm, kubectl, kubeVersion } = options;
      const query = { ...queryOf(folder, options), clusters, helm, kubectl, kubeVersion };
      tell(await roles.planFleet(query), "not every store would get what it is meant to");
    });
  return fleet.addCommand(agentCommand(roles));
}

type SourceOptions = { readonly gitrepo?: string; readonly fleetStrict?: boolean };
type PlanOptions = {
  readonly clusters: string;
  readonly helm?: string;
  readonly kubectl?: string;
  readonly kubeVersion?: string;
};

function withSource(command: Command): Command {
  return command
    .argument("<folder>", "a working copy of the repository")
    .option(
      "--gitrepo <file>",
      "The GitRepo, for its paths and targets; without it targets of fleet.yaml count",
    )
    .option("--fleet-strict", "As Rancher Fleet: nothing that only Cortado reads");
}

function queryOf(folder: string, { gitrepo, fleetStrict: strict = false }: SourceOptions): FleetQuery {
  return { folder, gitRepo: gitrepo, strict };
}
