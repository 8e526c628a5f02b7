import { Command } from "commander";
import { StatusError } from "@cortado/std/status";
import { agentCommand, type FleetAgentRoles } from "./agent.ts";
import { rolloutCommand, type FleetRolloutRoles } from "./rollout.ts";

export type FleetReport = { readonly text: string; readonly isWell: boolean };

export type FleetQuery = {
  readonly folder: string;
  readonly gitRepo: string | undefined;
  readonly strict: boolean;
};

/** A hub, as kubectl reaches it. */
export type FleetHub = {
  readonly kubeconfig: string;
  readonly context: string | undefined;
  readonly namespace: string;
};

export type FleetTools = {
  /** Absent: the one on PATH. */
  readonly helm: string | undefined;
  readonly kubectl: string | undefined;
  readonly kubeVersion: string | undefined;
};

export type FleetPlanQuery = FleetQuery & FleetTools & { readonly clusters: string };

/** Clusters are a file's, or a hub's. */
export type FleetTargetQuery = FleetQuery & {
  readonly clusters: string | undefined;
  readonly hub: FleetHub | undefined;
};

export type FleetDiffQuery = FleetTargetQuery &
  FleetTools & {
    /** Another working copy, or a commit of this one; neither: what the hub's stores may run. */
    readonly against: string | undefined;
    readonly commit: string | undefined;
  };

export type FleetApplyQuery = FleetQuery & {
  readonly name: string;
  readonly namespace: string;
  /** "-": standard output; absent: the hub. */
  readonly output: string | undefined;
  readonly hub: FleetHub | undefined;
};

export type FleetRoles = FleetAgentRoles &
  FleetRolloutRoles & {
    readonly validateFleet: (query: FleetQuery) => Promise<FleetReport>;
    readonly planFleet: (query: FleetPlanQuery) => Promise<FleetReport>;
    readonly targetFleet: (query: FleetTargetQuery) => Promise<FleetReport>;
    readonly diffFleet: (query: FleetDiffQuery) => Promise<FleetReport>;
    readonly applyFleet: (query: FleetApplyQuery) => Promise<FleetReport>;
    readonly out: (text: string) => void;
  };

/** `cortado fleet`: what a repository makes of itself, with a hub or none, rollouts, and the agent of other Kubernetes. */
export function fleetCommand(roles: FleetRoles): Command {
  const tell = ({ text, isWell }: FleetReport, what: string): void => {
    roles.out(text);
    if (!isWell) throw new StatusError("Invalid", `${what}; see above`);
  };
  const fleet = new Command("fleet").description(
    "Checks a repository for a fleet of stores, with a hub or none; steers rollouts; runs an agent for a Kubernetes.",
  );
  withSource(fleet.command("validate"))
    .description("Compiles a folder as a hub would, and tells every problem with its place.")
    .action(async (folder: string, options: SourceOptions) =>
      tell(await roles.validateFleet(queryOf(folder, options)), "not all of it can be compiled"),
    );
  withTools(
    withSource(fleet.command("plan"))
      .description("Tells what each store would get of a folder, rendered by helm and kubectl.")
      .requiredOption("--clusters <file>", clustersHelp),
  ).action(async (folder: string, options: SourceOptions & ToolOptions & { clusters: string }) => {
    const query = { ...queryOf(folder, options), ...toolsOf(options), clusters: options.clusters };
    tell(await roles.planFleet(query), "not every store would get what it is meant to");
  });
  withHub(withSource(fleet.command("target")).option("--clusters <file>", clustersHelp))
    .description("Tells which store gets which bundle, by which target, and why not.")
    .action(async (folder: string, options: SourceOptions & HubOptions & ClusterOptions) => {
      const query = { ...queryOf(folder, options), ...clustersOf(options) };
      tell(await roles.targetFleet(query), "not every store is what it is meant to be");
    });
  return fleet
    .addCommand(diffCommand(roles, tell))
    .addCommand(applyCommand(roles, tell))
    .addCommand(rolloutCommand(roles))
    .addCommand(agentCommand(roles));
}

type Tell = (report: FleetReport, what: string) => void;

