import { connect, type Socket } from "node:net";

/** As little MQTT 3.1.1 as a load needs, so that the load is not what is measured. */

function lengthBytes(length: number): number[] {
  const bytes: number[] = [];
  let rest = length;
  do {
    bytes.push(rest > 127 ? (rest & 127) | 128 : rest);
    rest = Math.floor(rest / 128);
  } while (rest > 0);
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([bytes.byteLength >> 8, bytes.byteLength & 255]), bytes]);
}

function packet(first: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([first, ...lengthBytes(body.byteLength)]), body]);
}

export function connectPacket(clientId: string, isClean: boolean): Buffer {
  return packet(0x10, text("MQTT"), Buffer.from([4, isClean ? 2 : 0, 0, 0]), text(clientId));
}

export function subscribePacket(filter: string, qos: 0 | 1): Buffer {
  return packet(0x82, Buffer.from([0, 1]), text(filter), Buffer.from([qos]));
}

/** A PUBLISH and where its packet id and payload stand in it. */
export type PublishFrame = { readonly bytes: Buffer; readonly idAt: number; readonly payloadAt: number };

export function publishPacket(of: {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: 0 | 1;
  readonly retain?: boolean;
}): PublishFrame {
  const { topic, payload, qos, retain = false } = of;
  const id = qos === 0 ? Buffer.alloc(0) : Buffer.from([0, 1]);
  const bytes = packet(0x30 | (qos << 1) | (retain ? 1 : 0), text(topic), id, payload);
  const payloadAt = bytes.byteLength - payload.byteLength;
  return { bytes, idAt: payloadAt - id.byteLength, payloadAt };
}

export type Heard = {
  /** Packet id of a QoS 1 publish, 0 for QoS 0; `payload` is a view that holds only during the call. */
  publish?(id: number, payload: Buffer): void;
  puback?(id: number): void;
  /** After each piece of what came. */
  read?(): void;
};

export class LoadClient {
  readonly socket: Socket;
  #rest: Buffer = Buffer.alloc(0);
  #heard: Heard = {};
  #answered: ((kind: number) => void) | undefined;
  #acks: number[] = [];

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("error", () => undefined);
    socket.on("data", (bytes: Buffer) => this.#take(bytes));
  }

  /** @throws Error when the broker does not take it within 30 s */
  static async open(port: number, clientId: string, isClean = true, heard: Heard = {}): Promise<LoadClient> {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    const client = new LoadClient(socket);
    client.#heard = heard;
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", () => resolve());
      socket.once("error", reject);
    });
    await client.#ask(connectPacket(clientId, isClean), 2);
    return client;
  }

  listen(heard: Heard): void {
    this.#heard = heard;
  }

  async subscribe(filter: string, qos: 0 | 1): Promise<void> {
    await this.#ask(subscribePacket(filter, qos), 9);
  }

  async #ask(bytes: Buffer, kind: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no packet ${kind} within 30 s`)), 30_000);
      this.#answered = (found) => {
        if (found !== kind) return;
        clearTimeout(timer);
        resolve();
      };
      this.socket.write(bytes);
    });
    this.#answered = undefined;
  }

  #take(bytes: Buffer): void {
    const held = this.#rest.byteLength === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    let at = 0;
    for (;;) {
      const next = this.#packetAt(held, at);
      if (next === at) break;
      at = next;
    }
    this.#rest = at === held.byteLength ? Buffer.alloc(0) : held.subarray(at);
    if (this.#acks.length > 0) this.#sendAcks();
    this.#heard.read?.();
  }

  /** Where the next packet begins; the same place when this one is not whole. */
  #packetAt(held: Buffer, at: number): number {
    let length = 0;
    let scale = 1;
    let bodyAt = at + 1;
    for (;;) {
      if (bodyAt >= held.byteLength) return at;
      const byte = held[bodyAt] as number;
      bodyAt += 1;
      length += (byte & 127) * scale;
      scale *= 128;
      if (byte < 128) break;
    }
    const end = bodyAt + length;
    if (end > held.byteLength) return at;
    const first = held[at] as number;
    const kind = first >> 4;
    if (kind === 3) this.#published(held, { first, bodyAt, end });
    else if (kind === 4) this.#heard.puback?.(held.readUInt16BE(bodyAt));
    else this.#answered?.(kind);
    return end;
  }

  #published(held: Buffer, { first, bodyAt, end }: { first: number; bodyAt: number; end: number }): void {
    const topicBytes = held.readUInt16BE(bodyAt);
    const isQos1 = (first & 6) === 2;
    const idAt = bodyAt + 2 + topicBytes;
    const id = isQos1 ? held.readUInt16BE(idAt) : 0;
    if (isQos1) this.#acks.push(id);
    this.#heard.publish?.(id, held.subarray(isQos1 ? idAt + 2 : idAt, end));
  }

  #sendAcks(): void {
    const bytes = Buffer.allocUnsafe(this.#acks.length * 4);
    for (const [index, id] of this.#acks.entries()) bytes.writeUInt32BE(0x40020000 + id, index * 4);
    this.#acks = [];
    this.socket.write(bytes);
  }
}
