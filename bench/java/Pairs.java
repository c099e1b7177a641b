// What does one short-lived object cost in Java? As programs/pairs.c; Java zeroes every object.

final class Pairs {
  private static final int NODE_BYTES = 64;

  private static final class Node {
    Node left, right;
    long value0, value1, value2, value3, value4, value5;
  }

  private static Node root;
  private static long[] sink;

  private static Node makeTree(int nodes) {
    if (nodes == 0) return null;
    Node node = new Node();
    int left = (nodes - 1) / 2;
    node.left = makeTree(left);
    node.right = makeTree(nodes - 1 - left);
    node.value0 = nodes;
    return node;
  }

  private static int countTree(Node node) {
    return node == null ? 0 : 1 + countTree(node.left) + countTree(node.right);
  }

  /// Every object is stored where other threads may see it, so the compiler cannot drop it.
  private static long pairs(int words, long operations) {
    long wrong = 0;
    for (long i = 0; i < operations; i++) {
      sink = new long[words];
      sink[0] = i;
      if (sink[0] != i) wrong++;
    }
    return wrong;
  }

  static void run(String[] arguments) {
    if (arguments.length != 4) Measure.fail("usage: pairs BYTES leaf|zeroed LIVE_MIB OPERATIONS");
    int bytes = Integer.parseInt(arguments[0]), live = Integer.parseInt(arguments[2]) * (1 << 20) / NODE_BYTES;
    long operations = Long.parseLong(arguments[3]);
    root = makeTree(live);

    Measure m = Measure.begin();
    long wrong = pairs(bytes / Long.BYTES, operations);
    m.end();

    if (wrong != 0 || countTree(root) != live) Measure.fail("pairs: an object was damaged");
    m.report("pairs", arguments[1], operations, operations + live);
  }
}
