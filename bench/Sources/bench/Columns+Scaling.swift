// What the rows of Catalog+Scaling.swift print beyond time.

extension Column {
  static let sweepPerGiB = Column("sweep ms/GiB") { run in
    quotient(run["sweep_cpu_ns"], run["swept_bytes"]).map { $0 * 1_073_741_824 / 1e6 }
  }
  static let stopMedian = Column("stop µs, median", digits: 0) { $0["stop_ns_median"].map { $0 / 1e3 } }
  static let stopLongest = Column("stop µs, longest", digits: 0) { $0["stop_ns_longest"].map { $0 / 1e3 } }
  /// Other rows have both fields too, but not at the same moment.
  static let metadata = Column("metadata KiB/live MiB", digits: 1) { run in
    run["live_mib"].flatMap { _ in quotient(run["metadata_bytes"], run["live_bytes"]).map { $0 * 1024 } }
  }

  static let scaling = [
    sweepPerGiB, stopMedian, stopLongest, Column("stops", digits: 0) { $0["stops"] }, metadata,
    kibibytes("KiB/heap", "heap_resident_bytes"), kibibytes("metadata KiB/heap", "heap_metadata_bytes"),
    kibibytes("KiB/thread", "thread_resident_bytes"), kibibytes("metadata KiB/thread", "thread_metadata_bytes"),
  ]

  private static func kibibytes(_ header: String, _ field: String) -> Column {
    Column(header, digits: 0) { $0[field].map { $0 / 1024 } }
  }
}
