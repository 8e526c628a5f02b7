import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Figure, Section } from "../report.ts";
import type { Wire } from "./wire-process.ts";

const DAY_S = 86_400;

/** Bytes of one store on the wire, in a network namespace that the measurement makes for itself. */
export async function benchWire(): Promise<Section> {
  const title = "Hub: one store on the wire";
  const program = [process.execPath, join(import.meta.dirname, "wire-process.ts")];
  try {
    const script = `ip link set lo up && exec ${program.map((word) => `'${word}'`).join(" ")}`;
    const { stdout } = await promisify(execFile)("unshare", ["--net", "sh", "-c", script], {
      timeout: 180_000,
    });
    const { beatBytes, changeBytes, callBytes } = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Wire;
    return { title, figures: figuresOf({ beatBytes, changeBytes, callBytes }), notes };
  } catch (error) {
    const why = (error as Error).message.split("\n")[0] ?? "";
    return { title, figures: [{ name: "not measured", value: `it needs root, unshare and nft: ${why}` }] };
  }
}

const notes = [
  "Real: the shipped hub, the agent's room over our API server, mutual TLS, WebSocket. Counted are whole IP packets both ways, by nftables, headers and",
  "acknowledgements included. A heartbeat every 20 s is the default (Offline after 30 s); the rows of a day are that many heartbeats.",
];

function figuresOf({ beatBytes, changeBytes, callBytes }: Wire): readonly Figure[] {
  const day = (beatS: number, aimKb: number | undefined, name: string): Figure => {
    const kilobytes = (beatBytes * DAY_S) / beatS / 1_000;
    const aim = aimKb === undefined ? {} : { aim: `≤ ${aimKb} KB`, ok: kilobytes <= aimKb };
    return { name, value: `${kilobytes.toFixed(0)} KB`, ...aim };
  };
  return [
    { name: "one heartbeat and its answer", value: `${beatBytes.toFixed(0)} bytes` },
    day(20, undefined, "idle a day, heartbeat every 20 s (default, Offline after 30 s)"),
    day(39, 500, "idle a day, Offline seen within 60 s (`--offline-after 59`)"),
    day(300, 100, "idle a day on a connection that may sleep (`--offline-after 450`)"),
    {
      name: "one small change: desired state, one object, status, acknowledgements",
      value: `${(changeBytes / 1_000).toFixed(1)} KB`,
    },
    {
      name: "one call after the line was down: TLS both ways, hello, welcome",
      value: `${(callBytes / 1_000).toFixed(1)} KB`,
    },
  ];
}
