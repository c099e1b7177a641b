// What the rows of Catalog+Cache.swift print beyond time: operations a second, how long they took, and the stops.

extension Column {
  static let cache =
    [
      Column("Mops/s") { run in run["latency_max_ns"].flatMap { _ in run.operationsPerSecond.map { $0 / 1e6 } } },
      percentile("p50 µs", 0.5), percentile("p99", 0.99), p999, percentile("p99.99", 0.9999), latencyMax,
      peakOverLive,
      assist,
    ]
  static let p999 = percentile("p99.9", 0.999)
  static let latencyMax = Column("max", digits: 0) { $0["latency_max_ns"].map { $0 / 1e3 } }
  static let peakOverLive = Column("peak / live", "peak_rss_bytes", per: "held_bytes")
  /// Of the CPU time; other rows have the field too, but of the whole process.
  private static let assist = Column("assist %", digits: 1) { run in
    run["held_bytes"].flatMap { _ in quotient(run["assist_ns"], run.cpuNs).map { $0 * 100 } }
  }

  static let stopP99 = Column("stop µs, p99", digits: 0) { $0["stop_ns_p99"].map { $0 / 1e3 } }
  static let stopWorkMedian = Column("own work µs, median", digits: 0) { $0["stop_work_ns_median"].map { $0 / 1e3 } }
  static let stopDetails = [
    stopP99, Column("arrival µs, median", digits: 0) { $0["stop_arrival_ns_median"].map { $0 / 1e3 } }, stopWorkMedian,
  ]

  private static func percentile(_ header: String, _ share: Double) -> Column {
    Column(header, digits: 1) { $0.latencies?.quantileNs(share).map { $0 / 1e3 } }
  }
}
