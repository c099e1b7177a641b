// Pacer: when the next cycle starts, and how allocating threads help it along. Arithmetic: numbers in, numbers out; no
// clock, no lock.
//
//   goal     = max(minimum heap, live + growth x live, live + growth x small heap runway, touched), at most the limit
//              where the small heap runway is 24 MiB, at most twice live: below 24 MiB live a cycle costs more than the
//              memory it saves
//   touched  = 15/16 of the memory touched and not given back, but no more than live bytes ever asked for: else what
//              overshoots one goal would raise the next
//   runway   = goal - live: what may be allocated until the next cycle should be over; half a level 2 cache where a
//              cycle costs next to nothing
//   minor    = cycles in between that mark only what is new: Generations.swift
//   trigger  = runway - what was allocated while the last cycle marked, with a quarter more
//
// The touched-memory term costs no memory and fewer cycles: binary trees went from 1438 to 915 ms with it in the
// prototype (research/heap0.md).

public import CTricolor

public struct Pacer: Sendable {
  public var growthPercent: UInt32
  public var minimumHeapBytes: UInt64
  /// 0: none.
  public var limitBytes: UInt64
  /// Smoothed CPU time to mark one object.
  public private(set) var markNsPerObject: UInt64 = 20
  /// Smoothed allocation while a background cycle marks.
  public private(set) var allocatedWhileMarkingBytes: UInt64 = 0

  /// Whether minor cycles run.
  private(set) var generations: Generations

  /// The largest goal that live bytes ever asked for.
  public private(set) var largestGoalBytes: UInt64 = 0

  /// A cycle predicted to mark for less than this is run by the allocating thread itself: waking another one costs more.
  static let inlineMarkNs: UInt64 = 300_000

  /// Measured on binary trees of depth 18 (8 MiB live): 60 cycles and 0.74 of jemalloc's time without it.
  static let smallHeapRunwayBytes: UInt64 = 24 << 20

  /// A mark predicted to take less than this is next to nothing: reusing memory that is still in the cache saves more
  /// (128-byte objects with nothing live: 7.2 ns with a 4 MiB window, 3.2-4.3 ns with 1 MiB, level 2 cache 2 MiB).
  static let negligibleMarkNs: UInt64 = 10_000

  public init(
    growthPercent: UInt32, minimumHeapBytes: UInt64, limitBytes: UInt64 = 0,
    generations: tri_generations = .automatic
  ) {
    self.generations = Generations(policy: generations)
    self.growthPercent = growthPercent
    self.minimumHeapBytes = minimumHeapBytes
    self.limitBytes = limitBytes
  }

  init(options: tri_options) {
    self.init(
      growthPercent: options.growth_percent, minimumHeapBytes: options.minimum_heap_bytes,
      limitBytes: options.limit_bytes, generations: options.generations)
  }

  static func isValid(growthPercent percent: UInt32) -> Bool {
    percent == UInt32.max || (25...100_000).contains(percent)
  }

  /// The plan for the next cycle, from what the last one found.
  public mutating func plan(after input: tri_pacing_input) -> tri_pacing {
    learn(input)
    let goal = nextGoal(input)
    generations.learn(
      input, goal: goal, fullMarkNs: predictedFullMarkNs(input), worthwhileNs: Self.negligibleMarkNs)
    return plan(input, goal: goal)
  }

  /// The plan again, after a setting changed.
  public mutating func replan(_ input: tri_pacing_input) -> tri_pacing {
    plan(input, goal: nextGoal(input))
  }

  private func plan(_ input: tri_pacing_input, goal fullGoal: UInt64) -> tri_pacing {
    let isMinor = generations.nextIsMinor
    let predictedMarkNs = min(predictedFullMarkNs(input), isMinor ? generations.minorMarkNs : .max)
    let isInline = predictedMarkNs <= Self.inlineMarkNs
    var goal = fullGoal
    if input.mutators <= 1 && predictedMarkNs <= Self.negligibleMarkNs && isSweptInNoTime(input) {
      goal = min(goal, input.live_bytes + cacheWindowBytes(input.cache_bytes))
    }
    let runway = goal > input.live_bytes ? goal - input.live_bytes : 0
    let reserve = isInline ? 0 : reserveBytes(runway: runway)
    var pacing = tri_pacing()
    pacing.goal_bytes = goal
    pacing.inline_cycles = isInline
    pacing.minor = isMinor
    pacing.keep_marks = generations.isOn
    pacing.trigger_bytes = growthPercent == UInt32.max ? Int64.max : triggerBytes(runway: runway, reserve: reserve)
    pacing.account_bytes = accountBytes(runway: runway, mutators: input.mutators)
    pacing.urgent_bytes = Int64(clamping: max(runway, 256 << 10) + max(2 * reserve, 1 << 20))
    pacing.assist_objects_per_mib = assistRate(objects: input.live_objects, reserve: reserve)
    return pacing
  }

