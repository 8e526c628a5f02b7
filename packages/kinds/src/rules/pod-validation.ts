import { duplicate, forbidden, invalid, notSupported, required, type FieldError } from "../field-errors.ts";
import { configKeyProblems, labelProblems, portNameProblems, subdomainProblems } from "../names.ts";
import { compareQuantities, parseQuantity } from "../quantity.ts";
import { at, fieldOf, isTree, listAt, textAt, treeAt, type Tree } from "../tree.ts";
import { oneOf, uniqueNames, validateLabels } from "./meta-validation.ts";

type TemplateRules = {
  readonly path: string;
  readonly restartPolicies: readonly string[];
  /** Volumes that each pod is given beside the template's own: a StatefulSet's claims. */
  readonly claims?: readonly string[];
};

/** A pod template inside another kind. */
export function validatePodTemplate(
  template: Tree,
  { path, restartPolicies, claims = [] }: TemplateRules,
): readonly FieldError[] {
  const spec = treeAt(template, "spec");
  const errors = [
    ...validateLabels(at(template, "metadata", "labels"), `${path}.labels`),
    ...validatePodSpec(spec, `${path}.spec`, claims),
  ];
  const policy = textAt(spec, "restartPolicy");
  if (!restartPolicies.includes(policy) && ["Always", "OnFailure", "Never"].includes(policy))
    errors.push(notSupported(`${path}.spec.restartPolicy`, policy, restartPolicies));
  return errors;
}

/** Upstream's checks of a pod's spec that stores meet (kubernetes, pkg/apis/core/validation/validation.go). */
export function validatePodSpec(
  spec: Tree,
  path: string,
  claims: readonly string[] = [],
): readonly FieldError[] {
  const errors: FieldError[] = [];
  const volumes = listAt(spec, "volumes");
  const volumeNames = new Set([...volumes.map((volume) => textAt(volume, "name")), ...claims]);
  errors.push(...uniqueNames(volumes, `${path}.volumes`));
  for (const [index, volume] of volumes.entries())
    errors.push(...validateVolume(volume, `${path}.volumes[${index}]`));
  const containers = listAt(spec, "containers");
  if (containers.length === 0) errors.push(required(`${path}.containers`));
  const seen = new Set<string>();
  for (const list of ["initContainers", "containers", "ephemeralContainers"])
    for (const [index, container] of listAt(spec, list).entries()) {
      const here = `${path}.${list}[${index}]`;
      errors.push(
        ...validateContainer(container, { path: here, volumeNames, isInit: list === "initContainers" }),
      );
      const name = textAt(container, "name");
      if (seen.has(name) && name !== "") errors.push(duplicate(`${here}.name`, name));
      seen.add(name);
    }
  errors.push(...validatePodWords(spec, path));
  return errors;
}

function validatePodWords(spec: Tree, path: string): readonly FieldError[] {
  const errors: FieldError[] = [
    ...oneOf(at(spec, "restartPolicy"), `${path}.restartPolicy`, ["Always", "OnFailure", "Never"]),
    ...oneOf(at(spec, "dnsPolicy"), `${path}.dnsPolicy`, [
      "ClusterFirstWithHostNet",
      "ClusterFirst",
      "Default",
      "None",
    ]),
  ];
  if (textAt(spec, "dnsPolicy") === "None" && listAt(spec, "dnsConfig", "nameservers").length === 0)
    errors.push(
      required(
        `${path}.dnsConfig.nameservers`,
        "must provide at least one DNS nameserver when `dnsPolicy` is None",
      ),
    );
  const deadline = at(spec, "activeDeadlineSeconds");
  if (typeof deadline === "number" && (deadline < 1 || deadline > 2147483647))
    errors.push(
      invalid(`${path}.activeDeadlineSeconds`, deadline, "must be between 1 and 2147483647, inclusive"),
    );
  const grace = at(spec, "terminationGracePeriodSeconds");
  if (typeof grace === "number" && grace < 0)
    errors.push(
      invalid(`${path}.terminationGracePeriodSeconds`, grace, "must be greater than or equal to 0"),
    );
  for (const field of ["hostname", "subdomain"])
    for (const problem of textAt(spec, field) === "" ? [] : labelProblems(textAt(spec, field)))
      errors.push(invalid(`${path}.${field}`, textAt(spec, field), problem));
  const account = textAt(spec, "serviceAccountName");
  if (account !== "")
    for (const problem of subdomainProblems(account))
      errors.push(invalid(`${path}.serviceAccountName`, account, problem));
  errors.push(...validateLabels(at(spec, "nodeSelector"), `${path}.nodeSelector`));
  for (const [index, toleration] of listAt(spec, "tolerations").entries()) {
    const here = `${path}.tolerations[${index}]`;
    if (textAt(toleration, "key") === "" && textAt(toleration, "operator") !== "Exists")
      errors.push(
        invalid(
          `${here}.operator`,
          textAt(toleration, "operator"),
          'operator must be Exists when `key` is empty, which means "match all values and all keys"',
        ),
      );
  }
  return errors;
}

