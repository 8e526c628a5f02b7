/**
 * The same text in one piece. What is put together of others, or cut out of one, holds these for as long as it lives: worth it for texts that
 * are kept by the ten thousand.
 */
export function flatText(text: string): string {
  return decoder.decode(encoder.encode(text));
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
