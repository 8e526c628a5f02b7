/**
 * MQTT 3.1.1 has no properties, and a packet id means nothing after a reconnect. A stamped connection, which only our own
 * processes ask for, therefore gets before each payload what names the message for ever: the broker's id (8 characters), the
 * message's sequence and the time the broker took it (doubles).
 */
export type Stamp = {
  readonly broker: string;
  /** 0 for a QoS 0 message, which is not stored and has no number. */
  readonly sequence: number;
  readonly atMs: number;
};

export const STAMP_BYTES = 24;

export function putStamp(payload: Uint8Array, { broker, sequence, atMs }: Stamp): Uint8Array {
  const stamped = new Uint8Array(STAMP_BYTES + payload.byteLength);
  for (let at = 0; at < 8; at += 1) stamped[at] = broker.charCodeAt(at) & 0x7f;
  const view = new DataView(stamped.buffer);
  view.setFloat64(8, sequence);
  view.setFloat64(16, atMs);
  stamped.set(payload, STAMP_BYTES);
  return stamped;
}

export function takeStamp(stamped: Uint8Array): { readonly stamp: Stamp; readonly payload: Uint8Array } {
  const view = new DataView(stamped.buffer, stamped.byteOffset, stamped.byteLength);
  const broker = String.fromCharCode(...stamped.subarray(0, 8));
  return {
    stamp: { broker, sequence: view.getFloat64(8), atMs: view.getFloat64(16) },
    payload: stamped.subarray(STAMP_BYTES),
  };
}
