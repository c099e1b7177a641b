// What is measured: every row is one program with arguments, run by each contender that has it built.

struct Row {
  /// The names are those of the JSON.
  enum Unit: String {
    case nsPerOperation = "ns_per_operation"
    case milliseconds = "ms"

    var text: String { self == .nsPerOperation ? "ns per operation" : "ms" }
  }

  let workload: String
  let title: String
  let program: String
  var arguments: [String]
  let unit: Unit
  /// What ratios refer to.
  var baseline = "jemalloc"
  /// Contenders that this row leaves out, and why, is written in the README.
  var without: [String] = []
  /// Where the table says what a collected heap kept alive, and whether its count was right.
  var showsMarked = false
  /// Memory that must be available, or the row is skipped.
  var needsBytes: UInt64 = 0
  /// Fewer runs than other rows, for those that take minutes and repeat inside what they measure.
  var runsAtMost: Int? = nil
  /// The last argument, known only once another row has been measured.
  var rate: Rate? = nil

  /// Operations a second, as a share of what a contender reached in a row before.
  struct Rate {
    let title, contender: String
    let share: Double
  }
}

struct Catalog {
  enum Mode {
    case quick
    case full
  }

  static let workloads = [
    "pairs", "batches", "churn", "trees", "gcbench", "mark", "shapes", "barriers", "sweep", "cleanups", "threads",
    "scaling", "cache", "stops", "heaps", "layouts", "limits", "replay",
  ]
  static let smallBytes = [16, 32, 48, 64, 96, 128]

  let rows: [Row]

  init(mode: Mode, traces: [Trace]) {
    rows =
      Catalog.pairs(mode) + Catalog.batches(mode) + Catalog.churn(mode) + Catalog.trees(mode)
      + Catalog.gcbench(mode) + Catalog.mark(mode) + Catalog.shapes(mode) + Catalog.barriers(mode)
      + Catalog.sweep(mode) + Catalog.cleanups(mode) + Catalog.threads(mode) + Catalog.scaling(mode)
      + Catalog.scalingLines(mode) + Catalog.cache(mode) + Catalog.many(mode)
      + Catalog.limits(mode) + Catalog.replay(mode, traces)
  }

  /// What is compared across two rows, zeroed with jemalloc's leaf of the same size, is measured one after the other: a
  /// shared machine's speed changes by half from one minute to the next.
  private static func pairs(_ mode: Mode) -> [Row] {
    var rows: [Row] = []
    for liveMiB in [0, 1] {
      let sizes = ["leaf", "zeroed"].map { pairBytes(mode, $0, liveMiB: liveMiB) }
      for bytes in Set(sizes.joined()).sorted() {
        for (variant, measured) in zip(["leaf", "zeroed"], sizes) where measured.contains(bytes) {
          rows.append(pair(mode, variant, bytes: bytes, liveMiB: liveMiB))
        }
      }
    }
    return rows
  }

  private static func pairBytes(_ mode: Mode, _ variant: String, liveMiB: Int) -> [Int] {
    if mode == .full { return smallBytes + [256, 1024, 4096] }
    if liveMiB > 0 { return [64] }
    return variant == "leaf" ? smallBytes + [1024] : smallBytes
  }

  private static func pair(_ mode: Mode, _ variant: String, bytes: Int, liveMiB: Int) -> Row {
    // A collector with a heap of 4 MiB runs more than 100 cycles in 450 MiB; the long form allocates more.
    let total = (mode == .full ? 1800 : 450) << 20
    let isShort = mode == .quick && (variant == "zeroed" || [32, 48, 96].contains(bytes))
    return Row(
      workload: "pairs", title: pairTitle(variant, bytes: bytes, liveMiB: liveMiB), program: "pairs",
      arguments: ["\(bytes)", variant, "\(liveMiB)", "\(total / bytes)"], unit: .nsPerOperation,
      without: (isShort ? ["go", "bdwgc", "mimalloc2", "tcmalloc"] : []) + withoutJava(mode, variant, bytes))
  }

  /// A virtual machine takes longest to start: in the short form it allocates one size.
  private static func withoutJava(_ mode: Mode, _ variant: String, _ bytes: Int) -> [String] {
    mode == .full || (variant == "leaf" && bytes == 64) ? [] : Contender.javas
  }

  static func pairTitle(_ variant: String, bytes: Int, liveMiB: Int) -> String {
    "pairs \(variant) \(bytes) B, \(liveMiB == 0 ? "nothing" : "\(liveMiB) MiB") live"
  }

  private static func batches(_ mode: Mode) -> [Row] {
    let leaf = mode == .full ? smallBytes + [256] : [16, 64, 256]
    let zeroed = mode == .full ? smallBytes + [256] : [64]
    let rounds = mode == .full ? 300 : 100
    return [("leaf", leaf), ("zeroed", zeroed)].flatMap { variant, sizes in
      sizes.map { bytes in
        Row(
          workload: "batches", title: "batches \(variant) \(bytes) B", program: "batches",
          arguments: ["\(bytes)", variant, "\(rounds)"], unit: .nsPerOperation,
          without: (mode == .quick && variant == "zeroed" ? ["go"] : []) + withoutJava(mode, variant, bytes))
      }
    }
  }

  private static func churn(_ mode: Mode) -> [Row] {
    let operations = mode == .full ? 10_000_000 : 2_000_000
    return ["leaf", "references"].map { variant in
      Row(
        workload: "churn", title: "churn \(variant)", program: "churn",
        arguments: [variant, "200000", "\(operations)"], unit: .nsPerOperation)
    }
  }

  private static func trees(_ mode: Mode) -> [Row] {
    [
      Row(
        workload: "trees", title: "binary trees depth 18", program: "trees", arguments: ["18"],
        unit: .milliseconds)
    ]
  }

  private static func gcbench(_ mode: Mode) -> [Row] {
    (mode == .full ? [16, 18] : [16]).map { depth in
      Row(
        workload: "gcbench", title: "gcbench depth \(depth)", program: "gcbench", arguments: ["\(depth)"],
        unit: .milliseconds)
    }
  }

  /// Reads of cache lines as the marker's unit: no heap takes part, so one contender stands for all.
  private static let lines = Row(
    workload: "mark", title: linesTitle, program: "lines", arguments: ["10000000", "20000000"],
    unit: .nsPerOperation, baseline: "glibc", without: Contender.all.map(\.name).filter { $0 != "glibc" })
  static let linesTitle = "lines (what the machine allows), independent reads of 64 B in 640 MB"

  private static func mark(_ mode: Mode) -> [Row] {
    [lines]
      + (mode == .full ? ["random", "tree", "list"] : ["random"]).map { shape in
        Row(
          workload: "mark", title: "mark \(shape) 10 M", program: "mark",
          arguments: [shape, "10000000", "3"], unit: .milliseconds, baseline: "bdwgc",
          showsMarked: true)
      }
  }

  private static func replay(_ mode: Mode, _ traces: [Trace]) -> [Row] {
    traces.flatMap { trace in
      let linked = Row(
        workload: "replay", title: replayTitle(trace.name), program: "replay", arguments: [trace.file],
        unit: .nsPerOperation,
        without: mode == .quick ? ["glibc", "go", "bdwgc", "mimalloc2", "tcmalloc"] : [])
      let leaf = Row(
        workload: "replay", title: "replay \(trace.name), leaves only", program: "replay",
        arguments: ["--leaf", trace.file], unit: .nsPerOperation)
      return mode == .full ? [linked, leaf] : [linked]
    }
  }

  private static func replayTitle(_ trace: String) -> String { "replay \(trace)" }
}
