// Do tables, targets and the JSON report say what was measured?
import Foundation
import Testing

@testable import bench

extension ProcessTests {
  @Suite struct ReportTests {
    @Test func `a table shows medians, extremes and ratios`() throws {
      let text = Table(try result([100, 300, 200], [50, 60, 70])).text
      let lines = text.split(separator: "\n").map { $0.split(separator: " ").joined(separator: " ") }
      #expect(lines[0] == "fake row [ns per operation, median of 3]")
      #expect(lines[2] == "first 20.0 (10.0 - 30.0) 20.0 1.00 1.0 -")
      #expect(lines[3] == "second 6.00 (5.00 - 7.00) 6.00 0.30 1.0 -")
    }

    @Test func `a wrong count of marked objects is called wrong`() throws {
      var row = fakeRow()
      row.showsMarked = true
      let run = try measurement(line(cpuNs: 1, extra: ",\"marked\":5,\"reachable\":9,\"marked_right\":0"))
      let text = Table(RowResult(row: row, samples: [("first", [run])])).text
      #expect(text.contains("5 of 9 WRONG"))
      let lines = Runner.wrongMarks(RowResult(row: row, samples: [("first", [run])]))
      #expect(lines == ["fake row, first: marked 5 objects, 9 can be reached"])
    }

    @Test func `pairs are compared with plain malloc of the same size, and only when all sizes are there`()
      throws
    {
      let rows = try Catalog.smallBytes.flatMap { bytes in
        [
          try pairs("leaf", bytes, jemalloc: 100, tricolor: 30),
          try pairs("zeroed", bytes, jemalloc: 300, tricolor: 50),
        ]
      }
      let zeroed = try #require(Target.pairRatios(Results(rows), "zeroed"))
      #expect(zeroed.allSatisfy { $0 == 0.5 })
      #expect(Target.pairRatios(Results(Array(rows.dropLast())), "zeroed") == nil)
    }

    @Test func `what must be reached is listed even when it was not measured`() {
      let verdicts = Target.all.compactMap { $0.verdict(Results([]), namingUnmeasured: true) }
      #expect(!verdicts.isEmpty)
      #expect(verdicts.allSatisfy { $0.kind == .must && $0.value == nil })
      #expect(Verdict.text(verdicts).contains("not measured"))
      #expect(Target.all.allSatisfy { $0.verdict(Results([]), namingUnmeasured: false) == nil })
    }

    @Test func `a report is not written over an older one when there were problems`() throws {
      let programs = try FakePrograms()
      let path = programs.folder.appending(path: "report.json").path
      try Data("older".utf8).write(to: URL(filePath: path))
      let output = try OutputFile(path: path)
      var problems = Problems()
      write(output, &problems)
      #expect(try String(contentsOfFile: path, encoding: .utf8).contains("\"schema\""))

      try Data("older".utf8).write(to: URL(filePath: path))
      problems.add("made up for a test")
      write(output, &problems)
      #expect(try String(contentsOfFile: path, encoding: .utf8) == "older")
    }

    @Test func `a report that cannot be written is refused before the run`() {
      #expect(throws: (any Error).self) { try OutputFile(path: "/nonexistent/folder/report.json") }
      #expect(throws: (any Error).self) { try OutputFile(path: "/tmp") }
    }

    private func write(_ output: OutputFile, _ problems: inout Problems) {
      let report = Report(
        machine: Machine.current(programs: URL(filePath: "/nonexistent"), contenders: []), mode: "quick",
        repetitions: 1, results: [], verdicts: [], skipped: [], problems: problems.lines)
      output.write({ try report.json() }, &problems)
    }

    private func measurement(_ line: String) throws -> Sample { try #require(Sample(output: line)) }

    private func result(_ firstNs: [Int], _ secondNs: [Int]) throws -> RowResult {
      RowResult(
        row: fakeRow(),
        samples: [
          ("first", try firstNs.map { try measurement(line(cpuNs: $0)) }),
          ("second", try secondNs.map { try measurement(line(cpuNs: $0)) }),
        ])
    }

    private func pairs(_ variant: String, _ bytes: Int, jemalloc: Int, tricolor: Int) throws -> RowResult {
      RowResult(
        row: fakeRow(Catalog.pairTitle(variant, bytes: bytes, liveMiB: 0), baseline: "jemalloc"),
        samples: [
          ("jemalloc", [try measurement(line(cpuNs: jemalloc))]),
          ("tricolor", [try measurement(line(cpuNs: tricolor))]),
        ])
    }
  }
}
