const { latin1Slice } = Buffer.prototype as unknown as {
  readonly latin1Slice: (this: Uint8Array, start: number, end: number) => string;
};

/** Bytes as text where all of them are ASCII and none is 0, as in nearly every topic; undefined: they are to be decoded as UTF-8. */
export function asciiText(bytes: Uint8Array, start: number, end: number): string | undefined {
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at] ?? 0;
    if (byte === 0 || byte > 0x7f) return undefined;
  }
  return latin1Slice.call(bytes, start, end);
}
