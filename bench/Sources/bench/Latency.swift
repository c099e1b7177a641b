// How long operations took, as the programs of `cache` print it: a histogram of nanoseconds whose buckets grow with the
// value (programs/latency.h), and what happened when. Histograms of several runs add up; percentiles do not.

struct LatencyHistogram: Equatable {
  /// Of each power of two from 64 on; smaller values have a bucket each.
  private static let steps = 64
  /// Above 2^42 ns, more than an hour, everything counts as the last.
  static let bucketCount = 37 * steps

  private(set) var counts: [Int: Double] = [:]
  private(set) var total = 0.0

  init() {}

  /// "bucket:count,..."; nil for anything else, and for a bucket that there is not or that is named twice.
  init?(text: String) {
    for item in text.split(separator: ",", omittingEmptySubsequences: !text.isEmpty ? false : true) {
      let parts = item.split(separator: ":", omittingEmptySubsequences: false)
      guard parts.count == 2, let bucket = Int(parts[0]), let count = UInt64(parts[1]), count > 0,
        (0..<LatencyHistogram.bucketCount).contains(bucket), counts[bucket] == nil
      else { return nil }
      counts[bucket] = Double(count)
      total += Double(count)
    }
  }

  mutating func add(_ more: LatencyHistogram) {
    counts.merge(more.counts, uniquingKeysWith: +)
    total += more.total
  }

  /// The largest value that counts in a bucket.
  static func upperNs(_ bucket: Int) -> Double {
    if bucket < steps { return Double(bucket) }
    let scale = Double(UInt64(1) << UInt64(bucket / steps - 1))
    return Double(steps + bucket % steps + 1) * scale - 1
  }

  /// What that share of the operations did not exceed, at most 1.6 % too large; nil of none.
  func quantileNs(_ share: Double) -> Double? { quantilesNs([share]).first }

  /// The same for several shares that rise; empty of none.
  func quantilesNs(_ shares: [Double]) -> [Double] {
    guard total > 0 else { return [] }
    let sorted = counts.sorted { $0.key < $1.key }
    var index = 0
    var below = sorted[0].value
    return shares.map { share in
      // A rounded product must not ask for more than there is.
      let rank = min((share * total).rounded(.up), total)
      while below < rank && index + 1 < sorted.count {
        index += 1
        below += sorted[index].value
      }
      return LatencyHistogram.upperNs(sorted[index].key)
    }
  }
}

/// What happened when, in milliseconds since the beginning of a run.
struct Timeline {
  struct Stop: Equatable {
    let at, microseconds: Double
  }
  struct Cycle: Equatable {
    let begin, end: Double
  }

  static let windowMilliseconds = 50.0

  /// The longest operation that ended in each window, in microseconds; 0 where none did.
  let worst: [Double]
  let stops: [Stop]
  let cycles: [Cycle]

  /// nil: the run has none, or not in this form.
  init?(_ run: Sample) {
    guard let windows = run.text("latency_windows_us"), let worst = Timeline.numbers(windows, separator: ",") else {
      return nil
    }
    guard let stops = Timeline.pairs(run.text("timeline_stops") ?? "", ":"),
      let cycles = Timeline.pairs(run.text("timeline_cycles") ?? "", "-")
    else { return nil }
    self.worst = worst
    self.stops = stops.map { Stop(at: $0.0 / 1e3, microseconds: $0.1 / 1e3) }.sorted { $0.at < $1.at }
    self.cycles = cycles.map { Cycle(begin: $0.0 / 1e3, end: $0.1 / 1e3) }
  }

  private static func pairs(_ text: String, _ separator: Character) -> [(Double, Double)]? {
    var pairs: [(Double, Double)] = []
    for item in text.split(separator: ",") {
      guard let two = numbers(String(item), separator: separator), two.count == 2 else { return nil }
      pairs.append((two[0], two[1]))
    }
    return pairs
  }

  private static func numbers(_ text: String, separator: Character) -> [Double]? {
    var numbers: [Double] = []
    for item in text.split(separator: separator, omittingEmptySubsequences: false) where !text.isEmpty {
      guard let number = UInt64(item) else { return nil }
      numbers.append(Double(number))
    }
    return numbers
  }
}

extension Sample {
  func text(_ field: String) -> String? {
    if case .text(let text)? = fields[field] { text } else { nil }
  }

  var latencies: LatencyHistogram? { text("latency_histogram").flatMap(LatencyHistogram.init(text:)) }
  var operationsPerSecond: Double? { wallNs > 0 ? operations / wallNs * 1e9 : nil }
}

extension RowResult {
  /// Of all runs together; nil if none has one.
  func latencies(_ contender: String) -> LatencyHistogram? {
    let all = runs(contender).compactMap(\.latencies)
    if all.isEmpty { return nil }
    return all.reduce(into: LatencyHistogram()) { $0.add($1) }
  }

  /// The rate is chosen so that the reference keeps up with ease; a line if it did not.
  var busyNote: String? {
    let busy = runs(row.baseline).first { run in
      guard let rate = run["rate"], let speed = run.operationsPerSecond, let tail = run.latencies?.quantileNs(0.999)
      else {
        return false
      }
      return speed < 0.95 * rate || tail > 10e6
    }
    guard let busy, let tail = busy.latencies?.quantileNs(0.999) else { return nil }
    return
      "note: \(row.baseline) itself was late (p99.9 \((tail / 1e6).short) ms): the machine was busy with something else, "
      + "and this row says little"
  }

  func operationsPerSecond(_ contender: String) -> Double? {
    Summary(runs(contender).compactMap(\.operationsPerSecond))?.median
  }
}
