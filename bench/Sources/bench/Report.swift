// The JSON report: every measurement of a run, with what it was made on. The README documents the fields.
import ArgumentParser
import Foundation

struct Report: Encodable {
  struct RowEntry: Encodable {
    let workload, row, program, unit, baseline: String
    let arguments: [String]
    let contenders: [ContenderEntry]
  }

  struct ContenderEntry: Encodable {
    let contender: String
    let cpu: Spread
    let wall: Spread
    let ratioToBaseline: Double?
    let peakRssBytes: Double
    let runs: [[String: JSONValue]]
  }

  struct Spread: Encodable {
    let median, min, max: Double
  }

  let schema = 1
  let machine: Machine
  let mode: String
  let repetitions: Int
  let rows: [RowEntry]
  let targets: [Verdict]
  let skipped: [String]
  let problems: [String]

  init(
    machine: Machine, mode: String, repetitions: Int, results: [RowResult], verdicts: [Verdict],
    skipped: [String], problems: [String]
  ) {
    self.machine = machine
    self.mode = mode
    self.repetitions = repetitions
    self.rows = results.map(RowEntry.init)
    self.targets = verdicts
    self.skipped = skipped
    self.problems = problems
  }
}

extension Report.RowEntry {
  init(_ result: RowResult) {
    let row = result.row
    workload = row.workload
    self.row = row.title
    program = row.program
    unit = row.unit == .nsPerOperation ? "ns_per_operation" : "ms"
    baseline = row.baseline
    arguments = row.arguments
    contenders = result.samples.map { Report.ContenderEntry(result, $0) }
  }
}

extension Report.ContenderEntry {
  init(_ result: RowResult, _ sample: (contender: String, runs: [Sample])) {
    contender = sample.contender
    cpu = Report.Spread(result.cpu(sample.contender)!)
    wall = Report.Spread(Summary(sample.runs.map { result.scaled($0.wallNs, $0) })!)
    ratioToBaseline = result.ratio(sample.contender, to: result.row.baseline)
    peakRssBytes = result.peakBytes(sample.contender)!
    runs = sample.runs.map(\.fields)
  }
}

extension Report.Spread {
  init(_ summary: Summary) { self.init(median: summary.median, min: summary.min, max: summary.max) }
}

/// Where the report goes: proven writable before the run, replaced only by a complete report of a run
/// without problems.
struct OutputFile {
  private let path: String
  private let temporary: String

  init(path: String) throws {
    self.path = path
    temporary = "\(path).\(getpid()).tmp"
    var isFolder: ObjCBool = false
    let isThere = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
    if isFolder.boolValue { throw OutputFile.refuse(path, "it is a folder") }
    if isThere && access(path, W_OK) != 0 { throw OutputFile.refuse(path, String(cString: strerror(errno))) }
    let file = open(temporary, O_WRONLY | O_CREAT | O_EXCL, 0o644)
    if file < 0 { throw OutputFile.refuse(path, String(cString: strerror(errno))) }
    close(file)
    unlink(temporary)
  }

  private static func refuse(_ path: String, _ reason: String) -> ExitCode {
    complain("cannot write \(path): \(reason); nothing was run")
    return ExitCode(1)
  }

  func write(_ report: Report, _ problems: inout Problems) {
    if !problems.lines.isEmpty && FileManager.default.fileExists(atPath: path) {
      problems.add("\(path) was left as it is, because this run had problems")
      return
    }
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    do {
      try encoder.encode(report).write(to: URL(filePath: temporary))
      if rename(temporary, path) != 0 { throw CocoaError(.fileWriteUnknown) }
    } catch {
      unlink(temporary)
      problems.add("cannot write \(path): \(error.localizedDescription)")
    }
  }
}
