/** Every number of the room, with unit and source. */

/** A file of a bundle that is read at all; a chart with its dependencies is under 2 MB, an object over 1.5 MB no API server takes. */
export const FILE_BYTES_MAX: number = 16 * 1024 * 1024;

/** fleet.yaml, .fleetignore and values files: they are read whole and parsed on the hub's own loop. */
export const SETTINGS_BYTES_MAX: number = 1024 * 1024;

/** A file of manifests, and objects of a bundle: they are parsed on the hub's own loop, 2 MB a second when objects are small. */
export const MANIFEST_BYTES_MAX: number = 8 * 1024 * 1024;
/** Manifests up to this length are read where they are needed, in some 60 ms at most; longer ones in a thread of their own, */
export const READ_HERE_CHARS_MAX: number = 128 * 1024;
/** which has so long, */
export const READ_MS_MAX = 60_000;
/** and gives so many documents back at once. */
export const DOCUMENTS_AT_ONCE = 50;
export const BUNDLE_OBJECTS_MAX = 5_000;

/** All files of one bundle. Fleet's wall is 1 MB; ours only keeps the hub's memory bounded. */
export const BUNDLE_BYTES_MAX: number = 64 * 1024 * 1024;
export const BUNDLE_FILES_MAX = 5_000;

/** All bundles of one repository together. */
export const REPOSITORY_BYTES_MAX: number = 256 * 1024 * 1024;
/** Names only: nothing of a file is read to list it. About 200 bytes each. */
export const REPOSITORY_FILES_MAX = 500_000;
/** Fleet's users run up to 231 bundles (issue 499); each of ours may become rows in every store. */
export const REPOSITORY_BUNDLES_MAX = 2_000;

/** Symbolic links that may lead to one another (Linux's own limit, path_resolution(7)). */
export const LINKS_MAX = 40;
export const LINK_BYTES_MAX = 4_096;

/** What one template may do: nodes run, bytes written. A million nodes take about half a second. */
export const TEMPLATE_STEPS_MAX = 1_000_000;
export const TEMPLATE_BYTES_MAX: number = 1024 * 1024;
/** Blocks in blocks, and templates that call themselves (Go's own limit is 100,000 calls; its stack is larger). */
export const TEMPLATE_DEPTH_MAX = 100;

/** Depth to which `global.fleet.clusterLabels.` literals are replaced (Fleet, internal/cmd/controller/target). */
export const LITERAL_DEPTH_MAX = 50;

/** Helm and kubectl: how long one run may take and what it may say. */
export const RENDER_MS_MAX = 60_000;
export const RENDER_BYTES_MAX: number = 16 * 1024 * 1024;
/** Address space of one run, KiB: a template that builds a string without end ends there, and not the hub. */
export const RENDER_SPACE_KIB = 4_000_000;

/** Runs of helm or kubectl at one time: each takes a core and up to 200 MB. */
export const RENDERS_MAX = 2;
