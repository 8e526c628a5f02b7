import { chmod, chown, lstat, mkdir, open, readdir, realpath, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Container, PersistentVolumeSpec, Volume } from "@cortado/kinds";
import { StatusError } from "@cortado/std/status";
import { quantity } from "../quantity.ts";
import { expand, type EnvPair } from "../pods/env.ts";
import type { ContainerMount } from "../pods/container-config.ts";
import { specOf, type StoredPod } from "../pods/pod.ts";
import type { Sources } from "../sources.ts";
import { writeAtomically } from "./atomic-writer.ts";
import { isProjected, volumePayload, type PayloadOptions } from "./payload.ts";

/** Mounting needs a program of the system; it comes in by this port. */
export interface Mounter {
  mountTmpfs(folder: string, options: { readonly sizeBytes: number | undefined }): Promise<void>;
  /** No error when nothing is mounted there. */
  unmount(folder: string): Promise<void>;
}

export type VolumeRoots = {
  /** Survives a power cut: emptyDir, etc-hosts, termination messages. `DATA/kubelet/pods/UID`. */
  readonly podsFolder: string;
  /** Lost at a boot, best a tmpfs: files made of API objects, so that no secret lies on the disk. */
  readonly runFolder: string;
};

export type VolumesOptions = {
  readonly roots: VolumeRoots;
  readonly mounter: Mounter;
  readonly sources: Sources;
  readonly simulated: boolean;
};

/** Host paths of a pod's volumes, by volume name. */
export type MountedVolumes = ReadonlyMap<string, string>;

/** Makes, fills and removes the volumes of pods. */
export class Volumes {
  readonly #options: VolumesOptions;

  constructor(options: VolumesOptions) {
    this.#options = options;
  }

