import type { Command } from "commander";

/** A setting of a command, by its name in a file and, with two dashes, on the command line. */
export type CommandSetting = {
  readonly name: string;
  readonly help: string;
  /** How many values follow it; `many`: it may be given again and again. */
  readonly takes: "nothing" | "one" | "many";
  readonly fallback?: string;
};

export type SettingsWords = {
  readonly config?: string;
  readonly settings: Readonly<Record<string, unknown>>;
};

/** Adds settings, and the file that they may stand in. */
export function addSettings(command: Command, settings: readonly CommandSetting[]): void {
  command.option("-c, --config <file>", "Settings as name: value, by the names below", undefined);
  for (const { name, help, takes, fallback } of settings) {
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
}

/** The settings that were given. */
export function givenSettings(command: Command, settings: readonly CommandSetting[]): SettingsWords {
  const given = command.opts<Record<string, unknown>>();
  const found = Object.fromEntries(
    settings
      .map(({ name }) => [name, given[camel(name)]] as const)
      .filter(([, value]) => value !== undefined),
  );
  const config = given["config"] as string | undefined;
  return { ...(config === undefined ? {} : { config }), settings: found };
}

function camel(name: string): string {
  return name.replaceAll(/-([a-z])/g, (_match, letter: string) => letter.toUpperCase());
}
