import { StatusError } from "@cortado/std/status";
import type { Access, Authenticate, Credentials } from "../broker/access.ts";
import { aclAllows, type AclFile } from "../mosquitto/acl-file.ts";
import { passwordFits, type PasswordFile } from "../mosquitto/password-file.ts";

/** Who may come and what they may do, as mosquitto's files say; they may be read anew while the broker runs. */
export type FileAccessRules = {
  readonly allowAnonymous: boolean;
  readonly clientIdPrefix: string | undefined;
  /** Absent: any name and password is taken, where nameless clients are too. */
  readonly passwords: PasswordFile | undefined;
  /** Absent: all is allowed. */
  readonly acl: AclFile | undefined;
};

export type FileRules = {
  readonly common: FileAccessRules;
  /** Of listeners with users of their own, by their realm. */
  readonly realms: ReadonlyMap<string, FileAccessRules>;
};

type Named = { readonly user: string; readonly clientId: string };

export class FileAccess {
  #rules: FileRules;

  constructor(rules: FileRules) {
    this.#rules = rules;
  }

  /** @throws StatusError "Invalid" when other listeners than before have users of their own */
  replace(rules: FileRules): void {
    const [known, next] = [this.#rules, rules].map(({ realms }) => [...realms.keys()].toSorted().join(", "));
    if (known !== next)
      throw new StatusError(
        "Invalid",
        `listeners with users of their own were ${known || "none"} and are ${next || "none"} now: that needs a start`,
      );
    this.#rules = rules;
  }

  readonly authenticate: Authenticate = async (credentials) => {
    const { common, realms } = this.#rules;
    const { realm, clientId } = credentials;
    const rules = realm === undefined ? common : realms.get(realm);
    if (rules === undefined) return undefined;
    const { clientIdPrefix } = rules;
    if (clientIdPrefix !== undefined && !clientId.startsWith(clientIdPrefix)) return undefined;
    const found = await nameOf(credentials, rules);
    // Nobody may call himself as the users of another listener are called.
    return found !== undefined && realm === undefined && this.#realmIn(found.user) !== undefined
      ? undefined
      : found;
  };

  /** As at mosquitto a subscription is not refused: what it may not read does not come. */
  readonly authorize = ({ user, clientId, action, topic }: Access): boolean =>
    action === "subscribe" || this.#may({ user, clientId }, "write", topic);

  readonly mayRead = (client: Named, topic: string): boolean => this.#may(client, "read", topic);

  #realmIn(user: string): string | undefined {
    const { realms } = this.#rules;
    if (realms.size === 0) return undefined;
    const at = user.lastIndexOf("@");
    const realm = at < 0 ? undefined : user.slice(at + 1);
    return realm !== undefined && realms.has(realm) ? realm : undefined;
  }

  #may({ user, clientId }: Named, access: "read" | "write", topic: string): boolean {
    const realm = this.#realmIn(user);
    const { common, realms } = this.#rules;
    const { acl } = (realm === undefined ? undefined : realms.get(realm)) ?? common;
    if (acl === undefined) return true;
    const name = realm === undefined ? user : user.slice(0, -realm.length - 1);
    return aclAllows(acl, { user: name === "" ? undefined : name, clientId, access, topic });
  }
}

async function nameOf(
  { username, password }: Credentials,
  { allowAnonymous, passwords }: FileAccessRules,
): Promise<{ readonly user: string } | undefined> {
  if (username === undefined) return allowAnonymous ? { user: "" } : undefined;
  if (passwords === undefined) return allowAnonymous ? { user: username } : undefined;
  const given = { user: username, password: password ?? new Uint8Array() };
  return (await passwordFits(passwords, given)) ? { user: username } : undefined;
}
