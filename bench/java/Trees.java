// What do trees of small linked objects cost in Java? As programs/trees.c.

final class Trees {
  private static final int DEPTH_MIN = 4;

  private static final class Node { Node left, right; }

  private static Node root;
  private static long allocated;

  private static Node makeTree(int depth) {
    Node node = new Node();
    if (depth > 0) {
      node.left = makeTree(depth - 1);
      node.right = makeTree(depth - 1);
    }
    return node;
  }

  private static long count(Node node) { return node.left == null ? 1 : 1 + count(node.left) + count(node.right); }

  private static long useTree(int depth) {
    long count = count(makeTree(depth));
    allocated += count;
    return count;
  }

  private static long allTrees(int depthMax) {
    long check = useTree(depthMax + 1);
    root = makeTree(depthMax);
    allocated += (2L << depthMax) - 1;
    for (int depth = DEPTH_MIN; depth <= depthMax; depth += 2)
      for (long i = 0; i < 1L << (depthMax - depth + DEPTH_MIN); i++) check += useTree(depth);
    return check + count(root);
  }

  static void run(String[] arguments) {
    if (arguments.length != 1) Measure.fail("usage: trees DEPTH");
    int depth = Integer.parseInt(arguments[0]);

    Measure m = Measure.begin();
    long check = allTrees(depth);
    m.end();

    if (check != allocated) Measure.fail("trees: nodes were lost");
    m.report("trees", "binary trees", allocated, check);
  }
}
