import { createHash, createHmac, pbkdf2Sync } from "node:crypto";

/** The client's side of SCRAM-SHA-256, written from RFC 5802 by itself so that it can differ from the broker's. */
export class ScramClient {
  readonly #name: string;
  readonly #password: string;
  readonly #header: string;
  readonly #nonce: string;
  #verified = "";

  constructor(options: {
    readonly name: string;
    readonly password: string;
    readonly nonce?: string;
    readonly header?: string;
  }) {
    this.#name = options.name.replaceAll("=", "=3D").replaceAll(",", "=2C");
    this.#password = options.password;
    this.#header = options.header ?? "n,,";
    this.#nonce = options.nonce ?? "rOprNGfwEbeRWgbNEkqO";
  }

  get first(): Buffer {
    return Buffer.from(`${this.#header}n=${this.#name},r=${this.#nonce}`);
  }

  last(serverFirst: Uint8Array): Buffer {
    const said = Buffer.from(serverFirst).toString();
    const [nonce = "", salt = "", iterations = ""] = said.split(",").map((part) => part.slice(2));
    if (!nonce.startsWith(this.#nonce)) throw new Error("the server's nonce is not behind ours");
    const salted = pbkdf2Sync(this.#password, Buffer.from(salt, "base64"), Number(iterations), 32, "sha256");
    const mac = (key: Buffer, text: string): Buffer => createHmac("sha256", key).update(text).digest();
    const clientKey = mac(salted, "Client Key");
    const storedKey = createHash("sha256").update(clientKey).digest();
    const binding = `c=${Buffer.from(this.#header).toString("base64")},r=${nonce}`;
    const message = `n=${this.#name},r=${this.#nonce},${said},${binding}`;
    const signature = mac(storedKey, message);
    const proof = Buffer.from(clientKey.map((byte, at) => byte ^ (signature[at] ?? 0)));
    this.#verified = `v=${mac(mac(salted, "Server Key"), message).toString("base64")}`;
    return Buffer.from(`${binding},p=${proof.toString("base64")}`);
  }

  /** Whether the server knows the password too. */
  isSatisfied(serverLast: Uint8Array | undefined): boolean {
    return this.#verified !== "" && Buffer.from(serverLast ?? []).toString() === this.#verified;
  }
}
