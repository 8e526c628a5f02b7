import { StatusError } from "@cortado/std/status";

/** One message between us and an interpreter: a JSON head and bytes. */
export type Frame = { readonly head: Readonly<Record<string, unknown>>; readonly body: Uint8Array };

const PREFIX_BYTES = 8;

/** Two big-endian lengths, the head as JSON, the body. */
export function encodeFrame({ head, body }: Frame): Uint8Array {
  const json = Buffer.from(JSON.stringify(head));
  const bytes = Buffer.allocUnsafe(PREFIX_BYTES + json.byteLength + body.byteLength);
  bytes.writeUInt32BE(json.byteLength, 0);
  bytes.writeUInt32BE(body.byteLength, 4);
  json.copy(bytes, PREFIX_BYTES);
  bytes.set(body, PREFIX_BYTES + json.byteLength);
  return bytes;
}

/** Cuts a stream into frames. What comes from an interpreter is not trusted: lengths are checked before anything is kept. */
export class FrameDecoder {
  #chunks: Buffer[] = [];
  #held = 0;
  readonly #bytesMax: number;

  constructor({ bytesMax }: { readonly bytesMax: number }) {
    this.#bytesMax = bytesMax;
  }

  /** @throws StatusError "BadGateway" for what is no frame */
  push(chunk: Buffer): readonly Frame[] {
    this.#chunks.push(chunk);
    this.#held += chunk.byteLength;
    const frames: Frame[] = [];
    while (this.#held >= PREFIX_BYTES) {
      const bytes = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
      this.#chunks = [bytes];
      const headBytes = bytes.readUInt32BE(0);
      const bodyBytes = bytes.readUInt32BE(4);
      if (headBytes + bodyBytes > this.#bytesMax)
        throw new StatusError("BadGateway", `its answer is over ${this.#bytesMax} bytes`);
      const end = PREFIX_BYTES + headBytes + bodyBytes;
      if (bytes.byteLength < end) break;
      frames.push({
        head: parseHead(bytes.subarray(PREFIX_BYTES, PREFIX_BYTES + headBytes)),
        body: bytes.subarray(PREFIX_BYTES + headBytes, end),
      });
      this.#chunks = [bytes.subarray(end)];
      this.#held = bytes.byteLength - end;
    }
    return frames;
  }
}

function parseHead(bytes: Buffer): Frame["head"] {
  try {
    const head = JSON.parse(bytes.toString()) as unknown;
    if (typeof head === "object" && head !== null) return head as Frame["head"];
  } catch {
    // falls through to the one error
  }
  throw new StatusError("BadGateway", "it sent what is no answer");
}
