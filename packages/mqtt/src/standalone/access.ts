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

export class FileAccess {
  #rules: FileAccessRules;

  constructor(rules: FileAccessRules) {
    this.#rules = rules;
  }

  set rules(rules: FileAccessRules) {
    this.#rules = rules;
  }

  readonly authenticate: Authenticate = async (credentials) => {
    const { clientIdPrefix } = this.#rules;
    if (clientIdPrefix !== undefined && !credentials.clientId.startsWith(clientIdPrefix)) return undefined;
    return await this.#nameOf(credentials);
  };

  async #nameOf({ username, password }: Credentials): Promise<{ readonly user: string } | undefined> {
    const { allowAnonymous, passwords } = this.#rules;
    if (username === undefined) return allowAnonymous ? { user: "" } : undefined;
    if (passwords === undefined) return allowAnonymous ? { user: username } : undefined;
    const given = { user: username, password: password ?? new Uint8Array() };
    return (await passwordFits(passwords, given)) ? { user: username } : undefined;
  }

  /** As at mosquitto a subscription is not refused: what it may not read does not come. */
  readonly authorize = ({ user, clientId, action, topic }: Access): boolean =>
    action === "subscribe" || this.#may({ user, clientId }, "write", topic);

  readonly mayRead = (client: { readonly user: string; readonly clientId: string }, topic: string): boolean =>
    this.#may(client, "read", topic);

  #may(
    { user, clientId }: { readonly user: string; readonly clientId: string },
    access: "read" | "write",
    topic: string,
  ): boolean {
    const { acl } = this.#rules;
    return (
      acl === undefined || aclAllows(acl, { user: user === "" ? undefined : user, clientId, access, topic })
    );
  }
}
