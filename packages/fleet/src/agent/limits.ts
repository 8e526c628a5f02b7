/** Every number of the agent, with unit and source. */

/** A DNS subdomain (apimachinery, pkg/util/validation). */
export const OBJECT_NAME_MAX = 253;
/** Base64 of one key of a Secret; a Secret is 1 MiB at most (kubernetes, pkg/apis/core/types.go, MaxSecretSize), and it has two. */
export const RECORD_BYTES_MAX: number = 500 * 1024;
/** How long a new CustomResourceDefinition may take to be served; it is a second in practice. */
export const ESTABLISHED_MS_MAX = 30_000;
export const ESTABLISHED_LOOK_MS = 200;
