import { humanDuration } from "../age.ts";
import type { TableInfo } from "../kind-info.ts";
import { at, listAt, textAt, treeAt, type Tree } from "../tree.ts";
import { containersText, created, nameOf, numberAt, orNone, selectorText, table } from "./columns.ts";

/** NAME READY STATUS RESTARTS AGE and, wide, where it runs. */
export const podTable: TableInfo = table(
  ["Name", "Ready", "Status", "Restarts", "Age", "+IP", "+Node", "+Nominated Node", "+Readiness Gates"],
  (pod, age, nowMs) => {
    const { restarts, ready, reason } = podState(pod, nowMs);
    const total = listAt(pod, "spec", "containers").length + restartableInits(pod).size;
    return [
      nameOf(pod),
      `${ready}/${total}`,
      reason,
      restarts,
      age(created(pod)),
      orNone(textAt(listAt(pod, "status", "podIPs")[0], "ip") || textAt(pod, "status", "podIP")),
      orNone(textAt(pod, "spec", "nodeName")),
      orNone(textAt(pod, "status", "nominatedNodeName")),
      gatesText(pod),
    ];
  },
);

type PodState = { readonly restarts: string; readonly ready: number; readonly reason: string };

function restartableInits(pod: Tree): ReadonlySet<string> {
  const always = listAt(pod, "spec", "initContainers").filter(
    (one) => textAt(one, "restartPolicy") === "Always",
  );
  return new Set(always.map((one) => textAt(one, "name")));
}

// The same walk as upstream's printPod (pkg/printers/internalversion/printers.go), whose words people know.
function podState(pod: Tree, nowMs: number): PodState {
  const inits = initState(pod, nowMs);
  let reason = inits.reason ?? (textAt(pod, "status", "reason") || textAt(pod, "status", "phase"));
  let { ready, restarts, lastMs } = inits;
  if (inits.reason === undefined) {
    const main = containerState(pod);
    ready += main.ready;
    restarts = main.restarts + inits.sidecarRestarts;
    lastMs = Math.max(main.lastMs, inits.sidecarLastMs);
    reason = main.reason ?? reason;
    if (reason === "Completed" && main.hasRunning) reason = isReady(pod) ? "Running" : "NotReady";
  }
  if (at(pod, "metadata", "deletionTimestamp") !== undefined) {
    if (textAt(pod, "status", "reason") === "NodeLost") reason = "Unknown";
    else if (!["Succeeded", "Failed"].includes(textAt(pod, "status", "phase"))) reason = "Terminating";
  }
  const since = restarts > 0 && lastMs > 0 ? ` (${humanDuration(nowMs - lastMs)} ago)` : "";
  return { restarts: `${restarts}${since}`, ready, reason };
}

type InitState = {
  readonly reason: string | undefined;
  readonly ready: number;
  readonly restarts: number;
  readonly lastMs: number;
  readonly sidecarRestarts: number;
  readonly sidecarLastMs: number;
};

function initState(pod: Tree, _nowMs: number): InitState {
  const sidecars = restartableInits(pod);
  const total = listAt(pod, "spec", "initContainers").length;
  let [ready, restarts, lastMs, sidecarRestarts, sidecarLastMs] = [0, 0, 0, 0, 0];
  let reason: string | undefined;
  for (const [index, status] of listAt(pod, "status", "initContainerStatuses").entries()) {
    restarts += numberAt(status, "restartCount");
    lastMs = Math.max(lastMs, endedMs(status));
    if (sidecars.has(textAt(status, "name"))) {
      sidecarRestarts += numberAt(status, "restartCount");
      sidecarLastMs = Math.max(sidecarLastMs, endedMs(status));
    }
    const terminated = at(status, "state", "terminated");
    if (terminated !== undefined && numberAt(terminated, "exitCode") === 0) continue;
    if (sidecars.has(textAt(status, "name")) && at(status, "started") === true) {
      if (at(status, "ready") === true) ready += 1;
      continue;
    }
    if (terminated !== undefined) reason = `Init:${terminatedText(terminated)}`;
    else {
      const waiting = textAt(status, "state", "waiting", "reason");
      reason = waiting !== "" && waiting !== "PodInitializing" ? `Init:${waiting}` : `Init:${index}/${total}`;
    }
    break;
  }
  return { reason, ready, restarts, lastMs, sidecarRestarts, sidecarLastMs };
}

