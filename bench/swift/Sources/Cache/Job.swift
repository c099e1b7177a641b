// The command line: cache closed THREADS LIVE_MIB MILLISECONDS, or cache open THREADS LIVE_MIB MILLISECONDS RATE.

struct Job: Sendable {
  let variant: String
  let threads: Int
  let liveBytes, runNs, warmNs: UInt64
  /// Operations a second; nil for the closed loop.
  let rate: UInt64?

  init(_ words: [String]) {
    let isOpen = words.first == "open"
    guard isOpen || words.first == "closed", words.count == (isOpen ? 5 : 4) else {
      fail("usage: cache closed THREADS LIVE_MIB MILLISECONDS, or cache open THREADS LIVE_MIB MILLISECONDS RATE")
    }
    variant = words[0]
    threads = Int(Job.number(words[1], "THREADS", 1...127))
    liveBytes = Job.number(words[2], "LIVE_MIB", 1...65536) << 20
    runNs = Job.number(words[3], "MILLISECONDS", 10...200_000) * 1_000_000
    warmNs = runNs >= 1_000_000_000 ? max(runNs / 4, 500_000_000) : runNs / 4
    rate = isOpen ? Job.number(words[4], "RATE", 1...1_000_000_000) : nil
  }

  private static func number(_ text: String, _ what: String, _ range: ClosedRange<UInt64>) -> UInt64 {
    if let value = UInt64(text), range.contains(value) { return value }
    fail("cache: \(what) must be a number from \(range.lowerBound) to \(range.upperBound), not '\(text.prefix(40))'")
  }
}