  podFolder(uid: string): string {
    return join(this.#options.roots.podsFolder, uid);
  }

  /** Makes every volume; may be called again at any time. @throws StatusError that names the volume and what it lacks */
  async mount(pod: StoredPod, options: PayloadOptions): Promise<MountedVolumes> {
    const mounted = new Map<string, string>();
    for (const volume of specOf(pod).volumes ?? []) {
      try {
        mounted.set(volume.name, await this.#mountOne(volume, pod, options));
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        throw new StatusError(
          error instanceof StatusError ? error.reason : "InternalError",
          `MountVolume.SetUp failed for volume ${JSON.stringify(volume.name)} : ${message}`,
          { cause: error },
        );
      }
    }
    return mounted;
  }

  /** Writes anew what comes from API objects. */
  async refresh(pod: StoredPod, options: PayloadOptions): Promise<void> {
    for (const volume of specOf(pod).volumes ?? [])
      if (isProjected(volume)) await this.#mountOne(volume, pod, options);
  }

  /** Removes all that the pod had of its own. */
  async remove(uid: string): Promise<void> {
    if (this.#options.simulated) return;
    const folder = this.podFolder(uid);
    const memory = join(folder, "volumes", "kubernetes.io~empty-dir");
    for (const name of await readdir(memory).catch(() => []))
      await this.#options.mounter.unmount(join(memory, name));
    await rm(folder, { recursive: true, force: true });
    await rm(join(this.#options.roots.runFolder, uid), { recursive: true, force: true });
  }

  /** Uids that still have a folder. */
  async podUids(): Promise<readonly string[]> {
    if (this.#options.simulated) return [];
    const { podsFolder, runFolder } = this.#options.roots;
    const [lasting, running] = await Promise.all(
      [podsFolder, runFolder].map((folder) => readdir(folder).catch(() => [] as string[])),
    );
    return [...new Set([...(lasting ?? []), ...(running ?? [])])];
  }

  async #mountOne(volume: Volume, pod: StoredPod, options: PayloadOptions): Promise<string> {
    const group = specOf(pod).securityContext?.fsGroup;
    if (isProjected(volume)) {
      const folder = join(this.#options.roots.runFolder, pod.metadata.uid, "volumes", volume.name);
      const payload = await volumePayload(volume, options);
      if (!this.#options.simulated) await writeAtomically({ folder, payload, group });
      return folder;
    }
    if (this.#options.simulated) return this.podFolder(pod.metadata.uid);
    if (volume.emptyDir !== undefined) return this.#emptyDir(volume, pod, group);
    if (volume.hostPath !== undefined) return hostPath(volume.hostPath);
    if (volume.persistentVolumeClaim !== undefined)
      return this.#claimed(volume.persistentVolumeClaim.claimName, pod, group);
    if (volume.ephemeral !== undefined)
      return this.#claimed(`${pod.metadata.name}-${volume.name}`, pod, group);
    const kind = Object.keys(volume).find((key) => key !== "name") ?? "nothing";
    throw new StatusError("NotImplemented", `volumes of kind ${kind} are not offered by this node`);
  }

  async #emptyDir(volume: Volume, pod: StoredPod, group: number | undefined): Promise<string> {
    const folder = join(this.podFolder(pod.metadata.uid), "volumes", "kubernetes.io~empty-dir", volume.name);
    const isNew = (await lstat(folder).catch(() => undefined)) === undefined;
    await mkdir(folder, { recursive: true });
    const inMemory = volume.emptyDir?.medium === "Memory";
    if (inMemory && !(await isMountPoint(folder))) {
      const sizeBytes = quantity(volume.emptyDir?.sizeLimit);
      await this.#options.mounter.mountTmpfs(folder, { sizeBytes: sizeBytes > 0 ? sizeBytes : undefined });
      await chmod(folder, 0o777);
      await own({ folder, group });
    } else if (isNew) {
      await chmod(folder, 0o777);
      await own({ folder, group });
    }
    return folder;
  }

  async #claimed(claimName: string, pod: StoredPod, group: number | undefined): Promise<string> {
    const { sources } = this.#options;
    const claim = await sources.claim(pod.metadata.namespace ?? "", claimName);
    if (claim === undefined)
      throw new StatusError("NotFound", `persistentvolumeclaim ${JSON.stringify(claimName)} not found`);
    const volumeName = claim.spec?.volumeName;
    if (volumeName === undefined || claim.status?.phase !== "Bound")
      throw new StatusError(
        "ServiceUnavailable",
        `persistentvolumeclaim ${JSON.stringify(claimName)} is not bound yet`,
      );
    const volume = await sources.volume(volumeName);
    if (volume?.spec === undefined)
      throw new StatusError("NotFound", `persistentvolume ${JSON.stringify(volumeName)} not found`);
    return persistentPath(volume.spec, volumeName, group);
  }
}

async function persistentPath(
  spec: PersistentVolumeSpec,
  name: string,
  group: number | undefined,
): Promise<string> {
  const folder = spec.hostPath === undefined ? spec.local?.path : await hostPath(spec.hostPath);
  if (folder === undefined)
    throw new StatusError(
      "NotImplemented",
      `persistentvolume ${name} is neither hostPath nor local; this node mounts no other kind`,
    );
  if ((await stat(folder).catch(() => undefined)) === undefined)
    throw new StatusError("NotFound", `persistentvolume ${name}: its folder ${folder} is not there`);
  await own({ folder, group });
  return folder;
}

async function hostPath({
  path,
  type = "",
}: {
  readonly path: string;
  readonly type?: string;
}): Promise<string> {
  if (type === "DirectoryOrCreate") await mkdir(path, { recursive: true, mode: 0o755 });
  if (type === "FileOrCreate") {
    await mkdir(dirname(path), { recursive: true });
    await (await open(path, "a", 0o644)).close();
  }
  const there = await stat(path).catch(() => undefined);
  if (type === "") {
    // The runtime makes what is not there, as a folder.
    if (there === undefined) await mkdir(path, { recursive: true, mode: 0o755 });
    return path;
  }
  const right: Readonly<Record<string, boolean | undefined>> = {
    Directory: there?.isDirectory(),
    DirectoryOrCreate: there?.isDirectory(),
    File: there?.isFile(),
    FileOrCreate: there?.isFile(),
    Socket: there?.isSocket(),
    CharDevice: there?.isCharacterDevice(),
    BlockDevice: there?.isBlockDevice(),
  };
  if (right[type] !== true)
    throw new StatusError(
      "BadRequest",
      `hostPath type check failed: ${path} is not a ${type.replace("OrCreate", "").toLowerCase()}`,
    );
  return path;
}

// Best effort: the folder and what is in it become the group's, and new files in it too.
async function own({
  folder,
  group,
}: {
  readonly folder: string;
  readonly group: number | undefined;
}): Promise<void> {
  if (group === undefined) return;
  const { gid, mode } = await stat(folder);
  if (gid === group && (mode & 0o2070) === 0o2070) return; // "OnRootMismatch", as a whole disk would take long
  await ownTree(folder, group);
}

async function ownTree(path: string, group: number): Promise<void> {
  const entry = await lstat(path);
  if (entry.isSymbolicLink()) return;
  await chown(path, entry.uid, group);
  if (!entry.isDirectory()) {
    await chmod(path, (entry.mode & 0o7777) | 0o660);
    return;
  }
  await chmod(path, (entry.mode & 0o7777) | 0o2770);
  for (const name of await readdir(path)) await ownTree(join(path, name), group);
}

async function isMountPoint(folder: string): Promise<boolean> {
  const [inner, outer] = await Promise.all([stat(folder), stat(dirname(folder))]);
  return inner.dev !== outer.dev;
}

const propagations: Readonly<Record<string, number>> = { None: 0, HostToContainer: 1, Bidirectional: 2 };

export type MountOptions = {
  readonly container: Container;
  readonly volumes: MountedVolumes;
  readonly env: readonly EnvPair[];
};

/** The mounts of one container. @throws StatusError for a volume that is not there or a subPath that climbs out of it */
export async function containerMounts({
  container,
  volumes,
  env,
}: MountOptions): Promise<readonly ContainerMount[]> {
  const known = new Map(env.map(({ key, value }) => [key, value]));
  const mounts: ContainerMount[] = [];
  for (const mount of container.volumeMounts ?? []) {
    const root = volumes.get(mount.name);
    if (root === undefined)
      throw new StatusError(
        "NotFound",
        `container ${container.name} mounts volume ${mount.name}, which the pod does not have`,
      );
    const below = mount.subPathExpr === undefined ? (mount.subPath ?? "") : expand(mount.subPathExpr, known);
    mounts.push({
      containerPath: mount.mountPath.startsWith("/") ? mount.mountPath : `/${mount.mountPath}`,
      hostPath: below === "" ? root : await subPath(root, below),
      readonly: mount.readOnly ?? false,
      propagation: propagations[mount.mountPropagation ?? "None"] ?? 0,
    });
  }
  return mounts;
}

async function subPath(root: string, below: string): Promise<string> {
  if (below.startsWith("/") || below.split("/").includes(".."))
    throw new StatusError("BadRequest", `subPath ${below} climbs out of its volume`);
  const wanted = join(root, below);
  if ((await stat(wanted).catch(() => undefined)) === undefined) {
    await mkdir(wanted, { recursive: true, mode: 0o750 });
    await chmod(wanted, (await stat(root)).mode & 0o7777);
  }
  // A link inside the volume must not lead out of it; the real path is mounted, so that it cannot be swapped afterwards.
  const [realRoot, real] = await Promise.all([realpath(root), realpath(wanted)]);
  if (real !== realRoot && !real.startsWith(`${realRoot}/`))
    throw new StatusError("BadRequest", `subPath ${below} leads out of its volume`);
  return real;
}