  private func predictedFullMarkNs(_ input: tri_pacing_input) -> UInt64 {
    let (product, overflow) = input.live_objects.multipliedReportingOverflow(by: markNsPerObject)
    return overflow ? UInt64.max : product
  }

  /// A sweep is linear in the heap, however little a minor cycle marked.
  private func isSweptInNoTime(_ input: tri_pacing_input) -> Bool {
    input.live_bytes <= 4 * cacheWindowBytes(input.cache_bytes)
  }

  private mutating func learn(_ input: tri_pacing_input) {
    // Tiny cycles measure the clock, minor ones what they remembered.
    if input.marked_objects >= 1000 && !input.minor {
      let measured = input.mark_cpu_ns / input.marked_objects
      markNsPerObject = max(1, (3 * markNsPerObject + measured) / 4)
    }
    let allocated = input.allocated_while_marking_bytes
    allocatedWhileMarkingBytes =
      allocated > allocatedWhileMarkingBytes ? allocated : (3 * allocatedWhileMarkingBytes + allocated) / 4
  }

  private mutating func nextGoal(_ input: tri_pacing_input) -> UInt64 {
    // What a minor cycle found includes garbage that died old: the goal of the last full one stands.
    if input.minor { return min(generations.fullGoalBytes, limitBytes > 0 ? limitBytes : UInt64.max) }
    // Off means no trigger; the goal is still reported as if it were the default.
    let percent = growthPercent == UInt32.max ? 100 : UInt64(growthPercent)
    let growing = max(input.live_bytes, min(2 * min(input.live_bytes, 1 << 40), Self.smallHeapRunwayBytes))
    let (product, overflow) = growing.multipliedReportingOverflow(by: percent)
    let (sum, sumOverflow) = (product / 100).addingReportingOverflow(input.live_bytes)
    let grown = max(minimumHeapBytes, overflow || sumOverflow ? UInt64.max : sum)
    largestGoalBytes = max(grown, largestGoalBytes)
    let goal = max(grown, min(input.touched_bytes / 16 * 15, largestGoalBytes))
    return limitBytes > 0 ? min(goal, limitBytes) : goal
  }

  /// Half a cache, within reason: below half a MiB the cycles themselves cost more than the misses.
  private func cacheWindowBytes(_ cache: UInt64) -> UInt64 {
    min(max(cache / 2, 512 << 10), 2 << 20)
  }

  /// What is kept of the runway for allocation while marking: a sixteenth to a half of it.
  private func reserveBytes(runway: UInt64) -> UInt64 {
    let expected = allocatedWhileMarkingBytes + allocatedWhileMarkingBytes / 4
    return min(max(expected, runway / 16), runway / 8)
  }

  /// Never less than 256 KiB: a heap at its limit would otherwise collect at every refill.
  private func triggerBytes(runway: UInt64, reserve: UInt64) -> Int64 {
    Int64(clamping: max(runway - reserve, 256 << 10))
  }

  /// All mutators together overshoot the trigger by an eighth of the runway at most.
  private func accountBytes(runway: UInt64, mutators: UInt32) -> Int64 {
    let share = runway / 8 / UInt64(max(1, mutators))
    return Int64(clamping: min(max(share, 32 << 10), 1 << 20))
  }

  /// Objects to mark per MiB allocated, so that marking is over when the reserve is used up.
  private func assistRate(objects: UInt64, reserve: UInt64) -> UInt32 {
    if reserve == 0 { return 0 }
    let (scaled, overflow) = (objects + objects / 4).multipliedReportingOverflow(by: 1 << 20)
    return overflow ? UInt32.max : UInt32(clamping: scaled / max(reserve, 1 << 16))
  }
}
