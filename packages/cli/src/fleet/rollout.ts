import { Command } from "commander";

const actions = {
  status: "Tells how far the newest generation of a bundle is, wave by wave, and why it waits.",
  pause: "Opens no further wave; stores that have it keep it.",
  resume: "Goes on after a pause.",
  promote: "Opens all waves of the newest generation, also of one that was halted.",
  abort: "Gives the newest generation up: its stores go back to the one before.",
} as const;

export type FleetRolloutWords = {
  readonly action: keyof typeof actions;
  readonly bundle: string;
  readonly kubeconfig: string;
  readonly context?: string;
  readonly namespace: string;
};

export type FleetRolloutRoles = {
  readonly steerRollout: (words: FleetRolloutWords) => Promise<string>;
  readonly out: (text: string) => void;
};

/** `cortado fleet rollout`: what `kubectl annotate` does by hand. */
export function rolloutCommand(roles: FleetRolloutRoles): Command {
  const rollout = new Command("rollout").description("Shows and steers how a bundle goes to the stores.");
  for (const [action, description] of Object.entries(actions) as [keyof typeof actions, string][]) {
    const command = new Command(action)
      .description(description)
      .argument("<bundle>", "name of the Bundle")
      .requiredOption("--kubeconfig <file>", "How the hub is reached")
      .option("--context <name>", "Another context than the file's current one")
      .option("-n, --namespace <name>", "Namespace of the Bundle", "fleet-default");
    command.action(async (bundle: string) =>
      roles.out(
        await roles.steerRollout({
          action,
          bundle,
          ...command.opts<Omit<FleetRolloutWords, "action" | "bundle">>(),
        }),
      ),
    );
    rollout.addCommand(command);
  }
  return rollout;
}
