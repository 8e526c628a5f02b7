import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { HubProcess } from "./hub-process.ts";

export const nameOf = (bundle: number): string => `b${String(bundle).padStart(2, "0")}`;

/** Files of so many bundles of one ConfigMap each, and one more that only labelled stores get. */
export function writeRepository(folder: string, bundles: number): void {
  for (let bundle = 0; bundle < bundles; bundle += 1)
    writeBundle(folder, `all/${nameOf(bundle)}`, nameOf(bundle));
  writeBundle(folder, "some/labelled", "labelled");
}

function writeBundle(folder: string, path: string, name: string): void {
  mkdirSync(join(folder, path), { recursive: true });
  writeFileSync(join(folder, path, "fleet.yaml"), `name: ${name}\nnamespace: bench\n`);
  writeFileSync(join(folder, path, "config.yaml"), configMap(name, "1"));
}

function configMap(name: string, value: string): string {
  return `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: ${name} }\ndata: { value: "${value}" }\n`;
}

/** Pushes one small change of one bundle with stock git. */
export function pushChange(hub: HubProcess, bundle: string, value: string): void {
  const work = join(hub.folder, `work-${value}`);
  const url = `${hub.url.replace("https://", `https://admin:${hub.password}@`)}/git/coffee-shop.git`;
  const git = (...words: readonly string[]): void => {
    const who = [
      "-c",
      "user.name=Bench",
      "-c",
      "user.email=bench@example.test",
      "-c",
      "http.sslVerify=false",
    ];
    execFileSync("git", [...who, ...words], { stdio: ["ignore", "ignore", "pipe"] });
  };
  git("clone", "--quiet", url, work);
  writeFileSync(join(work, "all", bundle, "config.yaml"), configMap(bundle, value));
  git("-C", work, "commit", "--quiet", "-am", `value ${value}`);
  git("-C", work, "push", "--quiet");
}
