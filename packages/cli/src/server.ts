import { Command } from "commander";

export type ServerSetting = {
  readonly name: string;
  readonly help: string;
  /** How many values follow it; `many`: it may be given again and again. */
  readonly takes: "nothing" | "one" | "many";
  readonly fallback?: string;
};

export type ServerRoles = {
  readonly serverSettings: readonly ServerSetting[];
  /** Runs a store until it is told to stop. */
  readonly runServer: (words: {
    readonly config?: string;
    readonly settings: Readonly<Record<string, unknown>>;
  }) => Promise<void>;
};

/** `cortado server`: all of a store in one process. */
export function serverCommand(roles: ServerRoles): Command {
  const command = new Command("server")
    .description("Runs a store: API server, node, broker, functions and the rest, in one process.")
    .option("-c, --config <file>", "Settings as name: value, by the names below", undefined);
  for (const { name, help, takes, fallback } of roles.serverSettings) {
    const text = fallback === undefined ? help : `${help} (default: ${fallback})`;
    if (takes === "nothing") command.option(`--${name}`, text);
    else if (takes === "many")
      command.option(`--${name} <value>`, text, (value: string, all: string[] = []) => [...all, value]);
    else command.option(`--${name} <value>`, text);
  }
  command.addHelpText(
    "after",
    "\nSettings may also stand in /etc/cortado/config.yaml; the command line goes before the file.\n",
  );
  return command.action(async () => {
    const given = command.opts<Record<string, unknown>>();
    const settings = Object.fromEntries(
      roles.serverSettings
        .map(({ name }) => [name, given[camel(name)]] as const)
        .filter(([, value]) => value !== undefined),
    );
    const config = given["config"] as string | undefined;
    await roles.runServer({ ...(config === undefined ? {} : { config }), settings });
  });
}

function camel(name: string): string {
  return name.replaceAll(/-([a-z])/g, (_match, letter: string) => letter.toUpperCase());
}
