import { open } from "node:fs/promises";
import {
  TERMINATION_LOG_BYTES_MAX,
  TERMINATION_LOG_LINES,
  TERMINATION_MESSAGE_BYTES_MAX,
} from "../limits.ts";
import { terminationPolicyAnnotation } from "../runtime/labels.ts";
import type { RuntimeContainer } from "../runtime/runtime.ts";
import { parseLogLine } from "../streams/log-line.ts";

export type LastWordsPaths = { readonly messageFile: string; readonly logFile: string };

/** What a container left in its termination message file, or, where its policy says so, at the end of its log. */
export async function readLastWords(container: RuntimeContainer, paths: LastWordsPaths): Promise<string> {
  const message = await tail(paths.messageFile, TERMINATION_MESSAGE_BYTES_MAX, "start");
  const fromLog = container.annotations[terminationPolicyAnnotation] === "FallbackToLogsOnError";
  if (message !== "" || !fromLog || container.exitCode === 0) return message;
  const text = await tail(paths.logFile, TERMINATION_LOG_BYTES_MAX * 4, "end");
  const lines = text
    .split("\n")
    .flatMap((line) => parseLogLine(line)?.text ?? [])
    .slice(-TERMINATION_LOG_LINES);
  return lines.join("\n").slice(-TERMINATION_LOG_BYTES_MAX);
}

async function tail(path: string, bytesMax: number, from: "start" | "end"): Promise<string> {
  try {
    await using file = await open(path, "r");
    const { size } = await file.stat();
    const at = from === "end" ? Math.max(0, size - bytesMax) : 0;
    const { buffer, bytesRead } = await file.read(
      Buffer.alloc(Math.min(bytesMax, size)),
      0,
      Math.min(bytesMax, size),
      at,
    );
    return buffer.subarray(0, bytesRead).toString("utf8");
  } catch {
    return ""; // it was never made, or its folder is gone
  }
}