function diffCommand(roles: FleetRoles, tell: Tell): Command {
  const command = withTools(
    withHub(withSource(new Command("diff")).option("--clusters <file>", clustersHelp))
      .option("--against <folder>", "Another working copy, which is there now")
      .option("--against-commit <commit>", "A commit of this working copy, which is there now"),
  ).description(
    "Tells what would change in each store: against another folder, a commit, or what the hub's stores may run.",
  );
  return command.action(
    async (
      folder: string,
      options: SourceOptions & HubOptions & ClusterOptions & ToolOptions & DiffOptions,
    ) => {
      const { against, againstCommit: commit } = options;
      if (against !== undefined && commit !== undefined)
        throw new StatusError("Invalid", "--against and --against-commit exclude each other; give one");
      const found = clustersOf(options);
      if (against === undefined && commit === undefined && found.hub === undefined)
        throw new StatusError(
          "Invalid",
          "there is nothing to compare with; give --against, --against-commit, or --kubeconfig of a hub",
        );
      const query = { ...queryOf(folder, options), ...toolsOf(options), ...found, against, commit };
      tell(await roles.diffFleet(query), "not every store would get what it is meant to");
    },
  );
}

function applyCommand(roles: FleetRoles, tell: Tell): Command {
  const command = new Command("apply")
    .argument("<name>", "what the Bundles' names begin with, as the name of a GitRepo")
    .argument("<folder>", "a working copy of the repository")
    .description("Writes the Bundles of a folder to a hub, with no repository in between.");
  return withHub(withSourceOptions(command))
    .option("-o, --output <where>", "-: print the Bundles and ask no hub")
    .action(
      async (name: string, folder: string, options: SourceOptions & HubOptions & { output?: string }) => {
        const { output, namespace } = options;
        const hub = hubOf(options);
        if (output !== undefined && output !== "-")
          throw new StatusError("Invalid", `--output ${output} is not known; it takes -`);
        if (output === undefined && hub === undefined)
          throw new StatusError("Invalid", "give --kubeconfig of a hub, or -o - to print the Bundles");
        const query = { ...queryOf(folder, options), name, namespace, output, hub };
        tell(await roles.applyFleet(query), "not all of it can be compiled, so nothing was applied");
      },
    );
}

const clustersHelp = "Clusters and ClusterGroups, as kubectl get -o yaml gives them";

type SourceOptions = { readonly gitrepo?: string; readonly fleetStrict?: boolean };
type ToolOptions = { readonly helm?: string; readonly kubectl?: string; readonly kubeVersion?: string };
type HubOptions = { readonly kubeconfig?: string; readonly context?: string; readonly namespace: string };
type ClusterOptions = { readonly clusters?: string };
type DiffOptions = { readonly against?: string; readonly againstCommit?: string };

function withSource(command: Command): Command {
  return withSourceOptions(command.argument("<folder>", "a working copy of the repository"));
}

function withSourceOptions(command: Command): Command {
  return command
    .option(
      "--gitrepo <file>",
      "The GitRepo, for its paths and targets; without it targets of fleet.yaml count",
    )
    .option("--fleet-strict", "As Rancher Fleet: nothing that only Cortado reads");
}

function withTools(command: Command): Command {
  return command
    .option("--helm <file>", "Another helm than the one on PATH")
    .option("--kubectl <file>", "Another kubectl than the one on PATH")
    .option("--kube-version <version>", "The version of Kubernetes that charts see");
}

function withHub(command: Command): Command {
  return command
    .option("--kubeconfig <file>", "How a hub is reached")
    .option("--context <name>", "Another context than the file's current one")
    .option("-n, --namespace <name>", "Namespace at the hub", "fleet-default");
}

function queryOf(folder: string, { gitrepo, fleetStrict: strict = false }: SourceOptions): FleetQuery {
  return { folder, gitRepo: gitrepo, strict };
}

function toolsOf({ helm, kubectl, kubeVersion }: ToolOptions): FleetTools {
  return { helm, kubectl, kubeVersion };
}

function hubOf({ kubeconfig, context, namespace }: HubOptions): FleetHub | undefined {
  return kubeconfig === undefined ? undefined : { kubeconfig, context, namespace };
}

function clustersOf(options: HubOptions & ClusterOptions): Pick<FleetTargetQuery, "clusters" | "hub"> {
  const hub = hubOf(options);
  if (hub === undefined && options.clusters === undefined)
    throw new StatusError("Invalid", "give --clusters FILE, or --kubeconfig of a hub");
  return { clusters: options.clusters, hub };
}
