// How long operations took, counted and printed as programs/latency.h does.

final class Latency {
  private static final int STEPS = 64, STEP_BITS = 6, BITS = 42;
  private static final int BUCKETS = (BITS - STEP_BITS + 1) * STEPS;
  private static final int WINDOWS = 4096;
  private static final long WINDOW_NS = 50_000_000;

  private final long[] count = new long[BUCKETS], windowMax = new long[WINDOWS];
  private long max, operations;

  private static int bucket(long ns) {
    if (ns < STEPS) return (int)ns;
    if (ns >>> BITS != 0) return BUCKETS - 1;
    int shift = 63 - STEP_BITS - Long.numberOfLeadingZeros(ns);
    return (shift + 1) * STEPS + (int)(ns >>> shift) - STEPS;
  }

  /// An operation took `ns` and ended `atNs` after the beginning.
  void record(long ns, long atNs) {
    long taken = Math.max(ns, 0);
    int window = (int)Math.min(atNs / WINDOW_NS, WINDOWS - 1);
    count[bucket(taken)]++;
    operations++;
    if (taken > windowMax[window]) windowMax[window] = taken;
    if (taken > max) max = taken;
  }

  void add(Latency more) {
    for (int i = 0; i < BUCKETS; i++) count[i] += more.count[i];
    for (int i = 0; i < WINDOWS; i++) windowMax[i] = Math.max(windowMax[i], more.windowMax[i]);
    max = Math.max(max, more.max);
    operations += more.operations;
  }

  long operations() { return operations; }

  String fields() {
    StringBuilder text = new StringBuilder(",\"latency_max_ns\":").append(max).append(",\"latency_histogram\":\"");
    String separator = "";
    for (int i = 0; i < BUCKETS; i++) {
      if (count[i] == 0) continue;
      text.append(separator).append(i).append(':').append(count[i]);
      separator = ",";
    }
    text.append("\",\"latency_windows_us\":\"");
    int last = WINDOWS;
    while (last > 0 && windowMax[last - 1] == 0) last--;
    for (int i = 0; i < last; i++) text.append(i > 0 ? "," : "").append(windowMax[i] / 1000);
    return text.append('"').toString();
  }
}
