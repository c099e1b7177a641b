// The JSON report: every measurement of a run, with what it was made on. The README documents the fields.
import Foundation

struct Report: Codable {
  struct RowEntry: Codable {
    let workload, row, program, unit, baseline: String
    let arguments: [String]
    let contenders: [ContenderEntry]
  }

  struct ContenderEntry: Codable {
    let contender: String
    let cpu: Spread
    let wall: Spread
    let ratioToBaseline: Double?
    let peakRssBytes: Double
    let runs: [[String: JSONValue]]
  }

  struct Spread: Codable {
    let median, min, max: Double
  }

  /// What this driver writes and reads.
  static let currentSchema = 1

  let schema: Int
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
    schema = Report.currentSchema
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
    unit = row.unit.rawValue
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

extension Report {
  func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(self)
  }
}
