import { spawn } from "node:child_process";
import { access } from "node:fs/promises";
import { StatusError } from "@cortado/std/status";
import { STRIP_TIMEOUT_MS } from "../limits.ts";
import { nodeBootstrap, pythonBootstrap, stripProgram } from "./bootstrap.ts";

export type LanguageName = "python3" | "node";

export type Language = {
  readonly name: LanguageName;
  /** The key of the ConfigMap that holds the code. */
  readonly file: string;
  readonly program: readonly string[];
  readonly needs: readonly string[];
  /** Makes of the source what the interpreter loads; done once for each deployment. */
  prepare(source: string): Promise<Uint8Array>;
};

export type LanguageOptions = {
  /** A Node.js of version 22.13 or newer; its own folder is shown to functions read-only. */
  readonly nodePath: string;
  /** Debian's own interpreter: a version manager's shim costs 100 ms and reads a home folder. */
  readonly pythonPath?: string;
};

/** Images that name a language rather than a container. */
const images: Readonly<Record<string, LanguageName>> = {
  "cortado.local/python3": "python3",
  "cortado.local/node": "node",
};

export function languageOf(image: string): LanguageName | undefined {
  return images[image.replace(/[:@].*$/, "")];
}

export function newLanguages({
  nodePath,
  pythonPath = "/usr/bin/python3",
}: LanguageOptions): Readonly<Record<LanguageName, Language>> {
  return {
    python3: {
      name: "python3",
      file: "handler.py",
      program: [pythonPath, "-I", "-S", "-B", "-u", "-c", pythonBootstrap],
      needs: [],
      async prepare(source) {
        await mustBeThere(pythonPath, "Python functions need it: install the package python3-minimal");
        return new TextEncoder().encode(source);
      },
    },
    node: {
      name: "node",
      file: "handler.ts",
      // A small heap, so that the limit is met by a garbage collection before it is met by the kernel.
      program: [
        nodePath,
        "--no-warnings",
        "--max-old-space-size=64",
        "--max-semi-space-size=2",
        "--input-type=module",
        "--eval",
        nodeBootstrap,
      ],
      needs: nodePath.startsWith("/usr/") ? [] : [nodePath],
      async prepare(source) {
        await mustBeThere(nodePath, "functions in TypeScript need it");
        return strip(source, nodePath);
      },
    },
  };
}

async function mustBeThere(path: string, why: string): Promise<void> {
  await access(path).catch((cause: unknown) => {
    throw new StatusError("ServiceUnavailable", `${path} is missing; ${why}`, { cause });
  });
}

// In a child of its own: the stripper takes 17 MiB that the program need not keep, and an odd source cannot stop the program.
function strip(source: string, nodePath: string): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const child = spawn(
      nodePath,
      ["--no-warnings", "--max-old-space-size=128", "--input-type=module", "--eval", stripProgram],
      {
        stdio: ["pipe", "pipe", "pipe"],
        env: {},
        timeout: STRIP_TIMEOUT_MS,
        killSignal: "SIGKILL",
      },
    );
    const out: Buffer[] = [];
    const errors: Buffer[] = [];
    child.stdout.on("data", (part: Buffer) => out.push(part));
    child.stderr.on("data", (part: Buffer) => errors.push(part));
    child.on("error", (cause) =>
      reject(new StatusError("ServiceUnavailable", `cannot start ${nodePath}: ${cause.message}`, { cause })),
    );
    child.on("close", (code) => {
      if (code === 0) resolve(Buffer.concat(out));
      else
        reject(
          new StatusError(
            "Invalid",
            `handler.ts cannot be read: ${Buffer.concat(errors).toString().slice(0, 1_000) || "it took too long"}`,
          ),
        );
    });
    child.stdin.on("error", () => undefined);
    child.stdin.end(source);
  });
}
