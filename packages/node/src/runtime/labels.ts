/** Labels and annotations on sandboxes and containers, by which a restarted node knows its own (kubelet, pkg/kubelet/types/labels.go). */
export const podNameLabel = "io.kubernetes.pod.name";
export const podNamespaceLabel = "io.kubernetes.pod.namespace";
export const podUidLabel = "io.kubernetes.pod.uid";
export const containerNameLabel = "io.kubernetes.container.name";
export const hashAnnotation = "io.kubernetes.container.hash";
export const restartCountAnnotation = "io.kubernetes.container.restartCount";
export const terminationPathAnnotation = "io.kubernetes.container.terminationMessagePath";
export const terminationPolicyAnnotation = "io.kubernetes.container.terminationMessagePolicy";
export const graceAnnotation = "io.kubernetes.pod.terminationGracePeriod";
export const roleAnnotation = "cortado.local/container-role";
export const policyAnnotation = "cortado.local/restart-policy";
