// The recorded traces: found in their folder, decompressed for the time of the run.
import Foundation

struct Trace {
  let name: String
  let file: String
}

struct TraceFiles {
  private(set) var files: [Trace] = []
  private let folder: URL

  init(folder source: URL, wanted: Bool, _ problems: inout Problems) {
    folder = FileManager.default.temporaryDirectory.appending(path: "bench-traces-\(UUID().uuidString)")
    let suffix = ".trc.gz"
    let names = (try? FileManager.default.contentsOfDirectory(atPath: source.path)) ?? []
    for name in names.sorted() where wanted && name.hasSuffix(suffix) {
      let target = folder.appending(path: String(name.dropLast(3)))
      if let failure = decompress(source.appending(path: name), to: target) {
        problems.add("trace \(name): \(failure)")
      } else {
        files.append(Trace(name: String(name.dropLast(suffix.count)), file: target.path))
      }
    }
  }

  func removeFiles() { try? FileManager.default.removeItem(at: folder) }

  /// Answers why it failed, or nil.
  private func decompress(_ source: URL, to target: URL) -> String? {
    do {
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    } catch {
      return "no temporary folder: \(error.localizedDescription)"
    }
    let script = "exec gzip -dc \"$1\" > \"$2\""
    let gzip = ChildProcess("/bin/sh", ["-c", script, "sh", source.path, target.path], timeLimit: 60)
    return gzip.run().failure(timeLimit: gzip.timeLimit).map { "gzip \($0)" }
  }
}
