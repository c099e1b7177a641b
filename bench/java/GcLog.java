// Stops and cycles with their moment, from the log that the virtual machine was started with (see the Makefile): it
// alone has stops to the nanosecond. The file is named by the property bench.log and goes when it has been read.

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

final class GcLog {
  /// Every line begins with the time since the start of the machine; a stop's line is written at its end.
  private static final Pattern STOP =
      Pattern.compile("\\[(\\d+)ns\\] Safepoint \"(\\w+)\".*Reaching safepoint: +(\\d+) ns.*Total: +(\\d+) ns");
  /// A cycle beside the threads: "GC(7) Concurrent Mark Cycle 123.4ms", "GC(7) Major Collection (Warmup) 80M->40M
  /// 0.3s".
  private static final Pattern CYCLE =
      Pattern.compile("\\[(\\d+)ns\\] GC\\(\\d+\\) (?:Concurrent Mark Cycle|M\\w+ Collection) .*?([\\d.]+)(m?s)$");
  // Stops that no collection asked for are few; they count, since threads stand all the same.
  private final long beginNs;
  private long endNs;

  private GcLog() { beginNs = uptimeNs(); }

  static GcLog begin() { return new GcLog(); }
  void end() { endNs = uptimeNs(); }

  private static long uptimeNs() { return ManagementFactory.getRuntimeMXBean().getUptime() * 1_000_000; }

  String fields() {
    List<Long> ns = new ArrayList<>(), arrivals = new ArrayList<>();
    StringBuilder stops = new StringBuilder(), cycles = new StringBuilder();
    for (String line : lines()) {
      Matcher stop = STOP.matcher(line), cycle = CYCLE.matcher(line);
      if (stop.find()) {
        long total = Long.parseLong(stop.group(4)), at = Long.parseLong(stop.group(1)) - total - beginNs;
        if (at < 0 || at > endNs - beginNs) continue;
        ns.add(total);
        arrivals.add(Long.parseLong(stop.group(3)));
        stops.append(stops.isEmpty() ? "" : ",").append(at / 1000).append(':').append(total);
      } else if (cycle.find()) {
        long end = Long.parseLong(cycle.group(1)) - beginNs;
        long length = (long)(Double.parseDouble(cycle.group(2)) * (cycle.group(3).equals("ms") ? 1e6 : 1e9));
        if (end < 0 || end - length > endNs - beginNs) continue;
        cycles.append(cycles.isEmpty() ? "" : ",").append(Math.max(end - length, 0) / 1000).append('-');
        cycles.append(end / 1000);
      }
    }
    return ",\"stops\":" + ns.size() + quantiles("stop", ns) + quantiles("stop_arrival", arrivals) +
        ",\"timeline_stops\":\"" + stops + "\",\"timeline_cycles\":\"" + cycles + '"';
  }

  private static String quantiles(String name, List<Long> values) {
    if (values.isEmpty()) return "";
    Collections.sort(values);
    return ",\"" + name + "_ns_median\":" + quantile(values, 0.5) + ",\"" + name +
        "_ns_p99\":" + quantile(values, 0.99) + ",\"" + name + "_ns_longest\":" + quantile(values, 1);
  }

  private static long quantile(List<Long> sorted, double share) {
    return sorted.get(Math.max((int)Math.ceil(share * sorted.size()) - 1, 0));
  }

  /// For whoever ends without reading it.
  static void discard() {
    String name = System.getProperty("bench.log");
    if (name != null) Path.of(name).toFile().delete();
  }

  private static List<String> lines() {
    String name = System.getProperty("bench.log");
    if (name == null) return List.of();
    try {
      Path file = Path.of(name);
      List<String> lines = Files.readAllLines(file);
      Files.delete(file);
      return lines;
    } catch (IOException e) {
      Measure.fail("cache: the log of the virtual machine cannot be read: " + e.getMessage());
      return List.of();
    }
  }
}