function terminatedText(terminated: unknown): string {
  const reason = textAt(terminated, "reason");
  if (reason !== "") return reason;
  const signal = numberAt(terminated, "signal");
  return signal === 0 ? `ExitCode:${numberAt(terminated, "exitCode")}` : `Signal:${signal}`;
}

type MainState = {
  reason: string | undefined;
  ready: number;
  restarts: number;
  lastMs: number;
  hasRunning: boolean;
};

function containerState(pod: Tree): MainState {
  const state: MainState = { reason: undefined, ready: 0, restarts: 0, lastMs: 0, hasRunning: false };
  for (const status of listAt(pod, "status", "containerStatuses").toReversed()) {
    state.restarts += numberAt(status, "restartCount");
    state.lastMs = Math.max(state.lastMs, endedMs(status));
    const waiting = textAt(status, "state", "waiting", "reason");
    const terminated = at(status, "state", "terminated");
    if (waiting !== "") state.reason = waiting;
    else if (terminated !== undefined) state.reason = terminatedText(terminated);
    else if (at(status, "ready") === true && at(status, "state", "running") !== undefined) {
      state.hasRunning = true;
      state.ready += 1;
    }
  }
  return state;
}

function endedMs(status: unknown): number {
  const ended = Date.parse(textAt(status, "lastState", "terminated", "finishedAt"));
  return Number.isNaN(ended) ? 0 : ended;
}

function isReady(pod: Tree): boolean {
  return listAt(pod, "status", "conditions").some(
    (one) => textAt(one, "type") === "Ready" && textAt(one, "status") === "True",
  );
}

function gatesText(pod: Tree): string {
  const gates = listAt(pod, "spec", "readinessGates");
  if (gates.length === 0) return "<none>";
  const conditions = listAt(pod, "status", "conditions");
  const isTrue = (type: string): boolean =>
    conditions.some((one) => textAt(one, "type") === type && textAt(one, "status") === "True");
  return `${gates.filter((gate) => isTrue(textAt(gate, "conditionType"))).length}/${gates.length}`;
}

export const deploymentTable: TableInfo = table(
  ["Name", "Ready", "Up-to-date", "Available", "Age", "+Containers", "+Images", "+Selector"],
  (object, age) => {
    const { names, images } = containersText(at(object, "spec", "template", "spec"));
    const status = treeAt(object, "status");
    return [
      nameOf(object),
      `${numberAt(status, "readyReplicas")}/${numberAt(object, "spec", "replicas")}`,
      numberAt(status, "updatedReplicas"),
      numberAt(status, "availableReplicas"),
      age(created(object)),
      names,
      images,
      selectorText(at(object, "spec", "selector")),
    ];
  },
);

export const replicaSetTable: TableInfo = table(
  [
    "Name",
    "Desired:integer",
    "Current:integer",
    "Ready:integer",
    "Age",
    "+Containers",
    "+Images",
    "+Selector",
  ],
  (object, age) => {
    const { names, images } = containersText(at(object, "spec", "template", "spec"));
    return [
      nameOf(object),
      numberAt(object, "spec", "replicas"),
      numberAt(object, "status", "replicas"),
      numberAt(object, "status", "readyReplicas"),
      age(created(object)),
      names,
      images,
      selectorText(at(object, "spec", "selector")),
    ];
  },
);

export const statefulSetTable: TableInfo = table(
  ["Name", "Ready", "Age", "+Containers", "+Images"],
  (object, age) => {
    const { names, images } = containersText(at(object, "spec", "template", "spec"));
    const ready = `${numberAt(object, "status", "readyReplicas")}/${numberAt(object, "spec", "replicas")}`;
    return [nameOf(object), ready, age(created(object)), names, images];
  },
);

