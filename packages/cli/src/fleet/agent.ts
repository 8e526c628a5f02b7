import { Command } from "commander";
import { StatusError } from "@cortado/std/status";

export type FleetAgentWords = {
  readonly kubeconfig: string;
  readonly context?: string;
  readonly hub: string;
  readonly token?: string;
  readonly proxy?: string;
  readonly name?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly dataDir: string;
  readonly namespace?: string;
};

export type FleetAgentRoles = {
  /** Runs the agent of a Kubernetes until it is told to stop. */
  readonly runFleetAgent: (words: FleetAgentWords) => Promise<void>;
};

type Given = {
  readonly kubeconfig: string;
  readonly context?: string;
  readonly hub: string;
  readonly hubToken?: string;
  readonly hubProxy?: string;
  readonly name?: string;
  readonly label?: Readonly<Record<string, string>>;
  readonly dataDir: string;
  readonly namespace?: string;
};

/** `cortado fleet agent`: the agent of a Kubernetes that is not ours. */
export function agentCommand(roles: FleetAgentRoles): Command {
  const command = new Command("agent")
    .description(
      "Runs the agent of the Kubernetes that a kubeconfig names: it deploys there what the hub wants.",
    )
    .requiredOption("--kubeconfig <file>", "How the cluster is reached; with the rights of cluster-admin")
    .option("--context <name>", "Another context than the file's current one")
    .requiredOption("--hub <url>", "The hub, as https://HOST:PORT")
    .option("--hub-token <token>", "For the first start: K10…::fleet:…, from the hub")
    .option("--hub-proxy <url>", "An HTTP proxy on the way to the hub, as http://USER:PASSWORD@HOST:PORT")
    .option("--name <name>", "Name of the Cluster at the hub; the hub makes one otherwise")
    .option("--label <key=value>", "A label of the Cluster, at registration; may be repeated", addLabel)
    .option("--data-dir <folder>", "Where content waits that was fetched", "/var/lib/cortado/fleet-agent")
    .option(
      "--namespace <name>",
      "Where the agent keeps its Secrets in the cluster (default: cattle-fleet-system)",
    );
  return command.action(async () => {
    const { hubToken, hubProxy, label = {}, ...given } = command.opts<Given>();
    await roles.runFleetAgent({
      ...given,
      labels: label,
      ...(hubToken === undefined ? {} : { token: hubToken }),
      ...(hubProxy === undefined ? {} : { proxy: hubProxy }),
    });
  });
}

function addLabel(text: string, all: Readonly<Record<string, string>> = {}): Record<string, string> {
  const [, key = "", value = ""] = /^([^=]+)=(.*)$/.exec(text) ?? [];
  if (key === "") throw new StatusError("Invalid", `--label ${text} is not of the form key=value`);
  return { ...all, [key]: value };
}
