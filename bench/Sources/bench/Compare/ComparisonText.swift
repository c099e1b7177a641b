// A comparison as text: rows that changed (or all), then what could not be compared, then the count.
import Foundation

struct ComparisonText {
  let first, second: ResultFile
  let comparison: Comparison
  let thresholdPercent: Double
  let reference: String?
  var showsAll = false

  var text: String {
    let lines = [head] + notes + rowTables + notCompared + [summary]
    return lines.joined(separator: "\n")
  }

  private var head: String {
    let what = reference.map { "multiples of \($0)" } ?? "CPU time, peak memory and the p99.9 of latencies"
    return """
      first   \(describe(first))
      second  \(describe(second))
      \(what), medians (min - max); a change counts beyond \(String(format: "%g", thresholdPercent)) % \
      and when the ranges do not overlap
      """
  }

  private func describe(_ file: ResultFile) -> String {
    "\(file.path): \(file.report.machine.date), \(file.report.mode), \(file.report.repetitions) runs per row"
  }

  /// What makes the comparison weaker than it looks.
  private var notes: [String] {
    var notes: [String] = []
    let machines = [first, second].map { "\($0.report.machine.processors) x \($0.report.machine.processor)" }
    if machines[0] != machines[1] {
      let advice = reference == nil ? "; --relative-to jemalloc takes part of that out" : ""
      notes.append("note: different machines (\(machines[0]), then \(machines[1]))\(advice)")
    }
    if first.report.mode != second.report.mode {
      let modes = "a \(first.report.mode) run and a \(second.report.mode) run"
      notes.append("note: \(modes), which do different amounts of work")
    }
    for file in [first, second] {
      if file.report.repetitions < 2 {
        notes.append("note: \(file.path) has one run per row, so its ranges say nothing")
      } else if !file.rowsRunOnce.isEmpty {
        let titles = file.rowsRunOnce.joined(separator: "; ")
        notes.append("note: \(file.path) has one run of some rows, whose ranges say nothing: \(titles)")
      }
      if !file.report.problems.isEmpty {
        notes.append("note: \(file.path) is from a run with problems (\(file.report.problems.count))")
      }
    }
    return notes
  }

  private var rowTables: [String] {
    let shown = showsAll ? comparison.changes : comparison.changes.filter { $0.judgement != .withinNoise }
    var titles: [String] = []
    for change in shown where !titles.contains(change.row.title) { titles.append(change.row.title) }
    return titles.map { title in table(title, shown.filter { $0.row.title == title }) }
  }

  private func table(_ title: String, _ changes: [Comparison.Change]) -> String {
    let lines = changes.map(cells)
    let widths = (0..<lines[0].count).map { column in lines.map { $0[column].count }.max() ?? 0 }
    let body = lines.map { cells in
      "  "
        + cells.enumerated().map { $0 < 2 || $0 == 6 ? $1.padded(widths[$0]) : $1.leftPadded(widths[$0]) }
        .joined(separator: "  ")
    }
    return (["\n\(title)"] + body).joined(separator: "\n")
  }

  private func cells(_ change: Comparison.Change) -> [String] {
    let (scale, unit) = scaleAndUnit(change)
    return [
      change.contender, change.quantity.rawValue, spread(change.before, scale), "->",
      spread(change.after, scale) + unit, "x \(change.ratio.formatted(digits: 2))",
      change.judgement == .withinNoise ? "" : change.judgement.rawValue,
    ]
  }

  private func scaleAndUnit(_ change: Comparison.Change) -> (Double, String) {
    if let reference { return (1, " x \(reference)") }
    switch change.quantity {
    case .cpu: return (1, change.row.unit == .nsPerOperation ? " ns" : " ms")
    case .peak: return (1_048_576, " MiB")
    case .p999: return (1e3, " µs")
    }
  }

  private func spread(_ summary: Summary, _ scale: Double) -> String {
    "\((summary.median / scale).short) (\((summary.min / scale).short) - \((summary.max / scale).short))"
  }

  private var notCompared: [String] {
    comparison.notCompared.isEmpty ? [] : ["\nnot compared"] + comparison.notCompared.map { "  \($0)" }
  }

  private var summary: String {
    let count = comparison.changes.count
    let same = count - comparison.worse.count - comparison.better.count
    return "\n\(comparison.worse.count) worse, \(comparison.better.count) better, \(same) the same within noise"
  }
}

extension ResultFile {
  /// Titles of rows that take too long to be repeated.
  var rowsRunOnce: [String] {
    results.filter { $0.samples.contains { $0.runs.count < 2 } }.map(\.row.title)
  }
}