function validateVolume(volume: unknown, path: string): readonly FieldError[] {
  const errors: FieldError[] = [];
  const name = textAt(volume, "name");
  if (name === "") errors.push(required(`${path}.name`));
  else for (const problem of labelProblems(name)) errors.push(invalid(`${path}.name`, name, problem));
  const sources = isTree(volume)
    ? Object.keys(volume).filter((key) => key !== "name" && volume[key] !== undefined && volume[key] !== null)
    : [];
  if (sources.length > 1)
    errors.push(forbidden(`${path}.${sources[1]}`, "may not specify more than 1 volume type"));
  if (isTree(at(volume, "hostPath")) && textAt(volume, "hostPath", "path") === "")
    errors.push(required(`${path}.hostPath.path`));
  if (isTree(at(volume, "secret")) && textAt(volume, "secret", "secretName") === "")
    errors.push(required(`${path}.secret.secretName`));
  if (isTree(at(volume, "configMap")) && textAt(volume, "configMap", "name") === "")
    errors.push(required(`${path}.configMap.name`));
  if (
    isTree(at(volume, "persistentVolumeClaim")) &&
    textAt(volume, "persistentVolumeClaim", "claimName") === ""
  )
    errors.push(required(`${path}.persistentVolumeClaim.claimName`));
  return errors;
}

type ContainerRules = {
  readonly path: string;
  readonly volumeNames: ReadonlySet<string>;
  readonly isInit: boolean;
};

