import type { Files } from "@cortado/std/files";
import type { Random } from "@cortado/std/random";

/** A secret of this store, made at the first start and kept in a file that only its owner may read. */
export async function ownSecret(
  path: string,
  { files, random }: { readonly files: Files; readonly random: Random },
): Promise<string> {
  const found = await files.read(path);
  if (found !== undefined) return new TextDecoder().decode(found);
  const secret = Buffer.from(random.bytes(24)).toString("base64url");
  await files.replace(path, new TextEncoder().encode(secret));
  return secret;
}
