// Runs rows: every contender its own process, interleaved A B C A B C. All rows are run once before any is run again:
// on a shared machine a minute may be slow as a whole, and the median of runs minutes apart does not show it. A
// contender that fails in a row is out of that row, with one line about it; everything else goes on.
import Foundation

/// What a row measured, by contender, in the order of the table.
struct RowResult {
  let row: Row
  var samples: [(contender: String, runs: [Sample])] = []

  func runs(_ contender: String) -> [Sample] { samples.first { $0.contender == contender }?.runs ?? [] }
}

/// What was measured of a row so far.
private struct RowRuns {
  let row: Row
  let contenders: [Contender]
  var samples: [String: [Sample]] = [:]
  var failed: Set<String> = []

  var result: RowResult {
    let whole = contenders.filter { !failed.contains($0.name) }
    return RowResult(row: row, samples: whole.compactMap { c in samples[c.name].map { (c.name, $0) } })
  }
}

struct Runner {
  let programs: URL
  let repetitions: Int
  let timeLimit: Double
  /// Rows that could not be run after all, a line each.
  private(set) var skipped: [String] = []
  private var progress = Progress()

  init(programs: URL, repetitions: Int, timeLimit: Double) {
    self.programs = programs
    self.repetitions = repetitions
    self.timeLimit = timeLimit
  }

  mutating func run(_ rows: [Row], contenders: [Contender], _ problems: inout Problems) -> [RowResult] {
    let work = rows.map { row in RowRuns(row: row, contenders: contenders.filter { takesPart($0, in: row) }) }
    progress.begin(total: work.reduce(0) { $0 + $1.contenders.count * runCount($1.row) })
    var done = runInRounds(work.filter { $0.row.rate == nil }, &problems).map(\.result)
    // These are told how fast others were.
    let rated = work.filter { $0.row.rate != nil }.compactMap { runs -> RowRuns? in
      guard let row = withRate(runs.row, done) else {
        skipped.append(
          "skipped: \(runs.row.title) (\(runs.row.rate!.contender) was not measured, whose speed sets the rate)")
        progress.skip(runs.contenders.count * runCount(runs.row))
        return nil
      }
      return RowRuns(row: row, contenders: runs.contenders)
    }
    done += runInRounds(rated, &problems).map(\.result)
    progress.end()
    let results = rows.compactMap { row in done.first { $0.row.title == row.title } }
    for result in results {
      for line in Runner.wrongMarks(result) { problems.add(line) }
      if let disagreement = Runner.disagreement(result) { problems.add(disagreement) }
    }
    return results
  }

  /// nil: the row that its rate comes from has no such contender.
  private func withRate(_ row: Row, _ results: [RowResult]) -> Row? {
    guard let rate = row.rate else { return row }
    let source = results.first { $0.row.title == rate.title }
    guard let speed = source?.operationsPerSecond(rate.contender) else { return nil }
    var complete = row
    complete.arguments.append((speed * rate.share).formatted(digits: 0))
    return complete
  }

  private func runCount(_ row: Row) -> Int { min(repetitions, row.runsAtMost ?? repetitions) }

  private func takesPart(_ contender: Contender, in row: Row) -> Bool {
    !row.without.contains(contender.name) && exists(program(row, contender))
  }

  private func program(_ row: Row, _ contender: Contender) -> URL {
    programs.appending(path: "\(row.program)-\(contender.build.rawValue)")
  }

  private mutating func runInRounds(_ work: [RowRuns], _ problems: inout Problems) -> [RowRuns] {
    var work = work
    for round in 0..<(work.map { runCount($0.row) }.max() ?? 0) {
      for index in work.indices where round < runCount(work[index].row) { runOnce(&work[index], &problems) }
    }
    return work
  }

  private mutating func runOnce(_ runs: inout RowRuns, _ problems: inout Problems) {
    for contender in runs.contenders {
      progress.step("\(runs.row.title): \(contender.name)")
      if runs.failed.contains(contender.name) { continue }
      switch measure(runs.row, contender) {
      case .success(let measurement): runs.samples[contender.name, default: []].append(measurement)
      case .failure(let failure):
        runs.failed.insert(contender.name)
        problems.add("\(runs.row.title), \(contender.name): \(failure.reason)")
      }
    }
  }

  struct Failure: Error, Equatable {
    let reason: String
  }

  func measure(_ row: Row, _ contender: Contender) -> Result<Sample, Failure> {
    let path = program(row, contender).path
    let process = ChildProcess(path, row.arguments, preload: contender.preload, timeLimit: timeLimit)
    let outcome = process.run()
    if let reason = outcome.failure(timeLimit: timeLimit) { return .failure(Failure(reason: reason)) }
    guard let measurement = Sample(output: outcome.output) else {
      return .failure(Failure(reason: "ended without printing a measurement"))
    }
    if let preload = contender.preload, measurement.allocator != preload {
      let used = measurement.allocator ?? "nothing known"
      return .failure(Failure(reason: "preloading \(preload) had no effect (malloc is from \(used))"))
    }
    return .success(measurement)
  }

  /// A collector that marked another number of objects than can be reached is not fast but wrong.
  static func wrongMarks(_ result: RowResult) -> [String] {
    result.samples.compactMap { contender, runs in
      guard let wrong = runs.first(where: { $0["marked_right"] == 0 }) else { return nil }
      let marked = wrong["marked"] ?? 0
      let reachable = wrong["reachable"] ?? 0
      return "\(result.row.title), \(contender): marked \(marked.formatted(digits: 0)) objects, "
        + "\(reachable.formatted(digits: 0)) can be reached"
    }
  }

  /// Every contender must have computed the same; a line about the first that has not.
  static func disagreement(_ result: RowResult) -> String? {
    guard let first = result.samples.first, let expected = first.runs.first?.check else { return nil }
    for (contender, runs) in result.samples where runs.contains(where: { $0.check != expected }) {
      return "\(result.row.title): \(contender) and \(first.contender) computed different check values"
    }
    return nil
  }
}

/// One line on standard error that says where the run is; rewritten in place on a terminal.
struct Progress {
  private var done = 0, total = 0
  private var lastTitle = ""
  private let start = Date()
  private let onTerminal = isatty(2) == 1

  mutating func begin(total: Int) { self.total = total }

  mutating func skip(_ count: Int) { done += count }

  mutating func step(_ what: String) {
    done += 1
    let seconds = Date().timeIntervalSince(start).formatted(digits: 0)
    let text = "[\(done)/\(total), \(seconds) s] \(what)"
    if onTerminal {
      write("\r\u{1b}[K\(text)")
    } else if let title = what.split(separator: ":").first, title != lastTitle {
      lastTitle = String(title)
      write("[\(done)/\(total), \(seconds) s] \(title)\n")
    }
  }

  func end() { if onTerminal { write("\r\u{1b}[K") } }

  private func write(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
}
