// One way into all workloads: the first argument names one, the others are its own.

import java.util.Arrays;

final class Main {
  public static void main(String[] arguments) {
    if (arguments.length == 0) Measure.fail("usage: Main WORKLOAD ARGUMENT...");
    String[] own = Arrays.copyOfRange(arguments, 1, arguments.length);
    switch (arguments[0]) {
    case "pairs" -> Pairs.run(own);
    case "batches" -> Batches.run(own);
    case "churn" -> Churn.run(own);
    case "trees" -> Trees.run(own);
    case "gcbench" -> Gcbench.run(own);
    case "cache" -> Cache.run(own);
    default -> Measure.fail("no such workload: " + arguments[0]);
    }
  }
}
