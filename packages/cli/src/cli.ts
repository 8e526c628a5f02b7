import { Command, CommanderError } from "commander";
import { StatusError } from "@cortado/std/status";
import { agentCommand, type AgentRoles } from "./agent.ts";
import { demoCommand, type DemoRoles } from "./demo.ts";
import { fleetCommand, type FleetRoles } from "./fleet/fleet.ts";
import { hubCommand, type HubRoles } from "./hub.ts";
import { kubectlCommand, type KubectlRoles } from "./kubectl.ts";
import { mqttCommand, type MqttRoles } from "./mqtt.ts";
import { serverCommand, type ServerRoles } from "./server.ts";
import { tokenCommand, type TokenRoles } from "./token.ts";
import { versionCommand } from "./version.ts";

export type CliRoles = ServerRoles &
  AgentRoles &
  DemoRoles &
  FleetRoles &
  HubRoles &
  MqttRoles &
  TokenRoles &
  KubectlRoles & {
    readonly version: string;
    readonly out: (text: string) => void;
    readonly err: (text: string) => void;
  };

/** Runs one command line (without the program's own words) and answers its exit code. */
export async function runCli(words: readonly string[], roles: CliRoles): Promise<number> {
  const program = newCli(roles);
  try {
    await program.parseAsync(words, { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (error instanceof StatusError) roles.err(`cortado: ${error.message}\n`);
    else roles.err(`cortado: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    return 1;
  }
}

function newCli(roles: CliRoles): Command {
  const program = new Command("cortado")
    .description(
      "Runs a store: a small Kubernetes with containers, an MQTT broker, functions, and the coffee shop.",
    )
    .exitOverride()
    .version(roles.version, "-v, --version", "print the version")
    .enablePositionalOptions()
    .showHelpAfterError("(see cortado --help)")
    .configureOutput({ writeOut: roles.out, writeErr: roles.err });
  program.addHelpText(
    "after",
    "\nExamples:\n  cortado server --node-name store-042\n  cortado demo unplug store-042\n  cortado kubectl get pods -A\n",
  );
  for (const command of [
    serverCommand(roles),
    agentCommand(roles),
    demoCommand(roles),
    hubCommand(roles),
    mqttCommand(roles),
    fleetCommand(roles),
    tokenCommand(roles),
    kubectlCommand(roles),
    versionCommand(roles),
  ])
    program.addCommand(command);
  inherit(program);
  return program;
}

/** Output and errors of every command, however deep, go where the program's go: none of them ends the process by itself. */
function inherit(parent: Command): void {
  for (const command of parent.commands) inherit(command.copyInheritedSettings(parent));
}
