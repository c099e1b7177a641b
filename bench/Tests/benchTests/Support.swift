// A folder of fake workload programs (shell scripts), gone when the test is over.
import Foundation
import Testing

@testable import bench

/// The suites that start processes, one test after the other: a script cannot be started while another thread
/// forks with the script still open for writing.
@Suite(.serialized) enum ProcessTests {}

final class FakePrograms {
  let folder: URL

  init() throws {
    folder = FileManager.default.temporaryDirectory.appending(path: "bench-tests-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  func add(_ name: String, _ script: String) throws {
    let file = folder.appending(path: name)
    try Data("#!/bin/sh\n\(script)\n".utf8).write(to: file)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file.path)
  }

  func runner(repetitions: Int = 2, timeLimit: Double = 10) -> Runner {
    Runner(programs: folder, repetitions: repetitions, timeLimit: timeLimit)
  }
}

/// What a workload program prints.
func line(cpuNs: Int, check: Int = 7, peakBytes: Int = 1_048_576, extra: String = "") -> String {
  "{\"cpu_ns\":\(cpuNs),\"wall_ns\":\(cpuNs),\"operations\":10,\"check\":\(check),"
    + "\"peak_rss_bytes\":\(peakBytes)\(extra)}"
}

func fakeRow(_ title: String = "fake row", baseline: String = "first") -> Row {
  Row(
    workload: "fake", title: title, program: "fake", arguments: [], unit: .nsPerOperation, baseline: baseline)
}

let first = Contender(name: "first", build: .malloc, install: "")
let second = Contender(name: "second", build: .tricolor, install: "")

/// A row as measured; each number is the CPU time of one run in ns of its 10 operations.
func fakeResult(
  _ title: String = "fake row", workload: String = "fake", runs: KeyValuePairs<String, [Int]>
) throws -> RowResult {
  let row = Row(
    workload: workload, title: title, program: "fake", arguments: [], unit: .nsPerOperation, baseline: "jemalloc")
  return RowResult(
    row: row,
    samples: try runs.map { name, times in
      (name, try times.map { try #require(Sample(output: line(cpuNs: $0))) })
    })
}

func fakeReport(_ results: [RowResult], verdicts: [Verdict] = [], problems: [String] = []) -> Report {
  Report(
    machine: Machine(
      date: "2026-01-01T00:00:00Z", processor: "test processor", processors: 2, memoryBytes: 1 << 30,
      kernel: "6.0", versions: ["jemalloc": "5.3"]), mode: "quick", repetitions: 3, results: results,
    verdicts: verdicts, skipped: [], problems: problems)
}
