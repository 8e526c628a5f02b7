import { StatusError } from "@cortado/std/status";
import { currentSandbox } from "../pods/plan.ts";
import { allContainers, specOf, type StoredPod } from "../pods/pod.ts";
import type { PodRecord } from "../pods/record.ts";
import type { RuntimeContainer } from "../runtime/runtime.ts";
import { followLines, readLogFile } from "./logs.ts";
import { serveForward } from "./port-forward.ts";
import { serveProcess } from "./process.ts";
import type { ExecRequest, LogRequest, PodName, StreamsPorts, Upgrade } from "./requests.ts";

export type { ExecRequest, LogRequest, PodName, Upgrade } from "./requests.ts";

/** What kubectl may ask of this node's pods. All refuse by a StatusError before anything is written. */
export interface NodeStreams {
  /** The log as it should be sent, in pieces; ends with the container when it is followed. */
  log(request: LogRequest): Promise<AsyncIterable<Uint8Array>>;
  exec(request: ExecRequest, upgrade: Upgrade): Promise<void>;
  attach(request: Omit<ExecRequest, "command">, upgrade: Upgrade): Promise<void>;
  /** `ports` of the query, for clients that name them there; others name them in the stream. */
  portForward(request: PodName & { readonly ports: readonly number[] }, upgrade: Upgrade): Promise<void>;
}

export function newStreams(ports: StreamsPorts): NodeStreams {
  const { runtime, signal } = ports;
  return {
    async log(request) {
      const record = findRecord(ports, request);
      const container = findContainer(record, request);
      if (runtime.logs !== "files") return followLines(runtime.logs(container.id), request);
      const { logFile } = ports.starter.paths(record.pod, container);
      const isOver = (): boolean =>
        record.view.containers.find((one) => one.id === container.id)?.phase !== "running";
      return readLogFile({
        path: logFile,
        options: request,
        isOver,
        clock: ports.clock,
        signal: AbortSignal.any([signal, request.signal]),
      });
    },
    async exec(request, upgrade) {
      const container = runningContainer(findRecord(ports, request), request);
      if (request.command.length === 0)
        throw new StatusError("BadRequest", "exec needs a command; put it after --");
      await serveProcess(request, upgrade, ports, (streams) =>
        runtime.exec({ id: container.id, command: request.command, streams }, { signal }),
      );
    },
    async attach(request, upgrade) {
      const container = runningContainer(findRecord(ports, request), request);
      await serveProcess(request, upgrade, ports, (streams) =>
        runtime.attach({ id: container.id, streams }, { signal }),
      );
    },
    async portForward(request, upgrade) {
      const record = findRecord(ports, request);
      const sandbox = currentSandbox(record.pod, record.view);
      if (sandbox === undefined)
        throw new StatusError(
          "BadRequest",
          `pod ${request.pod} does not run; no port of it can be forwarded`,
        );
      serveForward(request.ports, upgrade, (port) =>
        runtime.forward({ sandboxId: sandbox.id, port }, { signal }),
      );
    },
  };
}

type Known = PodRecord & { pod: StoredPod };

function findRecord(ports: StreamsPorts, { namespace, pod }: PodName): Known {
  for (const record of ports.records().values()) {
    if (
      record.pod !== undefined &&
      !record.gone &&
      record.pod.metadata.name === pod &&
      record.pod.metadata.namespace === namespace
    )
      return record as Known;
  }
  throw new StatusError("NotFound", `pods ${JSON.stringify(pod)} not found on this node`, {
    details: { name: pod, kind: "pods" },
  });
}

function containerName(record: Known, asked: string | undefined): string {
  const { pod } = record;
  const all = allContainers(specOf(pod)).map(({ container }) => container.name);
  const mains = specOf(pod).containers.map((container) => container.name);
  if (asked !== undefined && asked !== "") {
    if (all.includes(asked)) return asked;
    throw new StatusError("BadRequest", `container ${asked} is not valid for pod ${pod.metadata.name}`);
  }
  const preferred = pod.metadata.annotations?.["kubectl.kubernetes.io/default-container"];
  if (preferred !== undefined && all.includes(preferred)) return preferred;
  if (mains.length === 1) return mains[0] ?? "";
  throw new StatusError(
    "BadRequest",
    `a container name must be specified for pod ${pod.metadata.name}, choose one of: [${mains.join(" ")}]`,
  );
}

function findContainer(record: Known, request: LogRequest): RuntimeContainer {
  const name = containerName(record, request.container);
  const all = record.view.containers.filter((one) => one.name === name && one.phase !== "created");
  const found = request.previous === true ? all[1] : all[0];
  if (found !== undefined) return found;
  if (request.previous === true)
    throw new StatusError(
      "BadRequest",
      `previous terminated container ${JSON.stringify(name)} in pod ${JSON.stringify(request.pod)} not found`,
    );
  const waiting = record.problems.get(name)?.reason ?? "ContainerCreating";
  const message = `container ${JSON.stringify(name)} in pod ${JSON.stringify(request.pod)} is waiting to start: ${waiting}`;
  throw new StatusError("BadRequest", message);
}

function runningContainer(
  record: Known,
  request: { readonly container?: string; readonly pod: string },
): RuntimeContainer {
  const name = containerName(record, request.container);
  const found = record.view.containers.find((one) => one.name === name && one.phase === "running");
  if (found === undefined)
    throw new StatusError("BadRequest", `container ${name} of pod ${request.pod} is not running`);
  return found;
}
