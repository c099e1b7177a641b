// How long does an operation on a large cache take at worst in Java? As programs/cache.c, without `stops`.

import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.locks.LockSupport;

final class Cache implements Runnable {
  private static final int CHECKED = 20000, MOST_THREADS = 127, WARM_OPERATIONS_PER_KEY = 3;

  private static boolean open;
  private static int threads;
  private static long liveBytes, runNs, warmNs, rate;
  private static double intervalNs;
  private static CyclicBarrier barrier;

  private final int index;
  private final Latency latency = new Latency();
  private CacheTable table;
  private long check, done;

  private Cache(int index) { this.index = index; }

  private static void await() {
    try {
      barrier.await();
    } catch (Exception e) {
      throw new IllegalStateException("a thread of the cache has ended", e);
    }
  }

  private void operate() {
    table.operate();
    if (++done == CHECKED) check = table.seen();
  }

  private void warmUp() {
    long end = System.nanoTime() + warmNs;
    long least = Math.max(CHECKED, (long)WARM_OPERATIONS_PER_KEY * table.keys());
    while (done < least || System.nanoTime() - end < 0) operate();
  }

  private void runClosed() {
    long start = System.nanoTime();
    for (long last = start; last - start < runNs;) {
      operate();
      long now = System.nanoTime();
      latency.record(now - last, now - start);
      last = now;
    }
  }

  private void runOpen() {
    long start = System.nanoTime(), now = start;
    double offset = intervalNs * index / threads;
    for (long count = 0;; count++) {
      long due = start + (long)(offset + intervalNs * count);
      if (due - start >= runNs) return;
      while (now < due) {
        LockSupport.parkNanos(due - now);
        now = System.nanoTime();
      }
      operate();
      now = System.nanoTime();
      latency.record(now - due, now - start);
    }
  }

  @Override
  public void run() {
    try {
      table = new CacheTable(liveBytes / threads, 1000 + index);
      await();
      warmUp();
      await();
      if (open)
        runOpen();
      else
        runClosed();
      await();
      table.check();
    } catch (OutOfMemoryError e) {
      Measure.fail("cache: the heap is full");
    }
  }

  private static long number(String text, String what, long least, long most) {
    try {
      long value = Long.parseLong(text);
      if (value >= least && value <= most) return value;
    } catch (NumberFormatException e) {
      // said below
    }
    Measure.fail(String.format("cache: %s must be a number from %d to %d, not '%.40s'", what, least, most, text));
    return 0;
  }

  private static void readArguments(String[] arguments) {
    open = arguments.length > 0 && arguments[0].equals("open");
    boolean known = open || (arguments.length > 0 && arguments[0].equals("closed"));
    if (!known || arguments.length != (open ? 5 : 4))
      Measure.fail(
          "usage: cache closed THREADS LIVE_MIB MILLISECONDS, or cache open THREADS LIVE_MIB MILLISECONDS RATE");
    threads = (int)number(arguments[1], "THREADS", 1, MOST_THREADS);
    liveBytes = number(arguments[2], "LIVE_MIB", 1, 65536) << 20;
    runNs = number(arguments[3], "MILLISECONDS", 10, 200000) * 1_000_000;
    warmNs = runNs >= 1_000_000_000 ? Math.max(runNs / 4, 500_000_000) : runNs / 4;
    if (!open) return;
    rate = number(arguments[4], "RATE", 1, 1_000_000_000);
    intervalNs = 1e9 * threads / rate;
  }

  static void run(String[] arguments) {
    readArguments(arguments);
    barrier = new CyclicBarrier(threads + 1);
    Cache[] members = new Cache[threads];
    Thread[] running = new Thread[threads];
    for (int i = 0; i < threads; i++) {
      members[i] = new Cache(i);
      running[i] = new Thread(members[i]);
      running[i].start();
    }
    await();
    Measure.begin(); // the first one loads classes
    GcLog log = GcLog.begin();
    await();
    Measure m = Measure.begin();
    await();
    m.end();
    log.end();
    for (Thread thread : running) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        throw new IllegalStateException(e);
      }
    }
    report(arguments[0], m, members, log);
  }

  private static void report(String variant, Measure m, Cache[] members, GcLog log) {
    Latency all = new Latency();
    long check = 0, held = 0;
    for (Cache member : members) {
      all.add(member.latency);
      check = check * 31 + member.check;
      held += member.table.heldBytes();
    }
    String fields = ",\"threads\":" + threads + ",\"held_bytes\":" + held + (open ? ",\"rate\":" + rate : "");
    m.report("cache", variant, all.operations(), check, fields + all.fields() + log.fields());
  }
}
