import { Command, Option } from "commander";
import { StatusError } from "@cortado/std/status";
import { addSettings, givenSettings, type CommandSetting, type SettingsWords } from "./settings.ts";

export type AgentRoles = {
  readonly agentSettings: readonly CommandSetting[];
  /** Flags of `k3s agent` that are not offered, and what to do in their place. */
  readonly refusedAgentFlags: Readonly<Record<string, string>>;
  /** Flags of `k3s agent` that change nothing here. */
  readonly idleAgentFlags: readonly string[];
  /** Runs a further node until it is told to stop. */
  readonly runAgent: (words: SettingsWords) => Promise<void>;
  readonly err: (text: string) => void;
};

/** `cortado agent`: a further node of a server's cluster, as K3s has it. */
export function agentCommand(roles: AgentRoles): Command {
  const command = new Command("agent").description(
    "Runs a further node of a server's cluster: its pods, and their services, names and policies.",
  );
  addSettings(command, roles.agentSettings);
  command.addHelpText(
    "after",
    "\nExample:\n  K3S_URL=https://192.0.2.1:6443 K3S_TOKEN=K10…::server:… cortado agent --node-name till-2\n",
  );
  for (const name of Object.keys(roles.refusedAgentFlags)) command.addOption(k3sFlag(name));
  for (const name of roles.idleAgentFlags) command.addOption(k3sFlag(name));
  return command.action(async () => {
    for (const { long, attributeName } of command.options.map(named)) {
      const name = long.slice(2);
      const why = roles.refusedAgentFlags[name];
      if (command.getOptionValue(attributeName) === undefined) continue;
      if (why !== undefined) throw new StatusError("NotImplemented", `${long} of K3s is not offered: ${why}`);
      if (roles.idleAgentFlags.includes(name)) roles.err(`cortado: ${long} of K3s changes nothing here\n`);
    }
    await roles.runAgent(givenSettings(command, roles.agentSettings));
  });
}

function k3sFlag(name: string): Option {
  return new Option(name.length === 1 ? `-${name}, --${name} [value]` : `--${name} [value]`).hideHelp();
}

function named(option: Option): { readonly long: string; readonly attributeName: string } {
  return { long: option.long ?? "", attributeName: option.attributeName() };
}
