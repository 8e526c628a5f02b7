import { resourceText } from "@cortado/kinds/resources";
import type { AdmissionStep } from "../server.ts";

/** Kinds that are kept as upstream keeps them, but that nothing here acts on yet. */
const withoutEffect: Readonly<Record<string, string>> = {
  "mutatingwebhookconfigurations.admissionregistration.k8s.io": "admission webhooks are not called",
  "validatingwebhookconfigurations.admissionregistration.k8s.io": "admission webhooks are not called",
  "validatingadmissionpolicies.admissionregistration.k8s.io": "admission policies are not evaluated",
  "validatingadmissionpolicybindings.admissionregistration.k8s.io": "admission policies are not evaluated",
  "mutatingadmissionpolicies.admissionregistration.k8s.io": "admission policies are not evaluated",
  "mutatingadmissionpolicybindings.admissionregistration.k8s.io": "admission policies are not evaluated",
  "apiservices.apiregistration.k8s.io": "requests are not passed on to other API servers",
  "certificatesigningrequests.certificates.k8s.io": "nothing signs certificate requests",
  "flowschemas.flowcontrol.apiserver.k8s.io": "requests are not queued by flow",
  "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": "requests are not queued by flow",
  "horizontalpodautoscalers.autoscaling": "nothing scales by measurement; use kubectl scale",
};

/** Tells whoever writes such an object that it has no effect: kubectl shows it as a warning. */
export const withoutEffectStep: AdmissionStep = {
  name: "WithoutEffect",
  mutate({ call, kind, operation, subresource }) {
    const why = withoutEffect[resourceText(kind)];
    if (why === undefined || subresource !== "" || operation === "DELETE") return;
    call.warnings.push(`${kind.kind} is stored, but has no effect in this version of Cortado: ${why}`);
  },
};
