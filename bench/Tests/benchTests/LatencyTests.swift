// Are histograms and timelines read as the programs count them, merged without loss, and drawn?
import Foundation
import Testing

@testable import bench

@Suite struct LatencyTests {
  @Test func `a bucket ends where the next begins, at most 1.6 % above what it counts`() {
    #expect(LatencyHistogram.upperNs(0) == 0)
    #expect(LatencyHistogram.upperNs(63) == 63)
    for ns in [64.0, 65, 127, 128, 129, 1000, 123_456, 5e9, 4e12] {
      let upper = LatencyHistogram.upperNs(LatencyTests.bucket(UInt64(ns)))
      #expect(upper >= ns && upper <= ns * 1.016, "\(ns): \(upper)")
    }
    for bucket in 1..<LatencyHistogram.bucketCount {
      #expect(LatencyHistogram.upperNs(bucket) > LatencyHistogram.upperNs(bucket - 1))
      #expect(LatencyTests.bucket(UInt64(LatencyHistogram.upperNs(bucket - 1)) + 1) == bucket)
    }
  }

  @Test func `quantiles are those of the sorted values`() throws {
    var random = SystemRandomNumberGenerator()
    let values = (0..<5000).map { _ in UInt64.random(in: 0..<(1 << UInt64.random(in: 1...40)), using: &random) }
      .sorted()
    let histogram = try #require(LatencyHistogram(text: LatencyTests.text(values)))
    #expect(histogram.total == 5000)
    for share in [0, 0.01, 0.5, 0.9, 0.999, 0.9999, 1] {
      let exact = Double(values[max(Int((share * 5000).rounded(.up)) - 1, 0)])
      let found = try #require(histogram.quantileNs(share))
      #expect(found >= exact && found <= exact * 1.016 + 1, "\(share)")
    }
  }

  @Test func `runs merged are one run of all values`() throws {
    let one = try #require(LatencyHistogram(text: LatencyTests.text([5, 5, 900])))
    let other = try #require(LatencyHistogram(text: LatencyTests.text([5, 70, 1_000_000])))
    var sum = one
    sum.add(other)
    #expect(sum == LatencyHistogram(text: LatencyTests.text([5, 5, 5, 70, 900, 1_000_000])))
    var none = LatencyHistogram()
    #expect(none.quantileNs(0.5) == nil)
    none.add(one)
    #expect(none == one)
  }

  @Test(arguments: [
    "5", "5:", ":5", "5:1:1", "5:1,,6:1", "5:-1", "-1:5", "2368:1", "5:1,5:1", "5:0", "a:b", "5:1, 6:1",
  ])
  func `what is no histogram is refused`(text: String) {
    #expect(LatencyHistogram(text: text) == nil)
  }

  @Test func `a run without operations has an empty histogram`() { #expect(LatencyHistogram(text: "")?.total == 0) }

  @Test func `a timeline has windows, stops in order and cycles, in milliseconds`() throws {
    let run = try #require(
      Sample(
        output: line(
          cpuNs: 1,
          extra: ",\"latency_windows_us\":\"12,0,900\",\"timeline_stops\":\"120000:5000,50000:250000\","
            + "\"timeline_cycles\":\"40000-50250\"")))
    let timeline = try #require(Timeline(run))
    #expect(timeline.worst == [12, 0, 900])
    #expect(timeline.stops == [.init(at: 50, microseconds: 250), .init(at: 120, microseconds: 5)])
    #expect(timeline.cycles == [.init(begin: 40, end: 50.25)])
    for bad in ["x", "1,x", "1,,2"] {
      #expect(
        Timeline(try #require(Sample(output: line(cpuNs: 1, extra: ",\"latency_windows_us\":\"\(bad)\"")))) == nil)
    }
    #expect(Timeline(try #require(Sample(output: line(cpuNs: 1)))) == nil)
  }

  @Test func `rates and latencies decide the targets`() throws {
    let open = try row("open", ["jemalloc": 1_000, "tricolor": 3_000, "go": 2_000, "java-zgc": 4_000])
    let closed = try row("closed", ["jemalloc": 1_000, "tricolor": 1_000, "go": 1_000])
    let verdicts = Target.cache.compactMap { $0.verdict(Results([open, closed]), namingUnmeasured: false) }
    let values = Dictionary(uniqueKeysWithValues: verdicts.map { ($0.text.split(separator: ", ").last!, $0.value!) })
    #expect(abs(try #require(values["p99.9 / go"]) - 1.5) < 0.05)
    #expect(abs(try #require(values["p99.9 / java-zgc"]) - 0.75) < 0.05)
    #expect(values["longest operation / jemalloc"] == 3)
    #expect(values["jemalloc's operations a second / ours"] == 1)
    #expect(values["the best other collector's operations a second / ours"] == 1)
  }

  @Test func `the growth of a stop is that of the collector's own work`() throws {
    let rows = try [(64, 2, 10_000), (64, 100, 26_000), (4096, 2, 12_000)].map { mib, threads, ns in
      RowResult(
        row: fakeRow(Catalog.stopsTitle(mib: mib, threads: threads), baseline: "go"),
        samples: [
          (
            "tricolor",
            [
              try #require(
                Sample(output: line(cpuNs: 1, extra: ",\"stop_ns_median\":\(ns * 3),\"stop_work_ns_median\":\(ns)")))
            ]
          )
        ])
    }
    let values = Target.cache.compactMap { $0.verdict(Results(rows), namingUnmeasured: false)?.value }
    #expect(values == [78, 1.2, 2.6])
  }

