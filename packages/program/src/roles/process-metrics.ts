import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Metrics } from "@cortado/std/metrics";

/** Declares what Prometheus clients say of their own process, and the longest stall of the event loop. */
export function watchProcess(metrics: Metrics): Disposable {
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  const rss = metrics.gauge("process_resident_memory_bytes", { help: "Resident memory size in bytes." });
  const cpu = metrics.gauge("process_cpu_seconds_total", {
    help: "Total user and system CPU time spent in seconds.",
  });
  const stall = metrics.gauge("nodejs_eventloop_lag_max_seconds", {
    help: "Longest stall of the event loop since the last look.",
  });
  const high = metrics.gauge("nodejs_eventloop_lag_p99_seconds", {
    help: "The 99th percentile of the event loop's stalls since the last look.",
  });
  metrics.beforeText(() => {
    const { user, system } = process.cpuUsage();
    rss.set(process.memoryUsage.rss());
    cpu.set((user + system) / 1e6);
    stall.set(delay.max / 1e9);
    high.set(delay.percentile(99) / 1e9);
    delay.reset();
  });
  return { [Symbol.dispose]: () => void delay.disable() };
}
