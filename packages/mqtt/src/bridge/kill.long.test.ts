import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { dieTogether, serveSide } from "../testing/bridge-deaths.ts";

if (process.argv[2] === "side") await serveSide(process.argv[3] ?? "");
else
  test("kill -9 of both ends of a bridge under load: nothing acknowledged is lost, nothing comes twice", async () => {
    const folder = mkdtempSync(join(tmpdir(), "mqtt-bridge-kill-"));
    try {
      await dieTogether({
        file: import.meta.filename,
        rounds: Number(process.env["CORTADO_MQTT_ROUNDS"] ?? 4),
        disk: { begin: () => folder, end() {} },
      });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
