// A small random generator (splitmix64): the same sequence as in programs/measure.h.

final class SplitMix {
  private long state;

  SplitMix(long seed) { state = seed; }

  long next() {
    long z = state += 0x9e3779b97f4a7c15L;
    z = (z ^ (z >>> 30)) * 0xbf58476d1ce4e5b9L;
    z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
    return z ^ (z >>> 31);
  }

  int below(int bound) { return (int)(((next() >>> 32) * bound) >>> 32); }
}