function validateContainer(
  container: unknown,
  { path, volumeNames, isInit }: ContainerRules,
): readonly FieldError[] {
  const errors: FieldError[] = [];
  const name = textAt(container, "name");
  if (name === "") errors.push(required(`${path}.name`));
  else for (const problem of labelProblems(name)) errors.push(invalid(`${path}.name`, name, problem));
  const image = textAt(container, "image");
  if (image === "") errors.push(required(`${path}.image`));
  else if (image.trim() !== image)
    errors.push(invalid(`${path}.image`, image, "must not have leading or trailing whitespace"));
  errors.push(
    ...oneOf(at(container, "imagePullPolicy"), `${path}.imagePullPolicy`, [
      "Always",
      "IfNotPresent",
      "Never",
    ]),
  );
  errors.push(
    ...oneOf(at(container, "terminationMessagePolicy"), `${path}.terminationMessagePolicy`, [
      "File",
      "FallbackToLogsOnError",
    ]),
  );
  errors.push(
    ...validatePorts(container, path),
    ...validateEnv(container, path),
    ...validateResources(container, path),
  );
  const mountPaths = new Set<string>();
  for (const [index, mount] of listAt(container, "volumeMounts").entries()) {
    const here = `${path}.volumeMounts[${index}]`;
    const volume = textAt(mount, "name");
    if (volume === "") errors.push(required(`${here}.name`));
    else if (!volumeNames.has(volume))
      errors.push({ type: "NotFound", field: `${here}.name`, value: volume });
    const mountPath = textAt(mount, "mountPath");
    if (mountPath === "") errors.push(required(`${here}.mountPath`));
    if (mountPaths.has(mountPath)) errors.push(invalid(`${here}.mountPath`, mountPath, "must be unique"));
    mountPaths.add(mountPath);
  }
  if (isInit && textAt(container, "restartPolicy") !== "Always")
    for (const field of ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"])
      if (isTree(at(container, field)))
        errors.push(
          forbidden(`${path}.${field}`, "may not be set for init containers without restartPolicy=Always"),
        );
  for (const field of ["livenessProbe", "readinessProbe", "startupProbe"])
    errors.push(...validateProbe(at(container, field), `${path}.${field}`));
  for (const field of ["postStart", "preStop"])
    errors.push(...validateHandler(at(container, "lifecycle", field), `${path}.lifecycle.${field}`));
  return errors;
}

function isPort(port: unknown): boolean {
  return typeof port === "number" && Number.isInteger(port) && port >= 1 && port <= 65535;
}

export const portRange = "must be between 1 and 65535, inclusive";

function validatePorts(container: unknown, path: string): readonly FieldError[] {
  const errors: FieldError[] = [];
  const names = new Set<string>();
  for (const [index, port] of listAt(container, "ports").entries()) {
    const here = `${path}.ports[${index}]`;
    const name = textAt(port, "name");
    if (name !== "") {
      for (const problem of portNameProblems(name)) errors.push(invalid(`${here}.name`, name, problem));
      if (names.has(name)) errors.push(duplicate(`${here}.name`, name));
      names.add(name);
    }
    const number = at(port, "containerPort");
    if (number === undefined || number === 0) errors.push(required(`${here}.containerPort`));
    else if (!isPort(number)) errors.push(invalid(`${here}.containerPort`, number, portRange));
    const host = at(port, "hostPort");
    if (host !== undefined && host !== 0 && !isPort(host))
      errors.push(invalid(`${here}.hostPort`, host, portRange));
    errors.push(...oneOf(at(port, "protocol"), `${here}.protocol`, ["TCP", "UDP", "SCTP"]));
  }
  return errors;
}

function validateEnv(container: unknown, path: string): readonly FieldError[] {
  const errors: FieldError[] = [];
  for (const [index, variable] of listAt(container, "env").entries()) {
    const here = `${path}.env[${index}]`;
    if (textAt(variable, "name") === "") errors.push(required(`${here}.name`));
    else if (textAt(variable, "name").includes("="))
      errors.push(
        invalid(
          `${here}.name`,
          textAt(variable, "name"),
          "a valid environment variable name must consist only of printable ASCII characters other than '='",
        ),
      );
    const from = at(variable, "valueFrom");
    if (!isTree(from)) continue;
    if (textAt(variable, "value") !== "")
      errors.push(invalid(`${here}.valueFrom`, "", "may not be specified when `value` is not empty"));
    if (Object.keys(from).length !== 1)
      errors.push(
        invalid(
          `${here}.valueFrom`,
          "",
          "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
        ),
      );
    for (const ref of ["configMapKeyRef", "secretKeyRef"]) {
      const found = fieldOf(from, ref);
      if (!isTree(found)) continue;
      if (textAt(found, "name") === "") errors.push(required(`${here}.valueFrom.${ref}.name`));
      if (textAt(found, "key") === "") errors.push(required(`${here}.valueFrom.${ref}.key`));
      else
        for (const problem of configKeyProblems(textAt(found, "key")))
          errors.push(invalid(`${here}.valueFrom.${ref}.key`, textAt(found, "key"), problem));
    }
  }
  return errors;
}

const quantityWords =
  "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

export function validateAmounts(amounts: unknown, path: string): readonly FieldError[] {
  const errors: FieldError[] = [];
  if (!isTree(amounts)) return errors;
  for (const [name, amount] of Object.entries(amounts)) {
    if (parseQuantity(amount) === undefined) errors.push(invalid(`${path}.${name}`, amount, quantityWords));
    else if (compareQuantities(amount, "0") < 0)
      errors.push(invalid(`${path}.${name}`, amount, "must be greater than or equal to 0"));
  }
  return errors;
}

function validateResources(container: unknown, path: string): readonly FieldError[] {
  const limits = at(container, "resources", "limits");
  const requests = at(container, "resources", "requests");
  const errors: FieldError[] = [
    ...validateAmounts(limits, `${path}.resources.limits`),
    ...validateAmounts(requests, `${path}.resources.requests`),
  ];
  for (const [name, amount] of Object.entries(isTree(requests) ? requests : {})) {
    const limit = fieldOf(limits, name);
    if (limit !== undefined && errors.length === 0 && compareQuantities(amount, limit) > 0)
      errors.push(
        invalid(
          `${path}.resources.requests`,
          String(amount),
          `must be less than or equal to ${name} limit of ${String(limit)}`,
        ),
      );
  }
  return errors;
}

function validateProbe(probe: unknown, path: string): readonly FieldError[] {
  if (!isTree(probe)) return [];
  const errors: FieldError[] = [...validateHandler(probe, path)];
  for (const field of [
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
  ]) {
    const value = fieldOf(probe, field);
    if (typeof value === "number" && value < 0)
      errors.push(invalid(`${path}.${field}`, value, "must be greater than or equal to 0"));
  }
  if (!path.endsWith("readinessProbe") && fieldOf(probe, "successThreshold") !== 1)
    errors.push(invalid(`${path}.successThreshold`, fieldOf(probe, "successThreshold"), "must be 1"));
  return errors;
}

const handlers = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"];

function validateHandler(handler: unknown, path: string): readonly FieldError[] {
  if (!isTree(handler)) return [];
  const given = handlers.filter((name) => isTree(fieldOf(handler, name)));
  if (given.length === 0) return [required(path, "must specify a handler type")];
  const errors: FieldError[] = given
    .slice(1)
    .map((name) => forbidden(`${path}.${name}`, "may not specify more than 1 handler type"));
  for (const name of ["httpGet", "tcpSocket"]) {
    const port = at(handler, name, "port");
    if (port === undefined) continue;
    if (typeof port === "number" ? !isPort(port) : portNameProblems(String(port)).length > 0)
      errors.push(
        invalid(
          `${path}.${name}.port`,
          port,
          typeof port === "number" ? portRange : (portNameProblems(String(port))[0] ?? ""),
        ),
      );
  }
  if (given[0] === "exec" && listAt(handler, "exec", "command").length === 0)
    errors.push(required(`${path}.exec.command`));
  return errors;
}
