// Are good traces decompressed and broken ones named?
import Foundation
import Testing

@testable import bench

extension ProcessTests {
  @Suite struct TracesTests {
    @Test func `a truncated archive is reported, the others are used and removed at the end`() throws {
      let programs = try FakePrograms()
      let source = programs.folder
      let script = "cd \"$1\" && echo events | gzip > good.trc.gz && head -c 9 good.trc.gz > broken.trc.gz"
      let made = ChildProcess("/bin/sh", ["-c", script, "sh", source.path], timeLimit: 10).run()
      #expect(made.ending == .exited(0))

      var problems = Problems()
      let traces = TraceFiles(folder: source, wanted: true, &problems)
      #expect(traces.files.map(\.name) == ["good"])
      #expect(problems.lines.count == 1)
      #expect(problems.lines.first?.hasPrefix("trace broken.trc.gz: gzip ended with status 1") == true)
      #expect(try String(contentsOfFile: traces.files[0].file, encoding: .utf8) == "events\n")
      traces.removeFiles()
      #expect(!FileManager.default.fileExists(atPath: traces.files[0].file))
    }
  }
}
