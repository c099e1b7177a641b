// Generations: whether the next cycle is a minor one, and whether minor cycles pay at all.
//
//   off  ──waited, and full marks cost something──▶ on       the next cycle keeps its marks, the one after is minor
//   on   ──a minor cycle reclaimed at no less cost──▶ off    for twice as many full cycles as the last time
//
// While off, nothing is kept and no store is logged. While on, minor cycles follow a full one until what they found
// alive has used up half of the room that the full one left: then the next is full and takes what died old.
//
// Why on and off: marks kept made binary trees twice as fast in the prototype and caches under mutation up to 2.8 times
// slower (research/prototype.md).

import CTricolor

struct Generations: Sendable {
  let policy: tri_generations

  /// Marks are kept when the next cycle ends.
  private(set) var isOn = false
  /// The next cycle, if allocation triggers it.
  private(set) var nextIsMinor = false
  /// What marking the last minor cycle took; what a full one would, before the first.
  private(set) var minorMarkNs: UInt64 = .max
  /// The goal of the last full cycle; minor ones fill the heap up to it.
  private(set) var fullGoalBytes: UInt64 = 0

  private var fullRunwayBytes: UInt64 = 0
  private var freedSinceFullBytes: UInt64 = 0
  private var cyclesSinceFull = 0
  private var fullCyclesToWait = 1
  private var nextWait = 2

  init(policy: tri_generations) { self.policy = policy }

  /// Minor cycles are left off for at most this many full ones: the price of trying stays below 3 %.
  static let longestWait = 32

  /// However little survives, what is old is looked at again after this much was freed: its garbage is still garbage.
  static func freedBytesUntilFull(liveBytes: UInt64) -> UInt64 { (64 << 20) + 16 * min(liveBytes, 1 << 50) }

  /// What a cycle and its sweep found. `goal` is what a full cycle would aim at from here, `fullMarkNs` what it would
  /// take.
  mutating func learn(_ input: tri_pacing_input, goal: UInt64, fullMarkNs: UInt64, worthwhileNs: UInt64) {
    if input.minor {
      cyclesSinceFull += 1
      freedSinceFullBytes += input.freed_bytes
      minorMarkNs = input.mark_cpu_ns
      if policy == .automatic && !hasPaid(input, fullMarkNs: fullMarkNs) { stop() }
    } else {
      cyclesSinceFull = 0
      freedSinceFullBytes = 0
      fullGoalBytes = goal
      fullRunwayBytes = goal > input.live_bytes ? goal - input.live_bytes : 0
      fullCyclesToWait = max(0, fullCyclesToWait - 1)
    }
    isOn = input.can_keep_marks && wants(fullMarkNs: fullMarkNs, worthwhileNs: worthwhileNs)
    nextIsMinor = isOn && input.marks_kept && hasRoom(input)
  }

  private func wants(fullMarkNs: UInt64, worthwhileNs: UInt64) -> Bool {
    switch policy {
    case .off: false
    case .always: true
    case .automatic: fullCyclesToWait == 0 && fullMarkNs > worthwhileNs
    }
  }

  private func hasRoom(_ input: tri_pacing_input) -> Bool {
    if policy == .always { return cyclesSinceFull < 3 }
    let room = fullGoalBytes > input.live_bytes ? fullGoalBytes - input.live_bytes : 0
    return room >= fullRunwayBytes / 2 && freedSinceFullBytes < Self.freedBytesUntilFull(liveBytes: input.live_bytes)
  }

  /// Whether a byte reclaimed by the minor cycle cost a quarter less marking than one of a full cycle.
  private func hasPaid(_ input: tri_pacing_input, fullMarkNs: UInt64) -> Bool {
    let minorCost = Double(input.mark_cpu_ns) / Double(max(1, input.freed_bytes))
    let fullCost = Double(fullMarkNs) / Double(max(1, fullRunwayBytes))
    return 4 * minorCost <= 3 * fullCost
  }

  private mutating func stop() {
    fullCyclesToWait = nextWait
    nextWait = min(2 * nextWait, Self.longestWait)
  }
}
