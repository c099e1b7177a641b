// Are results read back as they were written, and broken files named for what they are?
import Foundation
import Testing

@testable import bench

@Suite struct ResultFileTests {
  @Test func `what was written is read back`() throws {
    let written = [try fakeResult(runs: ["jemalloc": [100, 300, 200], "tricolor": [50, 60, 70]])]
    let read = try ResultFile(path: "f", data: try fakeReport(written, problems: ["one"]).json())
    #expect(read.report.problems == ["one"])
    #expect(read.report.machine.versions == ["jemalloc": "5.3"])
    #expect(read.results.map(\.row.title) == ["fake row"])
    #expect(read.results[0].cpu("jemalloc") == Summary(median: 20, min: 10, max: 30))
    #expect(read.results[0].samples[1].runs == written[0].samples[1].runs)
  }

  @Test func `a target that was not measured stays so`() throws {
    let verdict = Verdict(kind: .must, text: "t", limit: 1, unit: "", value: nil)
    let read = try ResultFile(path: "f", data: try fakeReport([], verdicts: [verdict]).json())
    #expect(read.report.targets.map(\.value) == [nil])
  }

  @Test(arguments: [
    ("", "it is empty"), ("{\"schema\": 1", "it is not JSON"), ("\u{0}\u{1}", "it is not JSON"),
    ("[1, 2]", "it is JSON, but no results of bench (no number 'schema')"),
    ("{\"schema\": \"1\"}", "it is JSON, but no results of bench (no number 'schema')"),
    ("{\"schema\": 7}", "it has schema 7, and this bench reads 1"),
    ("{\"schema\": 1}", "it is damaged: machine is missing"),
  ])
  func `a file that is no results file is named for what it is`(content: String, reason: String) {
    #expect(throws: ResultFile.Unreadable(reason: reason)) {
      try ResultFile(path: "f", data: Data(content.utf8))
    }
  }

  @Test(arguments: [
    ("\"memory_bytes\"", "\"x\"", "it is damaged: machine.memory_bytes is missing"),
    ("\"unit\" : \"ns_per_operation\"", "\"unit\" : \"h\"", "it is damaged: row 'fake row' has the unit 'h'"),
    ("\"median\" : 10", "\"median\" : \"x\"", "it is damaged: rows[0].contenders[0].cpu.median is of another kind"),
    ("\"cpu_ns\"", "\"x\"", "it is damaged: row 'fake row', tricolor: a run lacks its measurement"),
  ])
  func `a damaged results file says where`(part: String, replacement: String, reason: String) throws {
    let json = String(decoding: try fakeReport([try fakeResult(runs: ["tricolor": [100]])]).json(), as: UTF8.self)
    try #require(json.contains(part))
    let damaged = json.replacing(part, with: replacement, maxReplacements: 1)
    #expect(throws: ResultFile.Unreadable(reason: reason)) {
      try ResultFile(path: "f", data: Data(damaged.utf8))
    }
  }

  @Test func `a file that is missing, and a folder, are named for what they are`() {
    #expect(throws: ResultFile.Unreadable(reason: "there is no such file")) {
      try ResultFile(path: "/nonexistent/results.json")
    }
    #expect(throws: ResultFile.Unreadable(reason: "it is a folder")) { try ResultFile(path: "/tmp") }
  }
}
