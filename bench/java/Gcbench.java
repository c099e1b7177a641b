// GCBench in Java. As programs/gcbench.c.

final class Gcbench {
  private static final int DEPTH_MIN = 4, STRETCH = 2, DOUBLES_AT_16 = 500_000;

  private static final class Node {
    Node left, right;
    int i, j;
  }

  private static Node rootTree, sink;
  private static double[] rootArray;
  private static long allocated;

  private static long treeSize(int depth) { return (2L << depth) - 1; }

  private static Node newNode(Node left, Node right) {
    Node node = new Node();
    node.left = left;
    node.right = right;
    allocated++;
    return node;
  }

  private static void populate(int depth, Node node) {
    if (depth == 0) return;
    node.left = newNode(null, null);
    node.right = newNode(null, null);
    populate(depth - 1, node.left);
    populate(depth - 1, node.right);
  }

  private static Node makeFromBottom(int depth) {
    if (depth == 0) return newNode(null, null);
    Node left = makeFromBottom(depth - 1), right = makeFromBottom(depth - 1);
    return newNode(left, right);
  }

  private static Node makeFromTop(int depth) {
    Node node = newNode(null, null);
    populate(depth, node);
    return node;
  }

  private static long count(Node node) { return node == null ? 0 : 1 + count(node.left) + count(node.right); }

  private static void shortLivedTrees(int depth, int depthMax) {
    long iterations = 2 * treeSize(depthMax + STRETCH) / treeSize(depth);
    for (long i = 0; i < iterations; i++) sink = makeFromTop(depth);
    for (long i = 0; i < iterations; i++) sink = makeFromBottom(depth);
    sink = null;
  }

  private static double[] makeArray(int count) {
    double[] array = new double[count];
    for (int i = 0; i < count / 2; i++) array[i] = 1.0 / (i + 1);
    return array;
  }

  private static long allTrees(int depthMax) {
    sink = makeFromBottom(depthMax + STRETCH);
    sink = null;
    rootTree = makeFromTop(depthMax);
    rootArray = makeArray((int)((long)DOUBLES_AT_16 << depthMax >> 16));
    for (int depth = DEPTH_MIN; depth <= depthMax; depth += 2) shortLivedTrees(depth, depthMax);
    return count(rootTree);
  }

  static void run(String[] arguments) {
    if (arguments.length != 1) Measure.fail("usage: gcbench DEPTH");
    int depth = Integer.parseInt(arguments[0]);

    Measure m = Measure.begin();
    long live = allTrees(depth);
    m.end();

    if (live != treeSize(depth) || rootArray[999] != 1.0 / 1000) Measure.fail("gcbench: what should live is damaged");
    m.report("gcbench", "gcbench", allocated, live);
  }
}
