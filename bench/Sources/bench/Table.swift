// One row's contenders as a table of text: CPU time decides, wall time and peak memory stand beside it.

struct Table {
  let result: RowResult
  private let columns: [Column]

  init(_ result: RowResult) {
    self.result = result
    columns = Column.present(in: result)
  }

  var text: String {
    let header = [
      "contender", "CPU", "(min - max)", "wall", "x \(result.row.baseline)", "peak MiB", "cycles",
    ]
    let extra = columns.map(\.header) + (result.row.showsMarked ? ["marked"] : [])
    let lines = [header + extra] + result.samples.map(cells)
    let widths = (0..<lines[0].count).map { column in lines.map { $0[column].count }.max() ?? 0 }
    let body = lines.map { cells in
      "  "
        + cells.enumerated().map { $0 == 0 ? $1.padded(widths[$0]) : $1.leftPadded(widths[$0]) }
        .joined(separator: "  ")
    }
    let head = "\n\(result.row.title)   [\(result.row.unit.text), median of \(runCount)]"
    return ([head] + body + [result.busyNote.map { "  \($0)" }].compactMap { $0 }).joined(separator: "\n")
  }

  private var runCount: Int { result.samples.map(\.runs.count).max() ?? 0 }

  private func cells(_ sample: (contender: String, runs: [Sample])) -> [String] {
    let cpu = result.cpu(sample.contender)!
    let wall = Summary(sample.runs.map { result.scaled($0.wallNs, $0) })!
    let ratio = result.ratio(sample.contender, to: result.row.baseline)?.formatted(digits: 2) ?? "-"
    let cycles = Summary(sample.runs.compactMap { $0["cycles"] })?.median ?? 0
    let peak = result.peakBytes(sample.contender)! / 1_048_576
    var cells = [
      sample.contender, cpu.median.short, "(\(cpu.min.short) - \(cpu.max.short))", wall.median.short, ratio,
      peak.formatted(digits: 1), cycles == 0 ? "-" : cycles.formatted(digits: 0),
    ]
    cells += columns.map { $0.text(sample.runs) }
    if result.row.showsMarked { cells.append(marked(sample.runs)) }
    return cells
  }

  private func marked(_ runs: [Sample]) -> String {
    guard let count = runs.last?["marked"], let reachable = runs.last?["reachable"] else { return "-" }
    let right = runs.allSatisfy { $0["marked_right"] == 1 }
    let counts = "\(count.formatted(digits: 0)) of \(reachable.formatted(digits: 0))"
    return right ? counts : "\(counts) WRONG"
  }
}

extension RowResult {
  /// A time in the unit of the row.
  func scaled(_ ns: Double, _ measurement: Sample) -> Double {
    row.unit == .nsPerOperation ? ns / Swift.max(measurement.operations, 1) : ns / 1e6
  }

  func cpu(_ contender: String) -> Summary? { Summary(runs(contender).map { scaled($0.cpuNs, $0) }) }
  func peak(_ contender: String) -> Summary? { Summary(runs(contender).map(\.peakBytes)) }
  func peakBytes(_ contender: String) -> Double? { peak(contender)?.median }

  func ratio(_ contender: String, to baseline: String) -> Double? {
    guard let own = cpu(contender), let other = cpu(baseline), other.median > 0 else { return nil }
    return own.median / other.median
  }
}