  @Test func `curves and timelines are on the page`() throws {
    let closed = try row("closed", ["jemalloc": 1_000, "tricolor": 3_000])
    let html = try #require(LatencySection(id: "row-0", result: closed).html)
    #expect(html.matches(of: /<polyline class="curve/).count == 2)
    #expect(html.matches(of: /class="plot timeline"/).count == 2)
    #expect(html.contains("class=\"cycle\"") && html.contains("class=\"stop\""))
    #expect(html.contains("tricolor: half 3.01 µs"))
    #expect(html.contains("longest operation 0.01 ms, 1 cycles, 1 stops seen in 0.10 s"))
    #expect(LatencySection(id: "row-0", result: try fakeResult(runs: ["tricolor": [1]])).html == nil)
  }

  @Test func `a machine that was busy is said to be, not a contender that is slow`() throws {
    let good = try row("open", ["jemalloc": 9_000_000, "tricolor": 30_000_000], extra: ",\"rate\":1000")
    #expect(good.busyNote == nil)
    let late = try row("open", ["jemalloc": 30_000_000, "tricolor": 1_000], extra: ",\"rate\":1000")
    #expect(try #require(late.busyNote).hasPrefix("note: jemalloc itself was late (p99.9 30."))
    #expect(Table(late).text.contains("the machine was busy"))
    #expect(try #require(LatencySection(id: "a", result: late).html).contains("the machine was busy"))
    // 10 operations in 100 ns are 100 million a second.
    #expect(try row("open", ["jemalloc": 1_000], extra: ",\"rate\":200000000").busyNote != nil)
    #expect(try row("closed", ["jemalloc": 30_000_000]).busyNote == nil)
  }

  @Test func `a longer tail is a change for the worse, and rows without one are compared without`() throws {
    let before = try row("closed", ["tricolor": 1_000])
    let after = try row("closed", ["tricolor": 3_000])
    let comparison = Comparison(
      [before, try fakeResult(runs: ["go": [1]])], [after, try fakeResult(runs: ["go": [1]])], threshold: 0.1)
    #expect(comparison.worse.map(\.quantity) == [.p999])
    #expect(abs(try #require(comparison.worse.first).ratio - 3) < 0.1)
    #expect(comparison.changes.map(\.quantity) == [.cpu, .peak, .p999, .cpu, .peak])
    #expect(comparison.notCompared.isEmpty)
  }

