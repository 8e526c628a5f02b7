import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { newLayer, pauseImage, writeOciTar, type TarEntry } from "@cortado/wire/oci";

export const busyboxImage = "cortado.local/busybox:1";

/** An archive with the pause image and one of busybox, both made here. */
export function testImages(): Uint8Array {
  const applets = execFileSync("/bin/busybox", ["--list"], { encoding: "utf8" }).trim().split("\n");
  const entries: TarEntry[] = [
    { name: "bin/", type: "folder", mode: 0o755 },
    { name: "tmp/", type: "folder", mode: 0o1777 },
    { name: "etc/", type: "folder", mode: 0o755 },
    { name: "etc/passwd", data: Buffer.from("root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n") },
    { name: "bin/busybox", mode: 0o755, data: readFileSync("/bin/busybox") },
    ...applets
      .filter((name) => name !== "busybox")
      .map((name) => ({ name: `bin/${name}`, type: "hardlink" as const, link: "bin/busybox", mode: 0o755 })),
  ];
  const architecture = process.arch === "arm64" ? "arm64" : "x64";
  const busybox = {
    name: busyboxImage,
    layers: [newLayer(entries, { compression: "zstd" })],
    config: { Cmd: ["sh"], Env: ["PATH=/bin"] },
    architecture,
  } as const;
  return Buffer.concat(
    writeOciTar([pauseImage({ name: "cortado.local/pause:1", architecture }), busybox]).parts,
  );
}
