// An object of the churn that refers to its partner: a class per size, as a Java object has its references at
// fixed places. Above 128 bytes, where a class would have dozens of fields, the rest is an array of its own.

class Linked {
  Linked partner;
  long stamp;

  /// `bytes` as a C program would count them: two words and the rest.
  static Linked make(int bytes) {
    switch (bytes) {
    case 16: return new Linked();
    case 24: return new Linked24();
    case 32: return new Linked32();
    case 40: return new Linked40();
    case 48: return new Linked48();
    case 64: return new Linked64();
    case 96: return new Linked96();
    case 128: return new Linked128();
    default: return new LinkedArray(bytes);
    }
  }

  private static class Linked24 extends Linked { long word2; }

  private static class Linked32 extends Linked24 { long word3; }

  private static class Linked40 extends Linked32 { long word4; }

  private static class Linked48 extends Linked40 { long word5; }

  private static class Linked64 extends Linked48 { long word6, word7; }

  private static class Linked96 extends Linked64 { long word8, word9, word10, word11; }

  private static class Linked128 extends Linked96 { long word12, word13, word14, word15; }

  private static class LinkedArray extends Linked {
    final long[] rest;

    LinkedArray(int bytes) { rest = new long[bytes / Long.BYTES - 2]; }
  }
}
