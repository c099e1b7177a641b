// Rows of two threads: each with a table of its own, and one that makes what the other drops.

extension Catalog {
  /// Who takes part in rows with threads.
  private static let others = Contender.allBut(
    "jemalloc", "glibc", "mimalloc3", "tcmalloc", "tricolor", "tricolor-free", "bdwgc")

  static func threads(_ mode: Mode) -> [Row] {
    let operations = mode == .full ? "5000000" : "1000000"
    let variants = mode == .full ? ["leaf", "references"] : ["leaf"]
    let objects = mode == .full ? "20000000" : "4000000"
    let sizes = mode == .full ? [("64", "64 B"), ("mixed", "mixed sizes")] : [("64", "64 B")]
    return variants.map { variant in
      Row(
        workload: "threads", title: "churn \(variant), 2 threads, a table each", program: "threads",
        arguments: [variant, "2", "200000", operations], unit: .nsPerOperation, without: others)
    }
      + sizes.map { argument, text in
        Row(
          workload: "threads", title: "hand-over of \(text) to another thread", program: "handover",
          arguments: [argument, objects], unit: .nsPerOperation, without: others)
      }
  }
}
