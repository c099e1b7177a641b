// What do many objects cost in Java that die together? As programs/batches.c; Java zeroes every object.

import java.util.Arrays;

final class Batches {
  private static final int BATCH_BYTES = 4 << 20;

  private static long[][] table;

  private static void fill(long[][] table, int words, long round) {
    for (int i = 0; i < table.length; i++) {
      long[] object = new long[words];
      object[0] = round + i;
      table[i] = object;
    }
  }

  private static long drop(long[][] table, long round) {
    long wrong = 0;
    for (int i = 0; i < table.length; i++)
      if (table[i][0] != round + i) wrong++;
    Arrays.fill(table, null);
    return wrong;
  }

  static void run(String[] arguments) {
    if (arguments.length != 3) Measure.fail("usage: batches BYTES leaf|zeroed ROUNDS");
    int bytes = Integer.parseInt(arguments[0]);
    long rounds = Long.parseLong(arguments[2]), wrong = 0;
    table = new long[BATCH_BYTES / bytes][];

    Measure m = Measure.begin();
    for (long round = 0; round < rounds; round++) {
      fill(table, bytes / Long.BYTES, round);
      wrong += drop(table, round);
    }
    m.end();

    if (wrong != 0) Measure.fail("batches: an object did not hold what was written");
    m.report("batches", arguments[1], rounds * table.length, rounds);
  }
}
