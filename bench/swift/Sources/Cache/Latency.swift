// How long operations took, counted and printed as programs/latency.h does. Memory of its own, since an array in a class
// would be checked for exclusive use at every operation.

struct Latency: ~Copyable, @unchecked Sendable {
  private static let steps = 64, stepBits = 6, bits = 42
  private static let buckets = (bits - stepBits + 1) * steps
  private static let windows = 4096
  private static let windowNs: UInt64 = 50_000_000

  private let count: UnsafeMutablePointer<UInt64>
  private let windowMax: UnsafeMutablePointer<UInt64>
  private(set) var max: UInt64 = 0
  private(set) var operations: UInt64 = 0

  init() {
    count = .allocate(capacity: Latency.buckets)
    count.initialize(repeating: 0, count: Latency.buckets)
    windowMax = .allocate(capacity: Latency.windows)
    windowMax.initialize(repeating: 0, count: Latency.windows)
  }

  deinit {
    count.deallocate()
    windowMax.deallocate()
  }

  private static func bucket(_ ns: UInt64) -> Int {
    if ns < UInt64(steps) { return Int(ns) }
    if ns >> UInt64(bits) != 0 { return buckets - 1 }
    let shift = 63 - stepBits - ns.leadingZeroBitCount
    return (shift + 1) * steps + Int(ns >> UInt64(shift)) - steps
  }

  /// An operation took `ns` and ended `atNs` after the beginning.
  mutating func record(_ ns: UInt64, atNs: UInt64) {
    let window = Int(Swift.min(atNs / Latency.windowNs, UInt64(Latency.windows - 1)))
    count[Latency.bucket(ns)] += 1
    operations += 1
    if ns > windowMax[window] { windowMax[window] = ns }
    if ns > max { max = ns }
  }

  mutating func add(_ more: borrowing Latency) {
    for i in 0..<Latency.buckets { count[i] += more.count[i] }
    for i in 0..<Latency.windows { windowMax[i] = Swift.max(windowMax[i], more.windowMax[i]) }
    max = Swift.max(max, more.max)
    operations += more.operations
  }

  var fields: String {
    let counts = UnsafeBufferPointer(start: count, count: Latency.buckets)
    let histogram = counts.enumerated().filter { $0.element > 0 }.map { "\($0.offset):\($0.element)" }
    let maxima = UnsafeBufferPointer(start: windowMax, count: Latency.windows)
    let last = (maxima.lastIndex { $0 > 0 } ?? -1) + 1
    let windows = maxima.prefix(last).map { "\($0 / 1000)" }
    return ",\"latency_max_ns\":\(max),\"latency_histogram\":\"\(histogram.joined(separator: ","))\""
      + ",\"latency_windows_us\":\"\(windows.joined(separator: ","))\""
  }
}
