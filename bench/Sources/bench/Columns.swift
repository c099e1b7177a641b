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

  static let all: [Column] = shapes + scaling

  static func present(in result: RowResult) -> [Column] {
    all.filter { column in result.samples.contains { column.summary($0.runs) != nil } }
  }

  func summary(_ runs: [Sample]) -> Summary? { Summary(runs.compactMap(value)) }
  func text(_ runs: [Sample]) -> String { summary(runs)?.median.formatted(digits: digits) ?? "-" }

  static func quotient(_ a: Double?, _ b: Double?) -> Double? {
    guard let a, let b, b > 0 else { return nil }
    return a / b
  }

  static let mark = Column("mark ns/object", "mark_cpu_ns", per: "marked")

  /// CPU time of marking alone, of all markers, beside the loop of programs/plain_marker.h on the same graph.
  private static let shapes = [
    mark,
    Column("plain loop ns/object", "plain_ns", per: "reachable"),
    Column("mark / plain", "mark_cpu_ns", per: "plain_ns"),
  ]
}
