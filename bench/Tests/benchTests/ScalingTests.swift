// Are sizes that do not fit left out with a line, and are curves drawn where the numbers say?
import Foundation
import Testing

@testable import bench

@Suite struct ScalingTests {
  @Test func `the short form has two sizes, the long form doubles up to 8 GiB`() {
    #expect(Catalog.scaling(.quick).map(\.title) == ["scaling 64 MiB live", "scaling 256 MiB live"])
    let sizes = Catalog.scaling(.full).compactMap { Int($0.arguments[0]) }
    #expect(sizes.first == 64 && sizes.last == 8192)
    #expect(sizes == sizes.sorted() && sizes.allSatisfy { $0 & ($0 - 1) == 0 })
  }

  @Test func `a size that does not fit says what it needs`() throws {
    let row = try #require(Catalog.scaling(.full).last)
    #expect(row.obstacle(availableBytes: 64 << 30) == nil)
    #expect(
      row.obstacle(availableBytes: 3 << 30)
        == "skipped: scaling 8 GiB live (needs 20.0 GiB of memory, 3.0 GiB are available)")
    #expect(fakeRow().obstacle(availableBytes: 0) == nil)
    #expect(Machine.availableBytes() > 0)
  }

  @Test func `columns are made of fields, and absent where a field is`() throws {
    let run = try #require(Sample(output: ScalingTests.sizeLine(markNs: 4000)))
    #expect(Column.mark.text([run]) == "40.00")
    #expect(Column.sweepPerGiB.text([run]) == "3.07")
    #expect(Column.stopMedian.text([run]) == "70")
    #expect(Column.metadata.text([run]) == "64.0")
    let other = try #require(Sample(output: line(cpuNs: 1, extra: ",\"live_bytes\":64,\"metadata_bytes\":64")))
    #expect(Column.scaling.allSatisfy { $0.summary([other]) == nil })
  }

  @Test func `sizes that double are equally far apart`() throws {
    let places = circles(chart([64, 256, 1024, 2048]))
    try #require(places.count == 4)
    #expect(abs((places[1].x - places[0].x) - 2 * (places[3].x - places[2].x)) < 0.3)
    #expect(places[0].y == places[3].y)
  }

  @Test func `a larger value is higher, and one size alone is drawn too`() throws {
    let rising = LineChart.Series(
      name: "a", points: [point(64, 1), point(128, 3)], emphasis: .ours)
    let places = circles(LineChart(id: "c", title: "t", yLabel: "y", series: [rising], xText: { "\($0)" }))
    try #require(places.count == 2)
    #expect(places[1].y < places[0].y)
    #expect(circles(chart([64])).count == 1)
    #expect(circles(chart([])).isEmpty)
  }

  @Test func `curves and their numbers are on the page, largest size last`() throws {
    let rows = try [256, 64].map { mib in
      RowResult(
        row: Row(
          workload: "scaling", title: Catalog.scalingTitle(mib: mib), program: "scaling", arguments: ["\(mib)"],
          unit: .nsPerOperation),
        samples: [
          ("jemalloc", [try #require(Sample(output: mallocLine))]),
          ("tricolor", [try #require(Sample(output: ScalingTests.sizeLine(markNs: mib * 100)))]),
        ])
    }
    let lines = RowResult(
      row: try #require(Catalog.scalingLines(.quick).first),
      samples: [("glibc", [try #require(Sample(output: line(cpuNs: 50)))])])
    let html = try #require(ScalingSection(results: rows + [lines]).html)
    for text in [
      "Replacing an object", "Marking", "Sweeping", "Stops of a cycle", "Own tables",
      "tricolor: 64.0 at 64 MiB, 256 at 256 MiB; 4 random line reads: 20.0 at 64 MiB<",
      "longest: 90.0 at 64 MiB", ">jemalloc<",
    ] { #expect(html.contains(text), "\(text)") }
    let table = try #require(html.range(of: "<tbody>"))
    let body = html[table.upperBound...]
    let small = try #require(body.range(of: "64\u{a0}MiB"))
    let large = try #require(body.range(of: "256\u{a0}MiB"))
    #expect(small.lowerBound < large.lowerBound)
    #expect(ScalingSection(results: [lines]).html == nil)
    #expect(ScalingSection(results: [try fakeResult(runs: ["tricolor": [1]])]).html == nil)
  }

  private let mallocLine = line(cpuNs: 100)

  /// 100 objects marked, 1 MiB swept in 3 µs, and 1 MiB alive with tables of 64 KiB.
  static func sizeLine(markNs: Int) -> String {
    line(
      cpuNs: 200,
      extra: ",\"live_mib\":64,\"mark_cpu_ns\":\(markNs),\"marked\":100,\"sweep_cpu_ns\":3000,\"swept_bytes\":1048576,"
        + "\"stop_ns_median\":70000,\"stop_ns_longest\":90000,\"stops\":2,\"live_bytes\":1048576,\"metadata_bytes\":65536"
    )
  }

  private func point(_ x: Double, _ y: Double) -> LineChart.Point {
    LineChart.Point(x: x, y: Summary(median: y, min: y, max: y))
  }

  private func chart(_ sizes: [Double]) -> LineChart {
    let series = LineChart.Series(name: "a", points: sizes.map { point($0, 5) }, emphasis: .ours)
    return LineChart(id: "c", title: "t", yLabel: "y", series: [series], xText: { "\($0)" })
  }

  private func circles(_ chart: LineChart) -> [(x: Double, y: Double)] {
    chart.svg.matches(of: /cx="([0-9.]+)" cy="([0-9.]+)"/).compactMap { match in
      guard let x = Double(match.1), let y = Double(match.2) else { return nil }
      return (x, y)
    }
  }
}

extension ProcessTests {
  @Suite struct LongRowTests {
    @Test func `a row that takes minutes runs less often than the others`() throws {
      let programs = try FakePrograms()
      try programs.add("fake-malloc", "echo '\(line(cpuNs: 100))'")
      var long = fakeRow("long row")
      long.runsAtMost = 1
      var runner = programs.runner(repetitions: 3)
      var problems = Problems()
      let results = runner.run([long, fakeRow()], contenders: [first], &problems)
      #expect(results.map { $0.runs("first").count } == [1, 3])
    }
  }
}
