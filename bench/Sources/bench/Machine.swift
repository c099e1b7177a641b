// On what and with what a run was made: the head of every table and report.
import Foundation

struct Machine: Codable {
  let date: String
  let processor: String
  let processors: Int
  let memoryBytes: UInt64
  let kernel: String
  let versions: [String: String]

  static func current(programs: URL, contenders: [Contender]) -> Machine {
    let info = ProcessInfo.processInfo
    return Machine(
      date: ISO8601DateFormatter().string(from: Date()), processor: processorName(),
      processors: info.activeProcessorCount, memoryBytes: info.physicalMemory,
      kernel: kernelRelease(), versions: versions(programs, contenders))
  }

  var header: String {
    let memory = (Double(memoryBytes) / 1_073_741_824).formatted(digits: 0)
    let named = versions.keys.sorted().map { "  \($0.padded(14)) \(versions[$0]!)" }
    return (["\(date), \(processors) x \(processor), \(memory) GiB, Linux \(kernel)"] + named)
      .joined(separator: "\n")
  }

  private static func versions(_ programs: URL, _ contenders: [Contender]) -> [String: String] {
    var versions: [String: String] = [:]
    for contender in contenders {
      if let preload = contender.preload {
        versions[contender.name] = URL(filePath: preload).resolvingSymlinksInPath().lastPathComponent
      } else if contender.build.namesItself {
        versions[contender.name] = probedVersion(programs, contender)
      }
    }
    versions["jemalloc"] = jemallocVersion(programs) ?? versions["jemalloc"]
    versions["glibc"] = glibcVersion()
    return versions
  }

  private static func glibcVersion() -> String? {
    var text = [CChar](repeating: 0, count: 64)
    let bytes = confstr(Int32(_CS_GNU_LIBC_VERSION), &text, text.count)
    return bytes == 0 ? nil : text.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
  }

  /// From a C program linked with -ljemalloc, which asks mallctl.
  private static func jemallocVersion(_ programs: URL) -> String? {
    let outcome = ChildProcess(programs.appending(path: "jemalloc-info").path, [], timeLimit: 10).run()
    guard case .exited(0) = outcome.ending,
      let fields = try? JSONDecoder().decode([String: JSONValue].self, from: Data(outcome.output.utf8)),
      case .text(let version)? = fields["version"]
    else { return nil }
    return "\(version) (mallctl)"
  }

  /// From the line a tiny measurement prints.
  private static func probedVersion(_ programs: URL, _ contender: Contender) -> String? {
    let program = programs.appending(path: "pairs-\(contender.build.rawValue)").path
    let outcome = ChildProcess(program, ["16", "leaf", "0", "1"], timeLimit: 10).run()
    guard let measurement = Sample(output: outcome.output) else { return nil }
    if case .text(let version)? = measurement.fields["version"] { return version }
    return measurement.allocator
  }

  /// What the system says programs can still get without swapping; all the memory there is if it does not say.
  static func availableBytes() -> UInt64 {
    let text = (try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("MemAvailable:") }
    let kib = line.flatMap { UInt64($0.filter(\.isNumber)) }
    return kib.map { $0 * 1024 } ?? ProcessInfo.processInfo.physicalMemory
  }

  private static func processorName() -> String {
    let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("model name") }
    return line?.split(separator: ":").last?.trimmingCharacters(in: .whitespaces) ?? "unknown processor"
  }

  private static func kernelRelease() -> String {
    let text = (try? String(contentsOfFile: "/proc/sys/kernel/osrelease", encoding: .utf8)) ?? "unknown"
    return text.trimmingCharacters(in: .whitespacesAndNewlines)
  }
}
