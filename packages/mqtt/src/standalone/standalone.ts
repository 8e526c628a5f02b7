import type { MqttBridge } from "@cortado/kinds/mqtt";
import { StatusError } from "@cortado/std/status";
import type { BridgeSettings } from "../bridge/settings.ts";
import { toSettings } from "../control/bridge-spec.ts";
import { readAclFile } from "../mosquitto/acl-file.ts";
import type { LineNote } from "../mosquitto/lines.ts";
import { readPasswordFile } from "../mosquitto/password-file.ts";
import type { FileAccessRules } from "./access.ts";
import type { BridgeEntry, MqttSettings } from "./settings.ts";

export { importMosquittoConf, type Imported } from "../mosquitto/conf.ts";
export type { LineNote } from "../mosquitto/lines.ts";
export { FileAccess, type FileAccessRules } from "./access.ts";
export * from "./settings.ts";

/** Reads a file that the settings name. @throws what says that it is not there */
export type ReadFile = (path: string) => Promise<string>;

export const noteText = ({ file, line, message }: LineNote): string =>
  line === 0 ? `${file}: ${message}` : `${file}:${line}: ${message}`;

/** The rules that the files say. @throws StatusError "Invalid" with each line that cannot be read */
export async function readAccess(settings: MqttSettings, read: ReadFile): Promise<FileAccessRules> {
  const { allowAnonymous, clientIdPrefix, passwordFile, aclFile } = settings;
  const passwords =
    passwordFile === undefined ? undefined : readPasswordFile(await read(passwordFile), passwordFile);
  const acl = aclFile === undefined ? undefined : readAclFile(await read(aclFile), aclFile);
  const faults = [...(passwords?.faults ?? []), ...(acl?.faults ?? [])];
  if (faults.length > 0) throw new StatusError("Invalid", faults.map(noteText).join("\n"));
  return { allowAnonymous, clientIdPrefix, passwords: passwords?.users, acl: acl?.acl };
}

/** Bridges of a settings file as a broker takes them. @throws StatusError "Invalid" naming bridge and field */
export async function readBridges(
  { bridges = [] }: MqttSettings,
  { host, read }: { readonly host: string; readonly read: ReadFile },
): Promise<readonly BridgeSettings[]> {
  return await Promise.all(bridges.map((entry) => readBridge(entry, { host, read })));
}

async function readBridge(
  { name, password, tls, ...spec }: BridgeEntry,
  { host, read }: { readonly host: string; readonly read: ReadFile },
): Promise<BridgeSettings> {
  const files = { "ca.crt": tls?.caFile, "tls.crt": tls?.certFile, "tls.key": tls?.keyFile };
  const data: Record<string, string> = {};
  for (const [key, path] of Object.entries(files))
    if (path !== undefined) data[key] = base64(await read(path));
  if (password !== undefined) data["password"] = base64(password);
  const { serverName, alpn, insecureSkipVerify } = tls ?? {};
  // What is a Secret in the API is a file here.
  const bridge: MqttBridge = {
    apiVersion: "mqtt.cortado.dev/v1alpha1",
    kind: "MqttBridge",
    metadata: { name, namespace: "bridges" },
    spec: {
      ...spec,
      ...(password === undefined ? {} : { passwordSecret: { name: "files" } }),
      ...(tls === undefined
        ? {}
        : {
            tls: {
              secretName: "files",
              ...(serverName === undefined ? {} : { serverName }),
              ...(alpn === undefined ? {} : { alpn }),
              ...(insecureSkipVerify === undefined ? {} : { insecureSkipVerify }),
            },
          }),
    },
  };
  try {
    const secret = { apiVersion: "v1", kind: "Secret", metadata: { name: "files" }, data } as const;
    return { ...toSettings(bridge, { store: host, secret: () => secret }), name };
  } catch (error) {
    if (error instanceof StatusError)
      throw new StatusError(error.reason, `bridge ${name}: ${error.message}`, { cause: error });
    throw error;
  }
}

const base64 = (text: string): string => Buffer.from(text).toString("base64");
