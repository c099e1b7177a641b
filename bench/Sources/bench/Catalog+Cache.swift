// Rows about the worst moments of a large heap: a cache under constant replacement, as fast as it goes and at a given rate,
// and the stops of cycles that follow one another.

extension Catalog {
  static let cacheThreads = 2
  private static let shared = ["jemalloc", "tricolor", "tricolor-swift", "bdwgc", "go", "java", "java-zgc"]
  /// How busy jemalloc would be in the open loop.
  static let openShare = 0.6

  static func cacheMiB(_ mode: Mode) -> Int { mode == .full ? 1024 : 256 }

  static func cacheTitle(_ loop: String, mib: Int) -> String {
    "cache \(loop) loop, \(ByteSize.text(mebibytes: mib)) live"
  }

  static func stopsTitle(mib: Int, threads: Int) -> String {
    "stops, \(ByteSize.text(mebibytes: mib)) live, \(threads) threads"
  }

  static func cache(_ mode: Mode) -> [Row] {
    let mib = cacheMiB(mode)
    let arguments = ["\(cacheThreads)", "\(mib)", mode == .full ? "15000" : "3000"]
    var closed = Row(
      workload: "cache", title: cacheTitle("closed", mib: mib), program: "cache", arguments: ["closed"] + arguments,
      unit: .nsPerOperation, without: others(than: shared))
    // Java is given three times what lives.
    closed.needsBytes = UInt64(mib) << 20 / 2 * 7
    closed.runsAtMost = mode == .full ? 3 : 1
    let rate = Row.Rate(title: closed.title, contender: "jemalloc", share: openShare)
    var open = Row(
      workload: "cache", title: cacheTitle("open", mib: mib), program: "cache", arguments: ["open"] + arguments,
      unit: .nsPerOperation, without: closed.without)
    open.needsBytes = closed.needsBytes
    // What is longest in one run says little.
    open.runsAtMost = 3
    open.rate = rate
    return [closed, open] + stops(mode)
  }

  /// MiB and threads: each alone is what changes beside the first.
  static func stopSizes(_ mode: Mode) -> [(mib: Int, threads: Int)] {
    [(64, 2), (64, 100)] + (mode == .full ? [(1024, 2), (4096, 2)] : [(256, 2)])
  }

  private static func stops(_ mode: Mode) -> [Row] {
    stopSizes(mode).map { mib, threads in
      Row(
        workload: "stops", title: stopsTitle(mib: mib, threads: threads), program: "cache",
        arguments: ["stops", "\(threads)", "\(mib)", mode == .full ? "\(mib > 1024 ? 40000 : 15000)" : "3000"],
        unit: .nsPerOperation, baseline: "go", without: others(than: ["tricolor", "go"]),
        needsBytes: UInt64(mib) << 20 / 2 * 6, runsAtMost: 3)
    }
  }
}
