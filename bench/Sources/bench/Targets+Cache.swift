// Goals for the worst moments. Where the greater is the better, the inverse is what must not be exceeded.

extension Target {
  static var cache: [Target] {
    [Catalog.Mode.quick, .full].flatMap { mode in open(Catalog.cacheMiB(mode)) + closed(Catalog.cacheMiB(mode)) }
      + stops
  }

  private static func open(_ mib: Int) -> [Target] {
    let title = Catalog.cacheTitle("open", mib: mib)
    func p999(_ results: Results, _ contender: String) -> Double? {
      results.row(title)?.latencies(contender)?.quantileNs(0.999)
    }
    func longest(_ results: Results, _ contender: String) -> Double? {
      results.median(title, contender, value: Column.latencyMax.value)
    }
    return [
      aim("\(title), p99.9 / go", 1) { Column.quotient(p999($0, "tricolor"), p999($0, "go")) },
      aim("\(title), p99.9 / java-zgc", 1) { Column.quotient(p999($0, "tricolor"), p999($0, "java-zgc")) },
      aim("\(title), longest operation / jemalloc", 2) {
        Column.quotient(longest($0, "tricolor"), longest($0, "jemalloc"))
      },
    ]
  }

  private static let collectors = ["bdwgc", "go", "java", "java-zgc"]

  private static func closed(_ mib: Int) -> [Target] {
    let title = Catalog.cacheTitle("closed", mib: mib)
    func speed(_ results: Results, _ contender: String) -> Double? {
      results.row(title)?.operationsPerSecond(contender)
    }
    return [
      aim("\(title), jemalloc's operations a second / ours", 1 / 0.65) {
        Column.quotient(speed($0, "jemalloc"), speed($0, "tricolor"))
      },
      aim("\(title), the best other collector's operations a second / ours", 1) { results in
        Column.quotient(collectors.compactMap { speed(results, $0) }.max(), speed(results, "tricolor"))
      },
      aim("\(title), peak / live", 2.1) { $0.median(title, value: Column.peakOverLive.value) },
    ]
  }

  // MARK: Stops

  private static var stopTitles: [String] {
    var titles: [String] = []
    for (mib, threads) in Catalog.stopSizes(.full) + Catalog.stopSizes(.quick) {
      let title = Catalog.stopsTitle(mib: mib, threads: threads)
      if !titles.contains(title) { titles.append(title) }
    }
    return titles
  }

  private static var stops: [Target] {
    [
      aim("a stop of the cache, median, worst row", 200, unit: " us") { results in
        stopTitles.compactMap { results.median($0, value: Column.stopMedian.value) }.max()
      },
      aim("a stop of the cache, p99 / go, worst row", 0.5) { results in
        stopTitles.compactMap { title in
          Column.quotient(
            results.median(title, value: Column.stopP99.value), results.median(title, "go", value: Column.stopP99.value)
          )
        }.max()
      },
    ]
      + [("4 GiB / 64 MiB live", 4096, 2), ("256 / 64 MiB live", 256, 2), ("100 / 2 threads", 64, 100)].map {
        text, mib, threads in
        aim("own work of a stop of the cache, median, \(text)", 1.3) { results in
          Column.quotient(work(results, mib: mib, threads: threads), work(results, mib: 64, threads: 2))
        }
      }
  }

  private static func work(_ results: Results, mib: Int, threads: Int) -> Double? {
    results.median(Catalog.stopsTitle(mib: mib, threads: threads), value: Column.stopWorkMedian.value)
  }

  private static func aim(_ text: String, _ limit: Double, unit: String = "", _ value: @escaping (Results) -> Double?)
    -> Target
  {
    Target(kind: .aim, text: text, limit: limit, unit: unit, value: value)
  }
}
