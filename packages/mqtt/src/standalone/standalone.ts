import { StatusError } from "@cortado/std/status";
import type { BridgeSettings } from "../bridge/settings.ts";
import { readAclFile } from "../mosquitto/acl-file.ts";
import type { LineNote } from "../mosquitto/lines.ts";
import { readPasswordFile } from "../mosquitto/password-file.ts";
import type { FileAccessRules, FileRules } from "./access.ts";
import { fileBridgeSettings, type FileBridge } from "./file-bridge.ts";
import { realmOf, type AccessSettings, type MqttSettings } from "./settings.ts";

export { importMosquittoConf, type Imported } from "../mosquitto/conf.ts";
export type { LineNote } from "../mosquitto/lines.ts";
export { FileAccess, type FileAccessRules, type FileRules } from "./access.ts";
export * from "./settings.ts";

/** Reads a file that the settings name. @throws what says that it is not there */
export type ReadFile = (path: string) => Promise<string>;

export const noteText = ({ file, line, message }: LineNote): string =>
  line === 0 ? `${file}: ${message}` : `${file}:${line}: ${message}`;

/** The rules that the files say, for all and for listeners with users of their own. @throws StatusError "Invalid" with each line that cannot be read */
export async function readAccess(settings: MqttSettings, read: ReadFile): Promise<FileRules> {
  const { clientIdPrefix, listeners } = settings;
  const realms = new Map<string, FileAccessRules>();
  for (const listener of listeners) {
    const realm = realmOf(listener);
    if (realm === undefined) continue;
    const { allowAnonymous = false, ...own } = listener;
    realms.set(realm, { ...(await readRules({ allowAnonymous, ...own }, read)), clientIdPrefix });
  }
  return { common: { ...(await readRules(settings, read)), clientIdPrefix }, realms };
}

async function readRules(
  { allowAnonymous, passwordFile, aclFile }: AccessSettings,
  read: ReadFile,
): Promise<Omit<FileAccessRules, "clientIdPrefix">> {
  const passwords =
    passwordFile === undefined ? undefined : readPasswordFile(await read(passwordFile), passwordFile);
  const acl = aclFile === undefined ? undefined : readAclFile(await read(aclFile), aclFile);
  const faults = [...(passwords?.faults ?? []), ...(acl?.faults ?? [])];
  if (faults.length > 0) throw new StatusError("Invalid", faults.map(noteText).join("\n"));
  return { allowAnonymous, passwords: passwords?.users, acl: acl?.acl };
}

/** Bridges of a settings file as a broker takes them. @throws StatusError "Invalid" naming bridge and field */
export async function readBridges(
  { bridges = [] }: MqttSettings,
  { host, read }: { readonly host: string; readonly read: ReadFile },
): Promise<readonly BridgeSettings[]> {
  return await Promise.all(bridges.map((entry) => readBridge(entry, { host, read })));
}

async function readBridge(
  bridge: FileBridge,
  { host, read }: { readonly host: string; readonly read: ReadFile },
): Promise<BridgeSettings> {
  const bytes = async (path: string): Promise<Uint8Array> => Buffer.from(await read(path));
  try {
    return await fileBridgeSettings(bridge, { host, read: bytes });
  } catch (error) {
    if (!(error instanceof StatusError) || error.message.startsWith(`bridge ${bridge.name}:`)) throw error;
    throw new StatusError(error.reason, `bridge ${bridge.name}: ${error.message}`, { cause: error });
  }
}
