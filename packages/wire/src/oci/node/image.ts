import { createHash } from "node:crypto";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { assert } from "@cortado/std/assert";
import { tarEntry, tarEnd, writeTar, type TarEntry } from "../../tar/tar.ts";
import { pauseElf, type Architecture } from "../pause-elf.ts";

export { pauseElf, type Architecture } from "../pause-elf.ts";
export { writeTar, readTar, type TarEntry } from "../../tar/tar.ts";

export type Compression = "zstd" | "gzip" | "none";

/** A layer ready to be put into any number of images: equal layers are stored once by containerd, by digest. */
export type Layer = {
  readonly mediaType: string;
  readonly bytes: Uint8Array;
  readonly digest: string;
  /** The digest of the uncompressed tar, which the image's configuration names. */
  readonly diffId: string;
};

/** What runs in the image; fields as the OCI image configuration has them. */
export type ImageConfig = {
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env?: readonly string[];
  readonly WorkingDir?: string;
  readonly User?: string;
  readonly ExposedPorts?: Readonly<Record<string, Readonly<Record<string, never>>>>;
  readonly Labels?: Readonly<Record<string, string>>;
};

export type OciImage = {
  /** The full name, as `cortado.local/order:1`. */
  readonly name: string;
  readonly layers: readonly Layer[];
  readonly config: ImageConfig;
  readonly architecture: Architecture;
};

/** A layer of these files. */
export function newLayer(entries: Iterable<TarEntry>, options: { readonly compression: Compression }): Layer {
  return layerFromTar(writeTar(entries), options);
}

/** A layer from a tar that is there already. */
export function layerFromTar(tar: Uint8Array, options: { readonly compression: Compression }): Layer {
  const bytes = compress(tar, options.compression);
  const suffix = options.compression === "none" ? "" : `+${options.compression}`;
  return {
    mediaType: `application/vnd.oci.image.layer.v1.tar${suffix}`,
    bytes,
    digest: digestOf(bytes),
    diffId: digestOf(tar),
  };
}

export type OciTar = {
  /** The archive in order; write the parts one after the other (large layers are not copied). */
  readonly parts: readonly Uint8Array[];
  /** The manifest's digest: equal content, equal digest. */
  readonly digest: string;
};

/** Several images as one OCI layout in a tar, which `ctr images import` takes; shared layers are written once. */
export function writeOciTar(images: readonly OciImage[]): OciTar {
  assert(images.length > 0, "an archive holds at least one image");
  const blobs = new Map<string, Uint8Array>();
  const manifests = images.map((image) => addImage(image, blobs));
  const index = json({ schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests });
  const parts: Uint8Array[] = [
    tarEntry({ name: "oci-layout", data: json({ imageLayoutVersion: "1.0.0" }) }),
    tarEntry({ name: "index.json", data: index }),
    tarEntry({ name: "blobs/", mode: 0o755, type: "folder" }),
    tarEntry({ name: "blobs/sha256/", mode: 0o755, type: "folder" }),
  ];
  for (const [digest, data] of blobs)
    parts.push(tarEntry({ name: `blobs/sha256/${digest.slice("sha256:".length)}`, data }));
  parts.push(tarEnd());
  return { parts, digest: digestOf(index) };
}

/** The image of a pod's first container. */
export function pauseImage(options: {
  readonly name: string;
  readonly architecture: Architecture;
}): OciImage {
  const entry: TarEntry = { name: "pause", mode: 0o755, data: pauseElf(options.architecture) };
  return {
    ...options,
    layers: [newLayer([entry], { compression: "none" })],
    config: { Entrypoint: ["/pause"] },
  };
}

const goNames: Readonly<Record<Architecture, string>> = { x64: "amd64", arm64: "arm64" };

function addImage(image: OciImage, blobs: Map<string, Uint8Array>): object {
  const architecture = goNames[image.architecture];
  const config = json({
    architecture,
    os: "linux",
    config: image.config,
    rootfs: { type: "layers", diff_ids: image.layers.map((layer) => layer.diffId) },
  });
  for (const layer of image.layers) blobs.set(layer.digest, layer.bytes);
  const manifest = json({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: descriptor("application/vnd.oci.image.config.v1+json", config),
    layers: image.layers.map((layer) => descriptor(layer.mediaType, layer.bytes)),
  });
  blobs.set(digestOf(config), config);
  blobs.set(digestOf(manifest), manifest);
  return {
    ...descriptor("application/vnd.oci.image.manifest.v1+json", manifest),
    platform: { architecture, os: "linux" },
    annotations: {
      "io.containerd.image.name": image.name,
      "org.opencontainers.image.ref.name": image.name.slice(image.name.lastIndexOf(":") + 1),
    },
  };
}

function descriptor(mediaType: string, bytes: Uint8Array): object {
  return { mediaType, digest: digestOf(bytes), size: bytes.byteLength };
}

function compress(tar: Uint8Array, compression: Compression): Uint8Array {
  if (compression === "none") return tar;
  return compression === "gzip" ? gzipSync(tar, { level: 6 }) : zstdCompressSync(tar);
}

function json(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
