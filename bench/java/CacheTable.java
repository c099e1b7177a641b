// The cache of programs/cache_table.h: the same objects, sizes and order of random numbers.

final class CacheTable {
  private static final class Part {
    Part next;
    long stamp, unused0, unused1;
  }

  private static final class Entry {
    Entry next;
    long[] value;
    Part parts;
    long key, sum;
    int stamp;
  }

  private static final int[] VALUE_BYTES = {32, 32, 32, 32, 32, 48, 48, 48, 64, 64, 64, 96, 128, 128, 256, 512};
  private static final int PARTS = 2, ENTRY_BYTES = 48 + 101 + PARTS * 32, REPLACE_OF_4 = 3;

  private final SplitMix random;
  private final Entry[] buckets;
  private final int keys, shift;
  private int stamp;
  private long seen, heldBytes;

  CacheTable(long bytes, long seed) {
    random = new SplitMix(seed);
    keys = (int)(bytes / (ENTRY_BYTES + 8));
    int log = 1;
    while ((2L << log) < keys) log++;
    shift = 64 - log;
    buckets = new Entry[1 << log];
    heldBytes = 8L << log;
    for (int key = 0; key < keys; key++) {
      Entry entry = make(key);
      int bucket = bucket(key);
      entry.next = buckets[bucket];
      buckets[bucket] = entry;
      heldBytes += 48 + PARTS * 32 + entry.value.length * 8L;
    }
  }

  /// What all lookups read, folded.
  long seen() { return seen; }

  int keys() { return keys; }

  /// Of the objects, as programs in C ask for.
  long heldBytes() { return heldBytes; }

  private int bucket(long key) { return (int)(key * 0x9e3779b97f4a7c15L >>> shift); }

  private Entry make(long key) {
    long stamp = Integer.toUnsignedLong(this.stamp++), sum = 0;
    long[] value = new long[VALUE_BYTES[(int)(random.next() >>> 60)] / 8];
    for (int i = 0; i < value.length; i++) sum += value[i] = key * 31 + stamp + i;
    Part parts = null;
    for (int i = 0; i < PARTS; i++) {
      Part part = new Part();
      part.next = parts;
      part.stamp = key + stamp + i;
      parts = part;
    }
    Entry entry = new Entry();
    entry.value = value;
    entry.parts = parts;
    entry.key = key;
    entry.sum = sum;
    entry.stamp = (int)stamp;
    return entry;
  }

  private static void verify(Entry entry) {
    long stamp = Integer.toUnsignedLong(entry.stamp), sum = 0;
    int i = PARTS;
    for (Part part = entry.parts; part != null; part = part.next)
      if (part.stamp != entry.key + stamp + --i) Measure.fail("cache: a part of an entry is damaged");
    for (long word : entry.value) sum += word;
    if (i != 0 || sum != entry.sum) Measure.fail("cache: an entry is damaged");
  }

  /// One operation: looks a random key up, verifies what it finds, and most of the time replaces it.
  void operate() {
    long random = this.random.next();
    long key = (random >>> 32) * keys >>> 32;
    int bucket = bucket(key);
    Entry before = null, old = buckets[bucket];
    while (old != null && old.key != key) {
      before = old;
      old = old.next;
    }
    if (old == null) {
      Measure.fail("cache: a key is lost");
      return;
    }
    verify(old);
    seen = seen * 31 + old.sum;
    if ((random & 3) >= REPLACE_OF_4) return;
    Entry entry = make(key);
    entry.next = old.next;
    if (before == null)
      buckets[bucket] = entry;
    else
      before.next = entry;
  }

  /// Every key is there once and whole.
  void check() {
    int found = 0;
    for (Entry first : buckets)
      for (Entry entry = first; entry != null; entry = entry.next, found++) verify(entry);
    if (found != keys) Measure.fail("cache: keys were lost or doubled");
  }
}
