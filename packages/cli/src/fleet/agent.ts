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

export type FleetAgentManifestWords = {
  readonly image: string;
  readonly hub: string;
  readonly token: string;
  readonly name?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly proxy?: string;
  readonly namespace?: string;
};

export type FleetAgentRemovalWords = {
  readonly kubeconfig: string;
  readonly context?: string;
  readonly namespace?: string;
};

export type FleetAgentRoles = {
  /** Runs the agent of a Kubernetes until it is told to stop. */
  readonly runFleetAgent: (words: FleetAgentWords) => Promise<void>;
  /** The agent as objects of a Kubernetes. */
  readonly fleetAgentManifest: (words: FleetAgentManifestWords) => string;
  /** Takes the agent out of a Kubernetes; answers what it did. */
  readonly removeFleetAgent: (words: FleetAgentRemovalWords) => Promise<string>;
  readonly out: (text: string) => void;
};

type Labels = Readonly<Record<string, string>>;

type Given = {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly hub?: string;
  readonly hubToken?: string;
  readonly hubProxy?: string;
  readonly name?: string;
  readonly label?: Labels;
  readonly dataDir: string;
  readonly namespace?: string;
};

/** `cortado fleet agent`: the agent of a Kubernetes that is not ours. */
export function agentCommand(roles: FleetAgentRoles): Command {
  const command = new Command("agent")
    .description(
      "Runs the agent of the Kubernetes that a kubeconfig names: it deploys there what the hub wants.",
    )
    .option("--kubeconfig <file>", "How the cluster is reached; with the rights of cluster-admin (required)")
    .option("--context <name>", "Another context than the file's current one")
    .option("--hub <url>", "The hub, as https://HOST:PORT (required)")
    .option("--hub-token <token>", "For the first start: K10…::fleet:…, from the hub")
    .option("--hub-proxy <url>", proxyHelp)
    .option("--name <name>", "Name of the Cluster at the hub; the hub makes one otherwise")
    .option("--label <key=value>", "A label of the Cluster, at registration; may be repeated", addLabel)
    .option("--data-dir <folder>", "Where content waits that was fetched", "/var/lib/cortado/fleet-agent")
    .option("--namespace <name>", namespaceHelp);
  // Commands below it have options of their own: these are not required there.
  command.action(async () => {
    const { hubToken, hubProxy, label = {}, kubeconfig, hub, ...given } = command.opts<Given>();
    await roles.runFleetAgent({
      ...given,
      kubeconfig: need(kubeconfig, "--kubeconfig <file>"),
      hub: need(hub, "--hub <url>"),
      labels: label,
      ...(hubToken === undefined ? {} : { token: hubToken }),
      ...(hubProxy === undefined ? {} : { proxy: hubProxy }),
    });
  });
  return command.addCommand(installCommand(roles)).addCommand(uninstallCommand(roles));
}

const namespaceHelp = "Where the agent keeps its Secrets in the cluster (default: cattle-fleet-system)";
const proxyHelp =
  "An HTTP proxy on the way to the hub, as http://USER:PASSWORD@HOST:PORT (default: HTTPS_PROXY, but for NO_PROXY)";

type InstallGiven = {
  readonly image: string;
  readonly hub: string;
  readonly hubToken: string;
  readonly hubProxy?: string;
  readonly name?: string;
  readonly label?: Labels;
  readonly namespace?: string;
};

function installCommand(roles: FleetAgentRoles): Command {
  const command = new Command("install")
    .description("Prints the agent as a Deployment, for kubectl apply -f - in any Kubernetes.")
    .requiredOption("--image <image>", "An image that has cortado on its PATH")
    .requiredOption("--hub <url>", "The hub, as https://HOST:PORT")
    .requiredOption("--hub-token <token>", "K10…::fleet:…, from the hub")
    .option("--hub-proxy <url>", "An HTTP proxy on the way to the hub, as http://USER:PASSWORD@HOST:PORT")
    .option("--name <name>", "Name of the Cluster at the hub; the hub makes one otherwise")
    .option("--label <key=value>", "A label of the Cluster, at registration; may be repeated", addLabel)
    .option("--namespace <name>", namespaceHelp);
  return command.action(() => {
    const { hubToken, hubProxy, label = {}, ...given } = command.opts<InstallGiven>();
    roles.out(
      roles.fleetAgentManifest({
        ...given,
        token: hubToken,
        labels: label,
        ...(hubProxy === undefined ? {} : { proxy: hubProxy }),
      }),
    );
  });
}

function uninstallCommand(roles: FleetAgentRoles): Command {
  const command = new Command("uninstall")
    .description(
      "Takes the agent out of a Kubernetes: what it deployed stays and runs on, its marks and Secrets go. An agent that runs beside the cluster is to be stopped first.",
    )
    .requiredOption("--kubeconfig <file>", "How the cluster is reached")
    .option("--context <name>", "Another context than the file's current one")
    .option("--namespace <name>", namespaceHelp);
  return command.action(async () =>
    roles.out(await roles.removeFleetAgent(command.opts<FleetAgentRemovalWords>())),
  );
}

/** As commander says it of an option that it requires itself. */
function need(value: string | undefined, option: string): string {
  if (value !== undefined) return value;
  throw new StatusError(
    "Invalid",
    `required option '${option}' not specified (see cortado fleet agent --help)`,
  );
}

function addLabel(text: string, all: Labels = {}): Record<string, string> {
  const [, key = "", value = ""] = /^([^=]+)=(.*)$/.exec(text) ?? [];
  if (key === "") throw new StatusError("Invalid", `--label ${text} is not of the form key=value`);
  return { ...all, [key]: value };
}
