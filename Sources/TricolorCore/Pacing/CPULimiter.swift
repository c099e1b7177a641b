// CPULimiter: how much of the CPU time the collector takes, and whether that is too much to keep a limit.
//
//   share     = CPU of the collector / capacity, both over a window that fades: of a second, or eight times the dearest
//               of the last cycles, so that one full cycle after many minor ones is not taken for the rule
//   capacity  = CPU time of the process, but at least a quarter of the time that went by: what a process that mostly
//               sleeps collects costs nobody anything
//
//   resting  ──share above 50 %, and the limit leaves less than a cycle's worth of allocation──▶ engaged
//   engaged  ──the limit leaves more than that, with a quarter to spare──▶ resting
//
// A cycle's worth is what mutators allocate in as much CPU time as a cycle takes: with cycles that far apart the
// collector has half of the time. While engaged cycles are a quarter further apart (44 %), assists are off, and the heap
// grows past its limit.

struct CPULimiter: Sendable {
  static let windowNsMin = 1e9
  static let windowCycles = 8.0
  static let shareMax = 0.5
  static let spare = 1.25

  private(set) var isEngaged = false
  /// What mutators allocate in the CPU time of one cycle.
  private(set) var cycleWorthBytes: UInt64 = 0

  private var last: (nowNs: UInt64, collectorNs: UInt64, processNs: UInt64, allocated: UInt64)?
  // The window.
  private var collectorNs = 0.0
  private var capacityNs = 0.0
  private var dearestNs = 0.0
  // Smoothed.
  private var cycleNs = 0.0
  private var bytesPerNs = 0.0

  private var windowNs: Double { max(Self.windowNsMin, Self.windowCycles * dearestNs) }

  /// Of the window; what a program does in its first quarter says little.
  var share: Double { collectorNs / max(capacityNs, windowNs / 4) }

  /// Once for each cycle, with totals of which those of time only grow; `processNs` 0: nothing is limited.
  mutating func observe(
    nowNs: UInt64, collectorNs: UInt64, processNs: UInt64, allocatedBytes: UInt64, isMinor: Bool = false
  ) {
    guard processNs > 0 else {
      self = CPULimiter()
      return
    }
    defer { last = (nowNs, collectorNs, processNs, allocatedBytes) }
    guard let last, nowNs > last.nowNs else { return }
    let elapsed = Double(nowNs - last.nowNs)
    let collector = Double(collectorNs &- last.collectorNs)
    let process = Double(processNs &- last.processNs)
    dearestNs = max(collector, dearestNs * 15 / 16)
    let kept = windowNs / (windowNs + elapsed)
    self.collectorNs = self.collectorNs * kept + collector
    capacityNs = capacityNs * kept + max(process, elapsed / 4, collector)
    // What was loaded and not handed out is taken off again: without allocation the total falls.
    let bytes = allocatedBytes > last.allocated ? allocatedBytes - last.allocated : 0
    learnWorth(cycle: collector, isMinor: isMinor, mutators: process - collector, bytes: Double(bytes))
  }

  private mutating func learnWorth(cycle: Double, isMinor: Bool, mutators: Double, bytes: Double) {
    // Where little is alive any more the next ones are cheap as well: else a heap that dropped everything would still
    // count as beyond a small limit.
    let fell = !isMinor && 2 * cycle < cycleNs
    cycleNs = cycleNs == 0 || fell ? cycle : (3 * cycleNs + cycle) / 4
    // Less than a thousandth of a second measures clocks.
    if mutators > 1e6 {
      let rate = bytes / mutators
      bytesPerNs = bytesPerNs == 0 ? rate : (3 * bytesPerNs + rate) / 4
    }
    cycleWorthBytes = UInt64(min(cycleNs * bytesPerNs, 1e15))
  }

  /// What may be allocated until the next cycle, if a limit leaves `room` of it.
  mutating func runway(room: UInt64) -> UInt64 {
    let wanted = UInt64(Double(cycleWorthBytes) * Self.spare)
    isEngaged = isEngaged ? room < wanted : share > Self.shareMax && room < cycleWorthBytes
    return isEngaged ? wanted : room
  }
}