  @Test func `the short form takes little memory, the long form a gigabyte`() {
    #expect(
      Catalog.cache(.quick).map(\.title).prefix(2) == [
        "cache closed loop, 256 MiB live", "cache open loop, 256 MiB live",
      ])
    #expect(Catalog.cache(.full)[0].arguments == ["closed", "2", "1024", "15000"])
    #expect(Catalog.cache(.full).contains { $0.title == "stops, 4 GiB live, 2 threads" })
  }

  /// Every operation took as long; one cycle and one stop.
  private func row(_ loop: String, _ ns: KeyValuePairs<String, UInt64>, extra: String = "") throws -> RowResult {
    RowResult(
      row: fakeRow(Catalog.cacheTitle(loop, mib: 256), baseline: "jemalloc"),
      samples: try ns.map { name, ns in
        let fields =
          ",\"latency_histogram\":\"\(LatencyTests.text([ns, ns]))\",\"latency_max_ns\":\(ns),\"held_bytes\":524288"
          + extra + ",\"latency_windows_us\":\"12,7\",\"timeline_stops\":\"20000:5000\",\"timeline_cycles\":\"0-20000\""
        return (name, [try #require(Sample(output: line(cpuNs: 100, extra: fields)))])
      })
  }

  /// As programs/latency.h counts.
  private static func bucket(_ ns: UInt64) -> Int {
    if ns < 64 { return Int(ns) }
    let shift = 57 - ns.leadingZeroBitCount
    return (shift + 1) * 64 + Int(ns >> UInt64(shift)) - 64
  }

  private static func text(_ values: [UInt64]) -> String {
    Dictionary(grouping: values, by: bucket).sorted { $0.key < $1.key }.map { "\($0.key):\($0.value.count)" }
      .joined(separator: ",")
  }
}

extension ProcessTests {
  @Suite struct RateTests {
    let programs: FakePrograms

    init() throws { programs = try FakePrograms() }

    @Test func `a rate is a share of what was measured before`() throws {
      // 10 operations in 1000 ns are 10 million a second.
      try programs.add("fake-malloc", "echo \"$@\" >> \(programs.folder.path)/log; echo '\(line(cpuNs: 1000))'")
      var runner = programs.runner(repetitions: 1)
      var problems = Problems()
      let results = runner.run([fakeRow("closed"), open("closed", "first")], contenders: [first], &problems)
      #expect(results.count == 2 && results[1].row.arguments == ["6000000"])
      #expect(try String(contentsOfFile: "\(programs.folder.path)/log", encoding: .utf8) == "\n6000000\n")
      #expect(problems.lines.isEmpty && runner.skipped.isEmpty)
    }

    @Test func `without it the row is skipped with a line`() throws {
      try programs.add("fake-malloc", "echo '\(line(cpuNs: 1000))'")
      var runner = programs.runner(repetitions: 1)
      var problems = Problems()
      let results = runner.run([fakeRow("closed"), open("closed", "second")], contenders: [first], &problems)
      #expect(results.map(\.row.title) == ["closed"])
      #expect(runner.skipped == ["skipped: open (second was not measured, whose speed sets the rate)"])
      #expect(problems.lines.isEmpty)
    }

    private func open(_ title: String, _ contender: String) -> Row {
      var row = fakeRow("open")
      row.rate = Row.Rate(title: title, contender: contender, share: 0.6)
      return row
    }
  }

  /// The programs themselves, where they are built: what they print is understood, and all of them compute the same.
  @Suite struct CacheProgramTests {
    static let builds = [
      "malloc", "tricolor", "tricolor-swift", "bdwgc", "go", "java", "java-zgc",
    ].map { URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../.out/cache-\($0)").path }
      .filter { FileManager.default.isExecutableFile(atPath: $0) }

    @Test(arguments: builds) func `a tiny run has a histogram of all its operations`(program: String) throws {
      for arguments in [["closed", "2", "4", "100"], ["open", "2", "4", "100", "10000"]] {
        let run = try run(program, arguments)
        let latencies = try #require(run.latencies)
        #expect(latencies.total == run.operations && run.operations > 0)
        #expect(run.check == .integer(18_025_188_736_647_678_888))  // all of them compute the same
        let longest = try #require(run["latency_max_ns"])
        #expect(try #require(latencies.quantileNs(1)) >= longest && longest > 0)
        let worst = try #require(Timeline(run)).worst.max() ?? 0
        #expect(worst == (longest / 1000).rounded(.down))
        if arguments[0] == "open" { #expect(run.operations == 1000) }
      }
    }

    @Test(arguments: builds) func `a wrong argument is an error that names it`(program: String) {
      for (arguments, words) in [
        ([], "usage: cache"), (["ajar", "2", "4", "100"], "usage: cache"), (["open", "2", "4", "100"], "usage: cache"),
        (["closed", "0", "4", "100"], "THREADS must be"), (["closed", "2", "4x", "100"], "LIVE_MIB must be"),
        (["open", "2", "4", "100", "0"], "RATE must be"),
      ] {
        let outcome = ChildProcess(program, arguments, timeLimit: 20).run()
        #expect(outcome.ending == .exited(1) && outcome.errors.contains(words), "\(arguments): \(outcome.errors)")
      }
    }

    private func run(_ program: String, _ arguments: [String]) throws -> Sample {
      let outcome = ChildProcess(program, arguments, timeLimit: 30).run()
      #expect(outcome.failure(timeLimit: 30) == nil)
      return try #require(Sample(output: outcome.output))
    }
  }
}
