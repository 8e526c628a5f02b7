import { Command } from "commander";

export type MqttWords = {
  readonly config: string;
  /** Reads everything and starts nothing. */
  readonly check: boolean;
};

export type MqttRoles = {
  /** Runs a broker alone until it is told to stop; SIGHUP makes it read users, rules and certificates anew. */
  readonly runMqtt: (words: MqttWords) => Promise<void>;
  /** Answers settings as YAML; what needs attention goes to `err`. @throws StatusError naming the lines that cannot be honoured */
  readonly importMosquitto: (file: string) => Promise<string>;
  readonly writeFile: (path: string, text: string) => Promise<void>;
  readonly out: (text: string) => void;
};

/** `cortado mqtt`: the broker for someone who wants nothing else. */
export function mqttCommand(roles: MqttRoles): Command {
  const command = new Command("mqtt")
    .description(
      "Runs the MQTT broker alone, from one file: 3.1, 3.1.1 and 5.0; what it acknowledged is on disk.",
    )
    .option("--config <file>", "Its settings", "/etc/cortado/mqtt.yaml")
    .option("--check", "Reads the settings and all files they name, and starts nothing", false)
    .addHelpText(
      "after",
      [
        "",
        "The smallest file is one listener:",
        "",
        "  allowAnonymous: true",
        "  listeners:",
        "    - port: 1883",
        "",
        "Examples:",
        "  cortado mqtt --config mqtt.yaml",
        "  cortado mqtt import /etc/mosquitto/mosquitto.conf --output mqtt.yaml",
        "  kill -HUP PID      reads users, rules and certificates anew",
        "",
      ].join("\n"),
    );
  command.action(async () => await roles.runMqtt(command.opts<MqttWords>()));
  command.addCommand(importCommand(roles));
  return command;
}

function importCommand(roles: MqttRoles): Command {
  const command = new Command("import")
    .description(
      "Makes settings of a mosquitto.conf, with its listeners, files and bridges; refuses by line what it cannot honour.",
    )
    .argument("<mosquitto.conf>", "The file; those that it names are read as well")
    .option("--output <file>", "Where the settings go; standard output if absent");
  return command.action(async (file: string) => {
    const text = await roles.importMosquitto(file);
    const { output } = command.opts<{ output?: string }>();
    if (output === undefined) roles.out(text);
    else await roles.writeFile(output, text);
  });
}
