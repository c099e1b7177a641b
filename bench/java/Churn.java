// What does replacing random entries of a large table cost in Java? As programs/churn.c; see Linked for the
// objects with references.

final class Churn {
  /// Sizes in bytes and how many of 256 objects have them.
  private static final int[][] SIZES = {{16, 52}, {24, 28}, {32, 48},  {40, 20},  {48, 28},
                                        {64, 30}, {96, 16}, {128, 12}, {192, 8},  {256, 6},
                                        {384, 3}, {512, 2}, {1024, 1}, {2048, 1}, {4096, 1}};

  private static final int[] BYTES_OF_SHARE = new int[256];

  private interface Table {
    /// The stamp of the object that was there, 0 for none.
    long replace(int slot, int bytes, long stamp);
  }

  private static final class Leaves implements Table {
    private final long[][] table;

    Leaves(int slots) { table = new long[slots][]; }

    @Override
    public long replace(int slot, int bytes, long stamp) {
      long[] old = table[slot];
      long seen = old == null ? 0 : old[0];
      long[] object = new long[bytes / Long.BYTES];
      object[0] = stamp;
      table[slot] = object;
      return seen;
    }
  }

  private static final class References implements Table {
    private final Linked[] table;

    References(int slots) { table = new Linked[slots]; }

    @Override
    public long replace(int slot, int bytes, long stamp) {
      Linked old = table[slot], partner = table[slot ^ 1];
      long seen = old == null ? 0 : old.stamp;
      Linked object = Linked.make(bytes);
      object.partner = partner;
      object.stamp = stamp;
      table[slot] = object;
      if (partner != null) partner.partner = object;
      return seen;
    }
  }

  private static void spreadShares() {
    int next = 0;
    for (int[] size : SIZES)
      for (int k = 0; k < size[1]; k++) BYTES_OF_SHARE[next++] = size[0];
  }

  private static int randomBytes(SplitMix random) { return BYTES_OF_SHARE[(int)random.next() & 255]; }

  private static long replaceMany(Table table, int slots, long operations, SplitMix random) {
    long seen = 0;
    for (long i = 0; i < operations; i++) {
      int slot = random.below(slots);
      seen = seen * 31 + table.replace(slot, randomBytes(random), i);
    }
    return seen;
  }

  static void run(String[] arguments) {
    if (arguments.length != 3) Measure.fail("usage: churn leaf|references SLOTS OPERATIONS");
    int slots = Integer.parseInt(arguments[1]) & ~1;
    long operations = Long.parseLong(arguments[2]);
    SplitMix random = new SplitMix(42);
    spreadShares();
    Table table = arguments[0].equals("references") ? new References(slots) : new Leaves(slots);
    for (int slot = 0; slot < slots; slot++) table.replace(slot, randomBytes(random), slot);

    Measure m = Measure.begin();
    long seen = replaceMany(table, slots, operations, random);
    m.end();

    m.report("churn", arguments[0], operations, seen);
  }
}
