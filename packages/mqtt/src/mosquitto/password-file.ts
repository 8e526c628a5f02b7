import { createHash, pbkdf2, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import type { LineNote } from "./lines.ts";

const derive = promisify(pbkdf2);
/** mosquitto_passwd takes up to 10,000,000; a file must not hold up a login for minutes. */
const ITERATIONS_MAX = 10_000_000;

type Hash = {
  readonly salt: Buffer;
  readonly digest: Buffer;
  /** Undefined: one SHA-512 of password and salt, as mosquitto had it before 2.0. */
  readonly iterations: number | undefined;
};

/** Users of a password_file of mosquitto's. */
export type PasswordFile = ReadonlyMap<string, Hash>;

/** Reads a password_file (mosquitto_passwd): `USER:$7$ITERATIONS$SALT$HASH` or `USER:$6$SALT$HASH`. */
export function readPasswordFile(
  text: string,
  file: string,
): { readonly users: PasswordFile; readonly faults: readonly LineNote[] } {
  const users = new Map<string, Hash>();
  const faults: LineNote[] = [];
  for (const [at, whole] of text.split(/\r?\n/).entries()) {
    if (whole.trim() === "" || whole.startsWith("#")) continue;
    const colon = whole.indexOf(":");
    const user = whole.slice(0, Math.max(0, colon));
    const hash = colon < 0 ? "there is no colon" : readHash(whole.slice(colon + 1).trim());
    // Neither the line nor its hash is repeated: it would be in a log.
    if (typeof hash === "string") faults.push({ file, line: at + 1, message: hash });
    else if (user === "") faults.push({ file, line: at + 1, message: "there is no user name" });
    else users.set(user, hash);
  }
  return { users, faults };
}

function readHash(text: string): Hash | string {
  const [empty, kind, ...rest] = text.split("$");
  if (empty !== "" || (kind !== "6" && kind !== "7"))
    return "the password is no hash of $6$ or $7$; make one with mosquitto_passwd -U FILE";
  const iterations = kind === "7" ? Number(rest.shift()) : undefined;
  const [salt, digest] = rest.map((part) => Buffer.from(part, "base64"));
  if (
    iterations !== undefined &&
    !(Number.isSafeInteger(iterations) && iterations > 0 && iterations <= ITERATIONS_MAX)
  )
    return `the iterations are not a number from 1 to ${ITERATIONS_MAX}`;
  if (salt === undefined || digest?.length !== 64) return "the hash is not 64 bytes of base64 behind a salt";
  return { salt, digest, iterations };
}

/** Whether it is the user's password; as long for a user that does not exist. */
export async function passwordFits(
  users: PasswordFile,
  { user, password }: { readonly user: string; readonly password: Uint8Array },
): Promise<boolean> {
  const known = users.get(user);
  const { salt, digest, iterations } = known ?? nobody;
  const given =
    iterations === undefined
      ? createHash("sha512").update(password).update(salt).digest()
      : await derive(password, salt, iterations, 64, "sha512");
  return timingSafeEqual(given, digest) && known !== undefined;
}

const nobody: Hash = { salt: Buffer.alloc(12), digest: Buffer.alloc(64), iterations: 101 };
