import { StatusError } from "@cortado/std/status";
import type { Tree } from "@cortado/kinds/tree";

/** @throws StatusError "UnsupportedMediaType" */
export function decodeProtobufBody(_body: Uint8Array): Tree {
  throw new StatusError("UnsupportedMediaType", "protobuf bodies need the generated descriptors; run the generator");
}
