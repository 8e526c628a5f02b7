import { invalid, required, type FieldError } from "../field-errors.ts";
import type { KindRules, UpdateContext } from "../kind-info.ts";
import { selectorText } from "../columns/columns.ts";
import {
  at,
  copyTree,
  fieldOf,
  growTree,
  isTree,
  listAt,
  sameTree,
  setDefault,
  setField,
  textAt,
  treeAt,
  type Tree,
} from "../tree.ts";
import { defaultClaimSpec, defaultPodSpec, trees } from "./pod-defaults.ts";
import { validatePodTemplate } from "./pod-validation.ts";
import { validateSelector } from "./meta-validation.ts";

function specOf(object: Tree): Tree {
  return growTree(object, "spec");
}

function defaultTemplate(spec: Tree): void {
  const template = fieldOf(spec, "template");
  const podSpec = fieldOf(template, "spec");
  if (isTree(podSpec)) defaultPodSpec(podSpec);
}

function nonNegative(object: Tree, field: string): readonly FieldError[] {
  const value = at(object, "spec", field);
  return typeof value === "number" && value < 0
    ? [invalid(`spec.${field}`, value, "must be greater than or equal to 0")]
    : [];
}

/** Selector and template belong together; shared by everything that makes pods for ever. */
function validateWorkload(object: Tree, restartPolicies: readonly string[]): FieldError[] {
  const errors: FieldError[] = [
    ...nonNegative(object, "replicas"),
    ...nonNegative(object, "minReadySeconds"),
  ];
  const selector = at(object, "spec", "selector");
  const labels = treeAt(object, "spec", "template", "metadata", "labels");
  if (!isTree(selector)) errors.push(required("spec.selector"));
  else {
    errors.push(...validateSelector(selector, "spec.selector"));
    if (
      Object.keys(treeAt(selector, "matchLabels")).length + listAt(selector, "matchExpressions").length ===
      0
    )
      errors.push(invalid("spec.selector", selector, "empty selector is invalid for deployment"));
    else if (
      !Object.entries(treeAt(selector, "matchLabels")).every(([key, value]) => fieldOf(labels, key) === value)
    )
      errors.push(
        invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`"),
      );
  }
  const claims = listAt(object, "spec", "volumeClaimTemplates").map((claim) =>
    textAt(claim, "metadata", "name"),
  );
  const template = treeAt(object, "spec", "template");
  errors.push(...validatePodTemplate(template, { path: "spec.template", restartPolicies, claims }));
  return errors;
}

function immutable(
  path: readonly string[],
): (next: Tree, current: Tree, context: UpdateContext) => readonly FieldError[] {
  return (next, current) =>
    sameTree(at(next, ...path), at(current, ...path))
      ? []
      : [invalid(path.join("."), at(next, ...path), "field is immutable")];
}

const always = ["Always"];
const scale = {
  specReplicas: ".spec.replicas",
  statusReplicas: ".status.replicas",
  selector: (object: Tree): string => selectorText(at(object, "spec", "selector")).replace("<none>", ""),
};

export const deploymentRules: KindRules = {
  defaults(object) {
    const spec = specOf(object);
    setDefault(spec, "replicas", 1);
    setDefault(spec, "revisionHistoryLimit", 10);
    setDefault(spec, "progressDeadlineSeconds", 600);
    const strategy = growTree(spec, "strategy");
    setDefault(strategy, "type", "RollingUpdate");
    if (strategy["type"] === "RollingUpdate") {
      const rolling = growTree(strategy, "rollingUpdate");
      setDefault(rolling, "maxUnavailable", "25%");
      setDefault(rolling, "maxSurge", "25%");
    }
    defaultTemplate(spec);
  },
  validate(object) {
    const errors = validateWorkload(object, always);
    const strategy = treeAt(object, "spec", "strategy");
    if (
      textAt(strategy, "type") === "Recreate" &&
      fieldOf(strategy, "rollingUpdate") !== undefined &&
      fieldOf(strategy, "rollingUpdate") !== null
    )
      errors.push({
        type: "Forbidden",
        field: "spec.strategy.rollingUpdate",
        detail: "may not be specified when strategy `type` is 'Recreate'",
      });
    const isZero = (value: unknown): boolean => value === 0 || value === "0%" || value === "0";
    if (
      isZero(at(strategy, "rollingUpdate", "maxUnavailable")) &&
      isZero(at(strategy, "rollingUpdate", "maxSurge"))
    )
      errors.push(
        invalid(
          "spec.strategy.rollingUpdate.maxUnavailable",
          at(strategy, "rollingUpdate", "maxUnavailable"),
          "may not be 0 when `maxSurge` is 0",
        ),
      );
    return errors;
  },
  validateUpdate: immutable(["spec", "selector"]),
  scale,
};

export const replicaSetRules: KindRules = {
  defaults(object) {
    setDefault(specOf(object), "replicas", 1);
    defaultTemplate(specOf(object));
  },
  validate: (object) => validateWorkload(object, always),
  validateUpdate: immutable(["spec", "selector"]),
  fields: { "status.replicas": (object) => String(at(object, "status", "replicas") ?? 0) },
  scale,
};

export const replicationControllerRules: KindRules = {
  defaults(object) {
    const spec = specOf(object);
    setDefault(spec, "replicas", 1);
    const labels = treeAt(spec, "template", "metadata", "labels");
    if (Object.keys(treeAt(spec, "selector")).length === 0) setField(spec, "selector", copyTree(labels));
    if (Object.keys(treeAt(object, "metadata", "labels")).length === 0 && Object.keys(labels).length > 0)
      setField(growTree(object, "metadata"), "labels", copyTree(labels));
    defaultTemplate(spec);
  },
  validate: (object) =>
    validatePodTemplate(treeAt(object, "spec", "template"), {
      path: "spec.template",
      restartPolicies: always,
    }),
  fields: { "status.replicas": (object) => String(at(object, "status", "replicas") ?? 0) },
  scale: {
    ...scale,
    selector: (object) =>
      selectorText({ matchLabels: treeAt(object, "spec", "selector") }).replace("<none>", ""),
  },
};

export const statefulSetRules: KindRules = {
  defaults(object) {
    const spec = specOf(object);
    setDefault(spec, "replicas", 1);
    setDefault(spec, "podManagementPolicy", "OrderedReady");
    setDefault(spec, "revisionHistoryLimit", 10);
    setDefault(spec, "serviceName", "");
    const strategy = growTree(spec, "updateStrategy");
    setDefault(strategy, "type", "RollingUpdate");
    if (strategy["type"] === "RollingUpdate") setDefault(growTree(strategy, "rollingUpdate"), "partition", 0);
    const retention = growTree(spec, "persistentVolumeClaimRetentionPolicy");
    setDefault(retention, "whenDeleted", "Retain");
    setDefault(retention, "whenScaled", "Retain");
    for (const claim of trees(listAt(spec, "volumeClaimTemplates"))) {
      setDefault(claim, "apiVersion", "v1");
      setDefault(claim, "kind", "PersistentVolumeClaim");
      const claimSpec = fieldOf(claim, "spec");
      if (isTree(claimSpec)) defaultClaimSpec(claimSpec);
      setDefault(claim, "status", { phase: "Pending" });
    }
    defaultTemplate(spec);
  },
  validate: (object) => validateWorkload(object, always),
  validateUpdate(next, current) {
    const mutable = [
      "replicas",
      "ordinals",
      "template",
      "updateStrategy",
      "revisionHistoryLimit",
      "persistentVolumeClaimRetentionPolicy",
      "minReadySeconds",
    ];
    const rest = (object: Tree): Tree => {
      const spec = { ...treeAt(object, "spec") };
      for (const field of mutable) delete spec[field];
      return spec;
    };
    if (sameTree(rest(next), rest(current))) return [];
    const words = mutable.map((field) => `'${field}'`);
    const detail = `updates to statefulset spec for fields other than ${words.slice(0, -1).join(", ")} and ${words.at(-1)} are forbidden`;
    return [{ type: "Forbidden", field: "spec", detail }];
  },
  scale,
};

export const daemonSetRules: KindRules = {
  defaults(object) {
    const spec = specOf(object);
    setDefault(spec, "revisionHistoryLimit", 10);
    const strategy = growTree(spec, "updateStrategy");
    setDefault(strategy, "type", "RollingUpdate");
    if (strategy["type"] === "RollingUpdate") {
      const rolling = growTree(strategy, "rollingUpdate");
      setDefault(rolling, "maxUnavailable", 1);
      setDefault(rolling, "maxSurge", 0);
    }
    defaultTemplate(spec);
  },
  validate: (object) => validateWorkload(object, always),
  validateUpdate: immutable(["spec", "selector"]),
};

const jobPolicies = ["OnFailure", "Never"];

function defaultJobSpec(spec: Tree): void {
  if (fieldOf(spec, "completions") === undefined && fieldOf(spec, "parallelism") === undefined) {
    setField(spec, "completions", 1);
    setField(spec, "parallelism", 1);
  }
  setDefault(spec, "parallelism", 1);
  setDefault(spec, "backoffLimit", fieldOf(spec, "backoffLimitPerIndex") === undefined ? 6 : 2147483647);
  setDefault(spec, "completionMode", "NonIndexed");
  setDefault(spec, "suspend", false);
  setDefault(
    spec,
    "podReplacementPolicy",
    fieldOf(spec, "podFailurePolicy") === undefined ? "TerminatingOrFailed" : "Failed",
  );
  defaultTemplate(spec);
}

export const jobRules: KindRules = {
  defaults(object) {
    defaultJobSpec(specOf(object));
    const labels = at(object, "spec", "template", "metadata", "labels");
    const own = treeAt(object, "metadata", "labels");
    if (
      isTree(labels) &&
      Object.keys(own).length === 0 &&
      fieldOf(object["metadata"], "labels") === undefined
    )
      setField(growTree(object, "metadata"), "labels", copyTree(labels));
  },
  prepareForCreate(object) {
    const spec = specOf(object);
    if (fieldOf(spec, "manualSelector") === true) return;
    const uid = textAt(object, "metadata", "uid");
    const name = textAt(object, "metadata", "name");
    const labels = growTree(growTree(growTree(spec, "template"), "metadata"), "labels");
    for (const prefix of ["", "batch.kubernetes.io/"]) {
      setDefault(labels, `${prefix}controller-uid`, uid);
      setDefault(labels, `${prefix}job-name`, name);
    }
    if (fieldOf(spec, "selector") === undefined)
      setField(spec, "selector", { matchLabels: { "batch.kubernetes.io/controller-uid": uid } });
  },
  validate(object) {
    const errors: FieldError[] = [];
    for (const field of [
      "parallelism",
      "completions",
      "activeDeadlineSeconds",
      "backoffLimit",
      "ttlSecondsAfterFinished",
    ])
      errors.push(...nonNegative(object, field));
    errors.push(
      ...validatePodTemplate(treeAt(object, "spec", "template"), {
        path: "spec.template",
        restartPolicies: jobPolicies,
      }),
    );
    return errors;
  },
  validateUpdate: (next, current, context) => [
    ...immutable(["spec", "selector"])(next, current, context),
    ...(at(current, "spec", "suspend") === true
      ? []
      : immutable(["spec", "template"])(next, current, context)),
    ...(at(current, "spec", "completionMode") === "Indexed"
      ? []
      : immutable(["spec", "completions"])(next, current, context)),
  ],
  fields: { "status.successful": (object) => String(at(object, "status", "succeeded") ?? 0) },
};

export const cronJobRules: KindRules = {
  defaults(object) {
    const spec = specOf(object);
    setDefault(spec, "concurrencyPolicy", "Allow");
    setDefault(spec, "suspend", false);
    setDefault(spec, "successfulJobsHistoryLimit", 3);
    setDefault(spec, "failedJobsHistoryLimit", 1);
    const jobSpec = at(spec, "jobTemplate", "spec");
    if (isTree(jobSpec)) defaultTemplate(jobSpec);
  },
  validate(object) {
    const errors: FieldError[] = [];
    const schedule = textAt(object, "spec", "schedule");
    if (schedule === "") errors.push(required("spec.schedule"));
    else if (!isSchedule(schedule))
      errors.push(
        invalid(
          "spec.schedule",
          schedule,
          "expected 5 fields (minute hour day month weekday) or a word such as @hourly",
        ),
      );
    if (schedule.includes("TZ="))
      errors.push(
        invalid(
          "spec.schedule",
          schedule,
          "cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
        ),
      );
    errors.push(
      ...nonNegative(object, "startingDeadlineSeconds"),
      ...nonNegative(object, "successfulJobsHistoryLimit"),
      ...nonNegative(object, "failedJobsHistoryLimit"),
    );
    const template = treeAt(object, "spec", "jobTemplate", "spec", "template");
    errors.push(
      ...validatePodTemplate(template, {
        path: "spec.jobTemplate.spec.template",
        restartPolicies: jobPolicies,
      }),
    );
    if (textAt(object, "metadata", "name").length > 52)
      errors.push(
        invalid("metadata.name", textAt(object, "metadata", "name"), "must be no more than 52 bytes"),
      );
    return errors;
  },
};

function isSchedule(text: string): boolean {
  if (/^@(yearly|annually|monthly|weekly|daily|midnight|hourly|every \S+)$/.test(text)) return true;
  const fields = text
    .replace(/^(CRON_)?TZ=\S+\s+/, "")
    .trim()
    .split(/\s+/);
  return fields.length === 5 && fields.every((field) => /^[0-9A-Za-z*,/?-]+$/.test(field));
}
