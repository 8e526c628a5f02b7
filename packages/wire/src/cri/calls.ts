/** Each call with the messages it takes and gives. Responses without content, or whose content we never read, are `Empty`. */
export const calls = {
  Version: ["RuntimeService", "Empty", "VersionResponse"],
  Status: ["RuntimeService", "Empty", "RuntimeStatusResponse"],
  RunPodSandbox: ["RuntimeService", "RunPodSandboxRequest", "IdMessage"],
  StopPodSandbox: ["RuntimeService", "IdMessage", "Empty"],
  RemovePodSandbox: ["RuntimeService", "IdMessage", "Empty"],
  PodSandboxStatus: ["RuntimeService", "StatusRequest", "PodSandboxStatusResponse"],
  ListPodSandbox: ["RuntimeService", "ListPodSandboxRequest", "ListPodSandboxResponse"],
  CreateContainer: ["RuntimeService", "CreateContainerRequest", "IdMessage"],
  StartContainer: ["RuntimeService", "IdMessage", "Empty"],
  StopContainer: ["RuntimeService", "StopContainerRequest", "Empty"],
  RemoveContainer: ["RuntimeService", "IdMessage", "Empty"],
  ListContainers: ["RuntimeService", "ListContainersRequest", "ListContainersResponse"],
  ContainerStatus: ["RuntimeService", "StatusRequest", "ContainerStatusResponse"],
  ReopenContainerLog: ["RuntimeService", "IdMessage", "Empty"],
  ExecSync: ["RuntimeService", "ExecSyncRequest", "ExecSyncResponse"],
  Exec: ["RuntimeService", "ExecRequest", "UrlResponse"],
  Attach: ["RuntimeService", "AttachRequest", "UrlResponse"],
  PortForward: ["RuntimeService", "PortForwardRequest", "UrlResponse"],
  ListContainerStats: ["RuntimeService", "Empty", "ListContainerStatsResponse"],
  ListImages: ["ImageService", "Empty", "ListImagesResponse"],
  ImageStatus: ["ImageService", "ImageRequest", "ImageStatusResponse"],
  PullImage: ["ImageService", "PullImageRequest", "PullImageResponse"],
  RemoveImage: ["ImageService", "ImageRequest", "Empty"],
  ImageFsInfo: ["ImageService", "Empty", "ImageFsInfoResponse"],
} as const;

export type CallName = keyof typeof calls;

/** The gRPC path of a call. */
export function callPath(name: CallName): string {
  return `/runtime.v1.${calls[name][0]}/${name}`;
}
