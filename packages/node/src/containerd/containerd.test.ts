import assert from "node:assert/strict";
import { test } from "node:test";
import { cniConfig, containerdConfig, type ContainerdOptions, type ContainerdTraits } from "./containerd.ts";

const options: ContainerdOptions = {
  dataFolder: "/data",
  runFolder: "/run/c",
  pauseImage: "cortado.local/pause:1",
  podSubnet: "10.42.0.0/24",
  bridge: "cni0",
};
const traits: ContainerdTraits = {
  configVersion: 2,
  lacksSysResource: true,
  snapshotter: "overlayfs",
  cniFolder: "/usr/lib/cni",
};

test("containerd 1.x: one CRI section", () => {
  const text = containerdConfig(options, traits);
  for (const line of [
    "version = 2",
    'root = "/data/root"',
    'state = "/run/c/state"',
    'address = "/run/c/c.sock"',
    'sandbox_image = "cortado.local/pause:1"',
    "restrict_oom_score_adj = true",
    'conf_dir = "/data/cni"',
    "SystemdCgroup = false",
    'snapshotter = "overlayfs"',
  ])
    assert.ok(text.includes(line), line);
});

test("containerd 2.x: images and runtime apart", () => {
  const text = containerdConfig(options, {
    ...traits,
    configVersion: 3,
    lacksSysResource: false,
    snapshotter: "native",
  });
  for (const line of [
    "version = 3",
    "io.containerd.cri.v1.images",
    "io.containerd.cri.v1.runtime",
    'sandbox = "cortado.local/pause:1"',
    'bin_dirs = ["/usr/lib/cni"]',
    "restrict_oom_score_adj = false",
    'snapshotter = "native"',
  ])
    assert.ok(text.includes(line), line);
  assert.ok(!text.includes("sandbox_image"));
});

test("the pods' network", () => {
  const { plugins } = JSON.parse(cniConfig(options)) as {
    plugins: {
      type: string;
      bridge?: string;
      hairpinMode?: boolean;
      ipam?: { ranges: unknown; dataDir: string };
    }[];
  };
  assert.deepEqual(
    plugins.map(({ type }) => type),
    ["bridge", "portmap"],
  );
  assert.deepEqual(
    [plugins[0]?.bridge, plugins[0]?.hairpinMode, plugins[0]?.ipam?.ranges, plugins[0]?.ipam?.dataDir],
    ["cni0", true, [[{ subnet: "10.42.0.0/24" }]], "/run/c/ipam"],
  );
});
