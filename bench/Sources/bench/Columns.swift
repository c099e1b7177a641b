// What some programs print beyond time and memory, as further columns of a row's table. A column is there when any run of
// the row has its value, so that results read back from a file show the same.

struct Column: Sendable {
  let header: String
  let digits: Int
  /// nil: this run does not have it.
  let value: @Sendable (Sample) -> Double?

  init(_ header: String, digits: Int = 2, _ value: @escaping @Sendable (Sample) -> Double?) {
    self.header = header
    self.digits = digits
    self.value = value
  }

  /// One field divided by another.
  init(_ header: String, digits: Int = 2, _ field: String, per other: String) {
    self.init(header, digits: digits) { Column.quotient($0[field], $0[other]) }
  }

  static let all: [Column] = shapes + barriers + sweep + cleanups + threads + cache + scaling + stopDetails

  static func present(in result: RowResult) -> [Column] {
    all.filter { column in result.samples.contains { column.summary($0.runs) != nil } }
  }

  func summary(_ runs: [Sample]) -> Summary? { Summary(runs.compactMap(value)) }
  func text(_ runs: [Sample]) -> String { summary(runs)?.median.formatted(digits: digits) ?? "-" }

  static func quotient(_ a: Double?, _ b: Double?) -> Double? {
    guard let a, let b, b > 0 else { return nil }
    return a / b
  }

  static func product(_ a: Double?, _ b: Double?) -> Double? {
    guard let a, let b else { return nil }
    return a * b
  }

  static let mark = Column("mark ns/object", "mark_cpu_ns", per: "marked")

  /// CPU time of marking alone, of all markers, beside the loop of programs/plain_marker.h on the same graph.
  private static let shapes = [
    mark,
    Column("plain loop ns/object", "plain_ns", per: "reachable"),
    Column("mark / plain", "mark_cpu_ns", per: "plain_ns"),
  ]

  /// Per store; `raw` is plain stores into memory of no heap.
  private static let barriers = [
    Column("raw ns/store", "raw_store_ns", per: "raw_stores"),
    Column("barrier off", "off_store_ns", per: "off_stores"),
    Column("on", "on_store_ns", per: "on_stores"),
    Column("off / raw") { storeRatio($0, "off") },
    Column("on / raw") { storeRatio($0, "on") },
    Column("marking %", digits: 0) { $0["marking_share_permille"].map { $0 / 10 } },
  ]

  private static let sweep = [
    Column("ms/GiB") { quotient($0["sweep_ns"], $0["heap_bytes"]).map { $0 * 1_073_741_824 / 1e6 } }
  ]

  /// Per object; `add` is of what hangs on it, `run` of its cleanup.
  private static let cleanups = [
    Column("add ns", "add_ns", per: "objects"),
    Column("sweep ns", "sweep_ns", per: "objects"),
    Column("run ns", "run_ns", per: "objects"),
    Column("tie B", "tie_bytes", per: "objects"),
  ]

  /// Per operation; what the threads take together, as a multiple of what one alone did. Of wall time half is ideal.
  private static let threads = [
    Column("1 thread", "one_cpu_ns", per: "one_operations"),
    Column("CPU x 1 thread") { threadRatio($0, "cpu_ns") },
    Column("wall x 1 thread") { threadRatio($0, "wall_ns") },
  ]

  private static func threadRatio(_ run: Sample, _ field: String) -> Double? {
    quotient(quotient(run[field], run.operations), quotient(run["one_\(field)"], run["one_operations"]))
  }

  private static func storeRatio(_ run: Sample, _ way: String) -> Double? {
    quotient(quotient(run["\(way)_store_ns"], run["\(way)_stores"]), quotient(run["raw_store_ns"], run["raw_stores"]))
  }
}
