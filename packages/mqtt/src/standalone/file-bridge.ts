import type { MqttBridgeSpec } from "@cortado/kinds/mqtt";
import { StatusError } from "@cortado/std/status";
import type { BridgeSettings } from "../bridge/settings.ts";
import { toSettings } from "../control/bridge-spec.ts";

/** A bridge of a file: the spec of an MqttBridge with its name, what is a Secret there being here or in files. */
export type FileBridge = Omit<MqttBridgeSpec, "passwordSecret" | "tls"> & {
  readonly name: string;
  readonly password?: string;
  readonly tls?: Omit<NonNullable<MqttBridgeSpec["tls"]>, "secretName"> & {
    readonly caFile?: string;
    readonly certFile?: string;
    readonly keyFile?: string;
  };
};

export type FileBridgeOptions = {
  /** The machine's name: the first half of the client id where none is given. */
  readonly host: string;
  /** Undefined for a file that is not there. */
  readonly read: (path: string) => Promise<Uint8Array | undefined>;
};

/** @throws StatusError "Invalid" naming the field, "NotFound" naming the file */
export async function fileBridgeSettings(
  { name, password, tls, ...spec }: FileBridge,
  { host, read }: FileBridgeOptions,
): Promise<BridgeSettings> {
  const { caFile, certFile, keyFile, ...rest } = tls ?? {};
  const data: Record<string, string> = {};
  for (const [key, path] of [
    ["ca.crt", caFile],
    ["tls.crt", certFile],
    ["tls.key", keyFile],
  ] as const) {
    if (path === undefined) continue;
    const bytes = await read(path);
    if (bytes === undefined)
      throw new StatusError("NotFound", `bridge ${name}: ${path} is not there; it is to be its ${key}`);
    data[key] = Buffer.from(bytes).toString("base64");
  }
  if (password !== undefined) data["password"] = Buffer.from(password).toString("base64");
  const settings = toSettings(
    {
      apiVersion: "mqtt.cortado.dev/v1alpha1",
      kind: "MqttBridge",
      metadata: { name },
      spec: {
        ...spec,
        ...(password === undefined ? {} : { passwordSecret: { name } }),
        ...(tls === undefined ? {} : { tls: { ...rest, secretName: name } }),
      },
    },
    { store: host, secret: () => ({ apiVersion: "v1", kind: "Secret", metadata: { name }, data }) },
  );
  return { ...settings, name };
}
