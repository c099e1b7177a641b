// Rows that show how our own costs grow: with what is alive, with the number of heaps, of layouts and of threads.

extension Catalog {
  /// Live MiB, and how often the replaced half is replaced: several cycles where that takes seconds, two where it takes
  /// a minute.
  private static let scalingSizes = [(64, 16), (256, 10), (1024, 6), (2048, 5), (4096, 5), (8192, 5)]
  private static let scalingQuickMiB = 256

  static func scalingTitle(mib: Int) -> String { "scaling \(ByteSize.text(mebibytes: mib)) live" }

  static func scaling(_ mode: Mode) -> [Row] {
    scalingSizes.filter { mode == .full || $0.0 <= scalingQuickMiB }.map { mib, rounds in
      Row(
        workload: "scaling", title: scalingTitle(mib: mib), program: "scaling", arguments: ["\(mib)", "\(rounds)"],
        unit: .nsPerOperation, without: others(than: ["tricolor", "jemalloc"]),
        // The heap doubles before a cycle ends, and the marker's queues and the system want some more.
        needsBytes: UInt64(mib) << 20 / 2 * 5, runsAtMost: mib > scalingQuickMiB ? 1 : nil)
    }
  }

  /// Beside each size, what reading its cache lines at random takes: caches and address translation cover less of it.
  static func scalingLines(_ mode: Mode) -> [Row] {
    scaling(mode).map { row in
      let mib = Int(row.arguments[0])!
      return Row(
        workload: "scaling", title: "lines, \(ByteSize.text(mebibytes: mib))", program: "lines",
        arguments: ["\(mib << 20 / lineBytes)", "20000000"], unit: .nsPerOperation, baseline: "glibc",
        without: others(than: ["glibc"]), needsBytes: UInt64(mib) << 20, runsAtMost: row.runsAtMost)
    }
  }

  static let lineBytes = 64

  static func many(_ mode: Mode) -> [Row] {
    [
      Row(
        workload: "heaps", title: heapsTitle, program: "heaps", arguments: ["1000", "1000"],
        unit: .milliseconds, baseline: "tricolor", without: others(than: ["tricolor"])),
      Row(
        workload: "layouts", title: layoutsTitle, program: "layouts", arguments: ["200", "100"],
        unit: .nsPerOperation, baseline: "tricolor", without: others(than: ["tricolor"])),
    ]
  }

  /// Workloads whose operation takes far longer than any read or allocation.
  static let crowds = ["heaps", "layouts"]
  static let heapsTitle = "a thousand small heaps"
  static let layoutsTitle = "200 layouts on 100 threads"

  static func others(than kept: [String]) -> [String] {
    Contender.all.map(\.name).filter { !kept.contains($0) }
  }
}

extension Row {
  /// Why it cannot run now, as a line; nil if it can.
  func obstacle(availableBytes: UInt64) -> String? {
    if needsBytes <= availableBytes { return nil }
    let sizes = [needsBytes, availableBytes].map { (Double($0) / 1_073_741_824).formatted(digits: 1) }
    return "skipped: \(title) (needs \(sizes[0]) GiB of memory, \(sizes[1]) GiB are available)"
  }
}

enum ByteSize {
  /// 64 MiB, 2 GiB.
  static func text(mebibytes mib: Int) -> String {
    mib >= 1024 && mib % 1024 == 0 ? "\(mib / 1024) GiB" : "\(mib) MiB"
  }
}