export const daemonSetTable: TableInfo = table(
  [
    "Name",
    "Desired:integer",
    "Current:integer",
    "Ready:integer",
    "Up-to-date:integer",
    "Available:integer",
    "Node Selector",
    "Age",
    "+Containers",
    "+Images",
    "+Selector",
  ],
  (object, age) => {
    const { names, images } = containersText(at(object, "spec", "template", "spec"));
    const status = treeAt(object, "status");
    return [
      nameOf(object),
      numberAt(status, "desiredNumberScheduled"),
      numberAt(status, "currentNumberScheduled"),
      numberAt(status, "numberReady"),
      numberAt(status, "updatedNumberScheduled"),
      numberAt(status, "numberAvailable"),
      selectorText({ matchLabels: treeAt(object, "spec", "template", "spec", "nodeSelector") }),
      age(created(object)),
      names,
      images,
      selectorText(at(object, "spec", "selector")),
    ];
  },
);

export const jobTable: TableInfo = table(
  ["Name", "Status", "Completions", "Duration", "Age", "+Containers", "+Images", "+Selector"],
  (job, age, nowMs) => {
    const { names, images } = containersText(at(job, "spec", "template", "spec"));
    return [
      nameOf(job),
      jobStatus(job),
      completions(job),
      jobDuration(job, nowMs),
      age(created(job)),
      names,
      images,
      selectorText(at(job, "spec", "selector")),
    ];
  },
);

function jobStatus(job: Tree): string {
  const isTrue = (type: string): boolean =>
    listAt(job, "status", "conditions").some(
      (one) => textAt(one, "type") === type && textAt(one, "status") === "True",
    );
  if (isTrue("Complete")) return "Complete";
  if (isTrue("Failed")) return "Failed";
  if (at(job, "metadata", "deletionTimestamp") !== undefined) return "Terminating";
  if (isTrue("Suspended")) return "Suspended";
  return isTrue("FailureTarget") ? "FailureTarget" : "Running";
}

function completions(job: Tree): string {
  const succeeded = numberAt(job, "status", "succeeded");
  const wanted = at(job, "spec", "completions");
  if (typeof wanted === "number") return `${succeeded}/${wanted}`;
  const parallel = numberAt(job, "spec", "parallelism");
  return parallel > 1 ? `${succeeded}/1 of ${parallel}` : `${succeeded}/1`;
}

function jobDuration(job: Tree, nowMs: number): string {
  const started = Date.parse(textAt(job, "status", "startTime"));
  if (Number.isNaN(started)) return "";
  const ended = Date.parse(textAt(job, "status", "completionTime"));
  return humanDuration((Number.isNaN(ended) ? nowMs : ended) - started);
}

export const cronJobTable: TableInfo = table(
  [
    "Name",
    "Schedule",
    "Timezone",
    "Suspend",
    "Active:integer",
    "Last Schedule",
    "Age",
    "+Containers",
    "+Images",
    "+Selector",
  ],
  (object, age) => {
    const { names, images } = containersText(at(object, "spec", "jobTemplate", "spec", "template", "spec"));
    const last = at(object, "status", "lastScheduleTime");
    return [
      nameOf(object),
      textAt(object, "spec", "schedule"),
      orNone(at(object, "spec", "timeZone")),
      at(object, "spec", "suspend") === true ? "True" : "False",
      listAt(object, "status", "active").length,
      last === undefined ? "<none>" : age(last),
      age(created(object)),
      names,
      images,
      selectorText(at(object, "spec", "jobTemplate", "spec", "selector")),
    ];
  },
);

export const controllerRevisionTable: TableInfo = table(
  ["Name", "Controller", "Revision:integer", "Age"],
  (object, age) => {
    const owner = listAt(object, "metadata", "ownerReferences").find((one) => at(one, "controller") === true);
    const group =
      textAt(owner, "apiVersion").split("/").length > 1
        ? `.${textAt(owner, "apiVersion").split("/")[0]}`
        : "";
    const controller =
      owner === undefined
        ? "<none>"
        : `${textAt(owner, "kind").toLowerCase()}${group}/${textAt(owner, "name")}`;
    return [nameOf(object), controller, numberAt(object, "revision"), age(created(object))];
  },
);

export const podTemplateTable: TableInfo = table(["Name", "Containers", "Images", "Pod Labels"], (object) => {
  const { names, images } = containersText(at(object, "template", "spec"));
  return [
    nameOf(object),
    names,
    images,
    selectorText({ matchLabels: treeAt(object, "template", "metadata", "labels") }),
  ];
});
