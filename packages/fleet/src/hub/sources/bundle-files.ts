import { gunzipSync, gzipSync } from "node:zlib";
import type { BundleResource } from "@cortado/kinds/fleet";
import { StatusError } from "@cortado/std/status";
import type { BundleFile } from "../../compile/bundle.ts";

const packed = "base64+gz";

/** Files as `spec.resources` has them: text as it is, everything else packed (fleet.md 1.3). */
export function toResources(files: readonly BundleFile[]): BundleResource[] {
  return files.map(({ name, content }) => {
    const text = textOf(content);
    return text === undefined
      ? { name, content: Buffer.from(gzipSync(content)).toString("base64"), encoding: packed }
      : { name, content: text };
  });
}

function textOf(content: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(content);
    return text.includes("\0") ? undefined : text;
  } catch {
    return undefined;
  }
}

/** @throws StatusError "Invalid" that names the file; "RequestEntityTooLarge" when it unpacks to more than `bytesMax` */
export function toFiles(
  resources: readonly BundleResource[],
  { bytesMax }: { readonly bytesMax: number },
): readonly BundleFile[] {
  return resources.map(({ name, content, encoding = "" }) => {
    if (encoding === "") return { name, content: new TextEncoder().encode(content) };
    if (encoding !== packed)
      throw new StatusError(
        "Invalid",
        `resource ${name}: encoding ${encoding} is not known; use "" or ${packed}`,
      );
    return { name, content: unpack(name, content, bytesMax) };
  });
}

function unpack(name: string, content: string, bytesMax: number): Uint8Array {
  try {
    return gunzipSync(Buffer.from(content, "base64"), { maxOutputLength: bytesMax });
  } catch (cause) {
    const isLarge = (cause as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE";
    throw new StatusError(
      isLarge ? "RequestEntityTooLarge" : "Invalid",
      isLarge
        ? `resource ${name} unpacks to more than ${bytesMax} bytes; split it`
        : `resource ${name} is not ${packed}; pack it again`,
      { cause },
    );
  }
}
