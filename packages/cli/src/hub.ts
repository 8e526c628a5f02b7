import { Command } from "commander";

export type HubWords = {
  readonly dataDir: string;
  readonly bindAddress: string;
  readonly httpsListenPort: string;
  readonly tlsSan: readonly string[];
  readonly writeKubeconfig: string;
  /** What the kubeconfig says the server is; absent: this machine. */
  readonly kubeconfigServer?: string;
  /** As stores reach it; absent: by this machine's name. */
  readonly url?: string;
  readonly localSocketDir?: string;
  readonly seedRepository?: string;
  /** Seconds. */
  readonly offlineAfter: string;
  /** Seconds that a store of a wave may take until it is Ready. */
  readonly waveDeadline: string;
  readonly fleetStrict: boolean;
  /** Where events of stores are passed on to. */
  readonly forward?: string;
  /** Absent: `audit.log` in the data folder. "-": none. */
  readonly auditLogPath?: string;
  /** Megabytes. */
  readonly auditLogMaxsize: string;
  readonly auditLogMaxbackup: string;
  readonly helm?: string;
  readonly kubectl?: string;
  /** Of the agents that it installs; absent: it installs none. */
  readonly agentImage?: string;
};

export type HubRoles = {
  /** Runs a hub until it is told to stop. */
  readonly runHub: (words: HubWords) => Promise<void>;
};

/** `cortado hub`: what steers stores from Git. */
export function hubCommand(roles: HubRoles): Command {
  const command = new Command("hub")
    .description("Runs a hub: the API of Rancher Fleet, a Git server, and the connections of stores.")
    .option("--data-dir <folder>", "Where everything is kept", "/var/lib/cortado-hub")
    .option("--bind-address <address>", "Address to listen on", "0.0.0.0")
    .option("--https-listen-port <port>", "Port of the API, of stores and of Git", "6443")
    .option(
      "--tls-san <name>",
      "Another name or address in the certificate",
      (name: string, all: string[]) => [...all, name],
      [] as string[],
    )
    .option("--write-kubeconfig <file>", "Where the kubeconfig goes", "/etc/cortado/hub.yaml")
    .option("--kubeconfig-server <url>", "What the kubeconfig says the server is")
    .option("--url <url>", "How stores reach it, as https://hub.example:6443")
    .option("--local-socket-dir <folder>", "Folder for Unix sockets that this machine reaches it by")
    .option("--seed-repository <folder>", "Files of the first commit of its own repository, coffee-shop.git")
    .option("--offline-after <seconds>", "A store unheard for so long is Offline", "30")
    .option(
      "--wave-deadline <seconds>",
      "A rollout halts when a store of an open wave is not ready after so long",
      "300",
    )
    .option("--fleet-strict", "Fleet's partitions and fleet.yaml to the letter", false)
    .option(
      "--forward <file>",
      "Targets that events of stores are passed on to: OTLP, Loki, Prometheus remote write",
    )
    .option(
      "--audit-log-path <file>",
      "Who did and tried what, as events of audit.k8s.io/v1 (default: audit.log in the data folder; -: none)",
    )
    .option("--audit-log-maxsize <megabytes>", "A larger audit log is put aside, and another begun", "100")
    .option("--audit-log-maxbackup <count>", "Audit logs put aside that are kept; 0: all", "10")
    .option("--helm <file>", "Another helm than the one on PATH")
    .option("--kubectl <file>", "Another kubectl than the one on PATH")
    .option(
      "--agent-image <image>",
      "An image that has cortado on its PATH, for agents that the hub installs by spec.kubeConfigSecret of a Cluster",
    );
  command.addHelpText(
    "after",
    "\nThen: kubectl --kubeconfig /etc/cortado/hub.yaml get clusters.fleet.cattle.io -A\nA store joins with key `token` of the Secret that a ClusterRegistrationToken makes, which has its name.\n",
  );
  return command.action(() => roles.runHub(command.opts<HubWords>()));
}
