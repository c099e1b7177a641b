// Generations: whether the next cycle is a minor one, and whether minor cycles pay at all.
//
//   off  ──waited, and full marks cost something──▶ on    the next cycle keeps its marks, the one after is minor
//   on   ──a byte reclaimed costs no less──▶ off          for four times as many full cycles as the last time
//
// While off, nothing is kept and no store is logged. While on, minor cycles follow a full one until what they found
// alive has used up half of the room that the full one left: then the next is full and takes what died old. The full
// cycle and its minor ones are an epoch; their cost is marking and the stores that looked at old objects.
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
  /// What marking the last minor cycle took; unknown before the first.
  private(set) var minorMarkNs: UInt64 = .max
  /// The goal of the last full cycle; minor ones fill the heap up to it.
  private(set) var fullGoalBytes: UInt64 = 0

  /// What the last full cycle took, and what it leaves to allocate until the next if no minor one comes between.
  private var full = Cost()
  /// The same full cycle, and the minor ones since.
  private var epoch = Cost()
  private var minorCyclesInEpoch = 0
  /// The last ones that cost as much as full ones. A single one says that the thread had to wait for its processor.
  private var dearMinorCycles = 0
  private var fullCyclesToWait = 3
  private var nextWait = 16

  init(policy: tri_generations) { self.policy = policy }

  /// Minor cycles are left off for at most this many full ones: the price of trying stays below 3 %.
  static let longestWait = 64

  /// A store that looks at an old object, against one that does not.
  static let loggedStoreNs: UInt64 = 3

  /// However little survives, what is old is looked at again after this much was freed: its garbage is still garbage.
  static func freedBytesUntilFull(liveBytes: UInt64) -> UInt64 { (64 << 20) + 16 * min(liveBytes, 1 << 50) }

  /// At a limit a minor cycle frees next to nothing, and its sweep is still linear in the heap: with 0.3 MiB of room and
  /// 260 MiB held it had 86 % of the time, for ever, as it never finds what died old.
  static func leastRoom(liveBytes: UInt64) -> UInt64 { liveBytes / 16 }

  /// What a cycle and its sweep found. `goal` is what a full cycle would aim at from here, `fullMarkNs` what it would
  /// take.
  mutating func learn(_ input: tri_pacing_input, goal: UInt64, fullMarkNs: UInt64, worthwhileNs: UInt64) {
    let ns = input.mark_cpu_ns + Self.loggedStoreNs * input.logged_stores
    if input.minor {
      minorCyclesInEpoch += 1
      minorMarkNs = input.mark_cpu_ns
      let minor = Cost(ns: ns, bytes: input.freed_bytes)
      // More than a full one it takes only where its thread waited.
      epoch = epoch + Cost(ns: min(minor.ns, full.ns), bytes: minor.bytes)
      dearMinorCycles = minor.isClearlyLess(than: full) ? 0 : dearMinorCycles + 1
      if policy == .automatic && dearMinorCycles == 2 { stop() }
    } else {
      fullCyclesToWait = max(0, fullCyclesToWait - 1)
      endEpoch()
      fullGoalBytes = goal
      let room = goal > input.live_bytes ? goal - input.live_bytes : 0
      full = Cost(ns: max(fullMarkNs, input.mark_cpu_ns), bytes: room)
      epoch = full
      epoch.ns += ns - input.mark_cpu_ns
    }
    // What the last full one took counts as well: of a small heap objects are the lesser part.
    isOn = input.can_keep_marks && wants(fullMarkNs: max(fullMarkNs, full.ns), worthwhileNs: worthwhileNs)
    nextIsMinor = isOn && input.marks_kept && hasRoom(input)
  }

  private mutating func endEpoch() {
    if minorCyclesInEpoch > 0 && isOn && policy == .automatic {
      if epoch.isClearlyLess(than: full) { nextWait = 16 } else { stop() }
    }
    minorCyclesInEpoch = 0
  }

  private func wants(fullMarkNs: UInt64, worthwhileNs: UInt64) -> Bool {
    switch policy {
    case .off: false
    case .always: true
    case .automatic: fullCyclesToWait == 0 && fullMarkNs > worthwhileNs
    }
  }

  private func hasRoom(_ input: tri_pacing_input) -> Bool {
    if policy == .always { return minorCyclesInEpoch < 3 }
    let room = fullGoalBytes > input.live_bytes ? fullGoalBytes - input.live_bytes : 0
    return room >= max(full.bytes / 2, Self.leastRoom(liveBytes: input.live_bytes))
      && epoch.bytes < Self.freedBytesUntilFull(liveBytes: input.live_bytes)
  }

  private mutating func stop() {
    fullCyclesToWait = nextWait
    nextWait = min(4 * nextWait, Self.longestWait)
    dearMinorCycles = 0
    isOn = false
  }
}

/// Time spent and bytes reclaimed by it.
private struct Cost: Sendable {
  var ns: UInt64 = 0
  var bytes: UInt64 = 0

  /// A quarter less per byte.
  func isClearlyLess(than other: Cost) -> Bool {
    4 * Double(ns) * Double(max(1, other.bytes)) <= 3 * Double(other.ns) * Double(max(1, bytes))
  }

  static func + (one: Cost, other: Cost) -> Cost { Cost(ns: one.ns + other.ns, bytes: one.bytes + other.bytes) }
}
