// Are contenders run in turn, and do failures stay where they belong?
import Foundation
import Testing

@testable import bench

extension ProcessTests {
  @Suite struct RunnerTests {
    let programs: FakePrograms

    init() throws { programs = try FakePrograms() }

    @Test func `contenders take turns`() throws {
      let log = programs.folder.appending(path: "log").path
      try programs.add("fake-malloc", "echo first >> \(log); echo '\(line(cpuNs: 100))'")
      try programs.add("fake-tricolor", "echo second >> \(log); echo '\(line(cpuNs: 50))'")
      var runner = programs.runner()
      var problems = Problems()
      let results = runner.run([fakeRow()], contenders: [first, second], &problems)
      #expect(problems.lines.isEmpty)
      #expect(try String(contentsOfFile: log, encoding: .utf8) == "first\nsecond\nfirst\nsecond\n")
      #expect(results[0].ratio("second", to: "first") == 0.5)
    }

    @Test func `all rows are run once before any is run again, and results stand in the order of the rows`() throws {
      let log = programs.folder.appending(path: "log").path
      try programs.add("fake-malloc", "echo $1 >> \(log); echo '\(line(cpuNs: 100))'")
      var rows = ["a", "b", "c"].map { fakeRow($0) }
      for index in rows.indices { rows[index].arguments = [rows[index].title] }
      rows[1].runsAtMost = 1
      var runner = programs.runner(repetitions: 3)
      var problems = Problems()
      let results = runner.run(rows, contenders: [first], &problems)
      #expect(try String(contentsOfFile: log, encoding: .utf8) == "a\nb\nc\na\nc\na\nc\n")
      #expect(results.map(\.row.title) == ["a", "b", "c"])
      #expect(results.map { $0.runs("first").count } == [3, 1, 3])
    }

    @Test func `a contender that crashes is named, and the others go on`() throws {
      try programs.add("fake-malloc", "kill -SEGV $$")
      try programs.add("fake-tricolor", "echo '\(line(cpuNs: 50))'")
      var runner = programs.runner()
      var problems = Problems()
      let results = runner.run([fakeRow()], contenders: [first, second], &problems)
      #expect(problems.lines.count == 1)
      #expect(problems.lines[0].hasPrefix("fake row, first: crashed (signal 11"))
      #expect(results[0].samples.map(\.contender) == ["second"])
      #expect(results[0].runs("second").count == 2)
    }

    @Test func `a contender that hangs is killed at the time limit`() throws {
      try programs.add("fake-malloc", "exec sleep 30")
      let started = Date()
      let result = programs.runner(timeLimit: 0.2).measure(fakeRow(), first)
      #expect(Date().timeIntervalSince(started) < 10)
      #expect(reason(result)?.contains("time limit") == true)
    }

    @Test func `a contender killed from outside is said to be short of memory`() throws {
      try programs.add("fake-malloc", "kill -KILL $$")
      #expect(reason(programs.runner().measure(fakeRow(), first))?.contains("memory") == true)
    }

    @Test func `the last words of a failing contender are passed on`() throws {
      try programs.add("fake-malloc", "echo 'the trace is truncated' >&2; exit 3")
      let reason = reason(programs.runner().measure(fakeRow(), first))
      #expect(reason == "ended with status 3: the trace is truncated")
    }

    @Test func `output that is no measurement is a failure`() throws {
      try programs.add("fake-malloc", "echo '{\"cpu_ns\": 1'")
      let reason = reason(programs.runner().measure(fakeRow(), first))
      #expect(reason == "ended without printing a measurement")
    }

    @Test func `an allocator that was not really preloaded is a failure`() throws {
      try programs.add("fake-malloc", "echo '\(line(cpuNs: 1, extra: ",\"allocator\":\"libc.so\""))'")
      var preloaded = first
      preloaded.preload = "/nonexistent/liballocator.so"
      #expect(reason(programs.runner().measure(fakeRow(), preloaded))?.contains("had no effect") == true)
    }

    @Test func `contenders that computed different things are reported`() throws {
      try programs.add("fake-malloc", "echo '\(line(cpuNs: 100, check: 1))'")
      try programs.add("fake-tricolor", "echo '\(line(cpuNs: 100, check: 2))'")
      var runner = programs.runner()
      var problems = Problems()
      _ = runner.run([fakeRow()], contenders: [first, second], &problems)
      #expect(problems.lines == ["fake row: second and first computed different check values"])
    }

    @Test func `a contender without the program takes no part`() throws {
      try programs.add("fake-malloc", "echo '\(line(cpuNs: 100))'")
      var runner = programs.runner()
      var problems = Problems()
      let results = runner.run([fakeRow()], contenders: [first, second], &problems)
      #expect(problems.lines.isEmpty)
      #expect(results[0].samples.map(\.contender) == ["first"])
    }

    private func reason(_ result: Result<Sample, Runner.Failure>) -> String? {
      if case .failure(let failure) = result { failure.reason } else { nil }
    }
  }
}
