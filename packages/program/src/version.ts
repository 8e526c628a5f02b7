/** Our own version; the Kubernetes version that we speak is a parameter of kinds. */
export const version = "0.1.0";
