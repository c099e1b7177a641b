// Timing of one measurement and the one line of JSON about it: the same fields as programs/measure.h prints.

import java.io.IOException;
import java.lang.management.GarbageCollectorMXBean;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;

final class Measure {
  private static final List<GarbageCollectorMXBean> COLLECTORS = ManagementFactory.getGarbageCollectorMXBeans();

  private final CpuClock clock = new CpuClock();
  private long cpuNs, wallNs, cycles;

  private Measure() {
    cycles = cyclesSoFar();
    wallNs = System.nanoTime();
    cpuNs = clock.ns();
  }

  static Measure begin() { return new Measure(); }

  /// From here on the fields hold durations.
  void end() {
    cpuNs = clock.ns() - cpuNs;
    wallNs = System.nanoTime() - wallNs;
    cycles = cyclesSoFar() - cycles;
  }

  void report(String workload, String variant, long operations, long check) {
    report(workload, variant, operations, check, "");
  }

  /// Numbers are unsigned, as everywhere; further fields each have a comma before them.
  void report(String workload, String variant, long operations, long check, String fields) {
    System.out.printf(
        "{\"workload\":\"%s\",\"contender\":\"java\",\"variant\":\"%s\",\"cpu_ns\":%d,\"wall_ns\":%d,"
            + "\"operations\":%d,\"cycles\":%d,\"check\":%s,\"peak_rss_bytes\":%d,\"allocator\":\"%s\"%s}%n",
        workload, variant, cpuNs, wallNs, operations, cycles, Long.toUnsignedString(check), peakRssBytes(), runtime(),
        fields);
  }

  static void fail(String what) {
    GcLog.discard();
    System.err.println("bench: " + what);
    System.exit(1);
  }

  /// Collections that free memory: concurrent marks (G1) and single stops (ZGC) have beans of their own.
  private static long cyclesSoFar() {
    long count = 0;
    for (GarbageCollectorMXBean collector : COLLECTORS) {
      String name = collector.getName();
      if (!name.contains("Concurrent") && !name.contains("Pauses")) count += collector.getCollectionCount();
    }
    return count;
  }

  /// Version and collector, both as they name themselves.
  private static String runtime() {
    String collectors = COLLECTORS.stream().map(GarbageCollectorMXBean::getName).collect(Collectors.joining(", "));
    return "OpenJDK " + Runtime.version() + " (" + collectors + ")";
  }

  /// The largest resident size this process ever had, 0 if the system does not say.
  private static long peakRssBytes() {
    try {
      for (String line : Files.readAllLines(Path.of("/proc/self/status")))
        if (line.startsWith("VmHWM:")) return Long.parseLong(line.replaceAll("\\D", "")) * 1024;
    } catch (IOException e) {
      return 0;
    }
    return 0;
  }
}
