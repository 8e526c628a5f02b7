/** Numbers of stores as base64 of a bitmap, least bit first. */
export function toBitmap(indices: readonly number[]): string {
  const bytes = new Uint8Array(Math.floor(Math.max(-1, ...indices) / 8) + 1);
  for (const index of indices) bytes[index >> 3] = (bytes[index >> 3] as number) | (1 << (index & 7));
  return Buffer.from(bytes).toString("base64");
}

export function fromBitmap(text: string): readonly number[] {
  const indices: number[] = [];
  for (const [at, byte] of Buffer.from(text, "base64").entries())
    for (let bit = 0; bit < 8; bit += 1) if ((byte & (1 << bit)) !== 0) indices.push(at * 8 + bit);
  return indices;
}
