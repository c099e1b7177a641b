// Is a change named exactly when it is one?
import ArgumentParser
import Foundation
import Testing

@testable import bench

@Suite struct CompareTests {
  @Test func `a change counts when the ranges are apart and the medians too`() {
    let base = Summary(median: 100, min: 95, max: 105)
    #expect(judge(base, Summary(median: 120, min: 110, max: 130)) == .worse)
    #expect(judge(base, Summary(median: 80, min: 70, max: 90)) == .better)
    #expect(judge(base, base) == .withinNoise)
  }

  @Test func `ranges that touch are noise, however far the medians are apart`() {
    let base = Summary(median: 100, min: 95, max: 150)
    #expect(judge(base, Summary(median: 200, min: 150, max: 210)) == .withinNoise)
    #expect(judge(base, Summary(median: 200, min: 151, max: 210)) == .worse)
  }

  @Test func `a change of just the threshold does not count`() {
    let base = Summary(median: 100, min: 100, max: 100)
    #expect(judge(base, Summary(median: 125, min: 125, max: 125), 0.25) == .withinNoise)
    #expect(judge(base, Summary(median: 126, min: 126, max: 126), 0.25) == .worse)
    #expect(judge(base, Summary(median: 101, min: 101, max: 101), 0) == .worse)
  }

  @Test(arguments: [0.0, 0.1, 0.3])
  func `swapping the files turns worse into better and nothing else`(threshold: Double) {
    for other in stride(from: 50.0, through: 150, by: 1) {
      let one = Summary(median: 100, min: 98, max: 102)
      let two = Summary(median: other, min: other - 2, max: other + 2)
      let forth = judge(one, two, threshold)
      let back = judge(two, one, threshold)
      #expect((forth == .worse) == (back == .better))
      #expect((forth == .better) == (back == .worse))
    }
  }

  @Test func `nothing at all can only get worse`() {
    let zero = Summary(median: 0, min: 0, max: 0)
    #expect(judge(zero, zero) == .withinNoise)
    #expect(judge(zero, Summary(median: 1, min: 1, max: 1)) == .worse)
  }

  @Test func `rows and contenders of only one file are named, not compared`() throws {
    let before = [
      try fakeResult("both", runs: ["jemalloc": [100], "gone": [1]]), try fakeResult("old", runs: ["jemalloc": [100]]),
    ]
    let after = [
      try fakeResult("both", runs: ["jemalloc": [100], "new": [1]]), try fakeResult("young", runs: ["jemalloc": [100]]),
    ]
    let comparison = Comparison(before, after, threshold: 0.1)
    #expect(comparison.changes.map(\.contender) == ["jemalloc", "jemalloc"])
    #expect(
      comparison.notCompared == [
        "both, gone: only in the first file", "both, new: only in the second file",
        "old: only in the first file", "young: only in the second file",
      ])
  }

  @Test func `a machine twice as slow changes nothing relative to a reference`() throws {
    let before = [try fakeResult(runs: ["jemalloc": [100, 102, 98], "tricolor": [50, 51, 49]])]
    let slow = [try fakeResult(runs: ["jemalloc": [200, 204, 196], "tricolor": [100, 102, 98]])]
    #expect(Comparison(before, slow, threshold: 0.1).worse.map(\.contender) == ["jemalloc", "tricolor"])

    let relative = Comparison(before, slow, threshold: 0.1, reference: "jemalloc")
    #expect(relative.worse.isEmpty && relative.better.isEmpty)
    #expect(relative.changes.map(\.contender) == ["tricolor", "tricolor"])  // CPU and peak
    #expect(relative.changes[0].before.median == 0.5)
  }

  @Test func `relative ranges pair the runs that were made side by side`() throws {
    let paired = try #require(Summary([50, 100, 60], inUnitsOf: [100, 200, 120]))
    #expect(paired == Summary(median: 0.5, min: 0.5, max: 0.5))
    let unpaired = try #require(Summary([50, 100], inUnitsOf: [100, 200, 120]))
    #expect(unpaired.min == 0.25 && unpaired.max == 1)
    #expect(Summary([1], inUnitsOf: [0]) == nil)
  }

  @Test func `a row without the reference is named`() throws {
    let rows = [try fakeResult(runs: ["tricolor": [100]])]
    let comparison = Comparison(rows, rows, threshold: 0.1, reference: "jemalloc")
    #expect(comparison.changes.isEmpty)
    #expect(comparison.notCompared == ["fake row: without jemalloc"])
  }

  @Test func `the text shows what changed, and all only on request`() throws {
    let before = try file([
      try fakeResult("a", runs: ["x": [100], "y": [100]]), try fakeResult("b", runs: ["x": [100]]),
    ])
    let after = try file([
      try fakeResult("a", runs: ["x": [300], "y": [100]]), try fakeResult("b", runs: ["x": [100]]),
    ])
    var text = ComparisonText(
      first: before, second: after, comparison: Comparison(before.results, after.results, threshold: 0.1),
      thresholdPercent: 10, reference: nil)
    let lines = text.text.split(separator: "\n").map { $0.split(separator: " ").joined(separator: " ") }
    #expect(lines.contains("x CPU 10.0 (10.0 - 10.0) -> 30.0 (30.0 - 30.0) ns x 3.00 worse"))
    #expect(!lines.contains("b"))
    #expect(lines.last == "1 worse, 0 better, 5 the same within noise")
    text.showsAll = true
    #expect(text.text.split(separator: "\n").contains("b"))
  }

  @Test func `the status says whether anything got worse, only when asked to`() throws {
    let files = try FakePrograms()
    let fast = files.folder.appending(path: "fast.json")
    let slow = files.folder.appending(path: "slow.json")
    try fakeReport([try fakeResult(runs: ["tricolor": [100]])]).json().write(to: fast)
    try fakeReport([try fakeResult(runs: ["tricolor": [200]])]).json().write(to: slow)
    try Compare.parse([fast.path, slow.path]).run()
    try Compare.parse([slow.path, fast.path, "--fail-on-worse"]).run()
    #expect(throws: ExitCode(1)) { try Compare.parse([fast.path, slow.path, "--fail-on-worse"]).run() }
    try Compare.parse([fast.path, slow.path, "--fail-on-worse", "--threshold", "150"]).run()
    #expect(throws: ExitCode(2)) { try Compare.parse([fast.path, slow.path, "--relative-to", "go"]).run() }
    #expect(throws: ExitCode(2)) { try Compare.parse([fast.path, "/nonexistent.json"]).run() }
    #expect(throws: (any Error).self) { try Compare.parse([fast.path, slow.path, "--threshold", "-1"]) }
  }

  @Test func `rows that were run once are named, since any difference in them counts`() throws {
    let rows = [try fakeResult("long", runs: ["jemalloc": [1]]), try fakeResult("short", runs: ["jemalloc": [1, 2]])]
    #expect(try file(rows).rowsRunOnce == ["long"])
    let comparison = Comparison(rows, rows, threshold: 0.1)
    let text = ComparisonText(
      first: try file(rows), second: try file([rows[1]]), comparison: comparison, thresholdPercent: 10, reference: nil
    ).text
    #expect(text.contains("note: file.json has one run of some rows, whose ranges say nothing: long\n"))
    #expect(text.matches(of: /one run of some rows/).count == 1)
  }

  private func judge(_ before: Summary, _ after: Summary, _ threshold: Double = 0.1) -> Comparison.Judgement {
    Comparison.judge(before, after, threshold: threshold)
  }

  private func file(_ results: [RowResult]) throws -> ResultFile {
    try ResultFile(path: "file.json", data: try fakeReport(results).json())
  }
}
