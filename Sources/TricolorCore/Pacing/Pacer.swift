// Pacer: when the next cycle starts, and how allocating threads help it along. Arithmetic: numbers in, numbers out; no
// clock, no lock.
//
//   goal     = max(minimum heap, alive + growth x alive, live + growth x alive / 2, live + growth x small heap runway,
//              touched), at most the limits, where the small heap runway is 24 MiB, at most twice live: below 24 MiB
//              live a cycle costs more than the memory it saves; and live is with external bytes, which are taken off
//              again at the end
//   alive    = live without what was allocated while marking, up to a quarter of it: that counts as live whatever it
//              is, and in a steady state as much died meanwhile. A heap that takes its time to mark would hold that much
//              more with each cycle
//   touched  = 15/16 of the memory touched and not given back, but no more than live bytes asked for lately: else what
//              overshoots one goal would raise the next. Where more than a third of them was allocated while marking,
//              because the mark was kept waiting, that part asks for nothing. Lately: in the last 8 to 16 full cycles
//              or 1 to 2 seconds, whichever is longer, so that a heap that shrinks for good does not keep what it once
//              needed
//   limits   = hard - external bytes - a sixteenth, and soft - external bytes - the collector's own tables, unless that
//              would take more than half of the CPU time: CPULimiter.swift
//   runway   = goal - live: what may be allocated until the next cycle should be over; half a level 2 cache where a
//              cycle costs next to nothing
//   minor    = cycles in between that mark only what is new: Generations.swift
//   hold     = what the limits leave, and a little, or twice the runway, less the more threads there are: they wait
//              there for the cycle to end. Where a hundred of them want two CPUs it takes long to be told by all
//   trigger  = runway - what will be allocated while the next cycle marks, with a quarter more: time to mark what is
//              alive x bytes allocated per nanosecond of marking, both smoothed; at most half of the runway
//   assists  = all marking, with a quarter more, over that reserve; but the collector may be behind by half of it
//              before allocating threads mark: where it is behind for a moment only, nobody has to
//
// The touched-memory term costs no memory and fewer cycles: binary trees went from 1438 to 915 ms with it in the
// prototype (research/heap0.md).

public import CTricolor

public struct Pacer: Sendable {
  public var growthPercent: UInt32
  public var minimumHeapBytes: UInt64
  /// 0: none.
  public var limitBytes: UInt64
  /// Of heap, tables and external bytes; 0: none.
  public var softLimitBytes: UInt64 = 0
  /// Smoothed CPU time to mark one object.
  public private(set) var markNsPerObject: UInt64 = 20
  /// Smoothed allocation per nanosecond that a background cycle marks; rises at once.
  public private(set) var allocationWhileMarking = 0.0
  /// Smoothed time of a mark per CPU time of it: below 1 with helpers, above where the collector waits for a processor.
  public private(set) var markNsPerCPUNs = 1.0
  /// What keeping a limit costs.
  private(set) var limiter = CPULimiter()
  /// Whether the heap is beyond a limit, as told by the last plan.
  public private(set) var isLimitExceeded = false

  /// Whether minor cycles run.
  private(set) var generations: Generations

  /// The largest goal that live bytes asked for lately.
  public var largestGoalBytes: UInt64 { max(goals.now, goals.before) }

  /// The largest goals of this epoch and of the one before it.
  private var goals = (now: UInt64(0), before: UInt64(0), cycles: 0, beganNs: UInt64(0))
  static let goalEpochCycles = 8
  static let goalEpochNs: UInt64 = 1_000_000_000

  /// Below this nobody waits for a cycle but at a limit.
  static let holdBytesMin: UInt64 = 64 << 20

  /// For every so many threads what may be allocated beyond the goal is shared once more. Of a hundred on two CPUs most
  /// wait anyway, and if it is for the cycle, the collector has a CPU: with all of a second runway 64 MiB alive took 300
  /// to 510 MiB and marks of 20 ms 60 to 150, so 175 to 200 MiB, at as many operations.
  static let crowdMutators: UInt32 = 4

  /// A cycle predicted to mark for less than this is run by a lone allocating thread itself. Another one has to be woken,
  /// stores are recorded meanwhile, and where no processor is idle it comes milliseconds late: the heap outgrows its goal.
  /// Against 0.3 ms here replays on a busy machine took 0.86 (sqlite3, python3) to 0.96 (cc1) of the time, at peaks of 38
  /// to 43 MiB instead of 68 to 82.
  static let inlineMarkNs: UInt64 = 1_000_000

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
    limiter.observe(
      nowNs: input.now_ns, collectorNs: input.collector_cpu_ns, processNs: input.process_cpu_ns,
      allocatedBytes: input.allocated_bytes, isMinor: input.minor)
    endGoalEpoch(input)
    let goal = nextGoal(input)
    generations.learn(
      input, goal: goal, fullMarkNs: predictedFullMarkNs(input), worthwhileNs: Self.negligibleMarkNs)
    return plan(input, goal: goal)
  }

  /// The plan again, after a setting changed.
  public mutating func replan(_ input: tri_pacing_input) -> tri_pacing {
    plan(input, goal: nextGoal(input))
  }

  private mutating func plan(_ input: tri_pacing_input, goal fullGoal: UInt64) -> tri_pacing {
    let isMinor = generations.nextIsMinor
    let predictedMarkNs = min(predictedFullMarkNs(input), isMinor ? generations.minorMarkNs : .max)
    let isInline = predictedMarkNs <= Self.inlineMarkNs
    var goal = fullGoal
    if input.mutators <= 1 && predictedMarkNs <= Self.negligibleMarkNs && isSweptInNoTime(input) {
      goal = min(goal, input.live_bytes + cacheWindowBytes(input.cache_bytes))
    }
    let wanted = goal > input.live_bytes ? goal - input.live_bytes : 0
    let runway = runwayBytes(wanted, input)
    // Where it is a limit that would be overshot.
    let isTight = limitedBytes(input).minus(input.live_bytes) <= wanted
    let reserve = isInline ? 0 : reserveBytes(runway: runway, markNs: predictedMarkNs)
    var pacing = tri_pacing()
    pacing.goal_bytes = input.live_bytes.plus(runway)
    pacing.inline_cycles = isInline
    pacing.minor = isMinor
    pacing.keep_marks = generations.isOn
    pacing.trigger_bytes = isOff ? Int64.max : triggerBytes(runway: runway, reserve: reserve)
    pacing.account_bytes = accountBytes(runway: runway, input)
    pacing.hold_bytes = holdBytes(runway: runway, input)
    pacing.urgent_bytes = min(
      Int64(clamping: max(runway, 256 << 10) + max(2 * reserve, 1 << 20)), pacing.hold_bytes)
    pacing.assist_objects_per_mib =
      limiter.isEngaged ? 0 : assistRate(objects: input.live_objects, reserve: reserve)
    pacing.assist_loan_objects = isTight || limiter.isEngaged ? 0 : Int64(clamping: input.live_objects / 2)
    isLimitExceeded = exceedsLimit(input)
    pacing.limit_exceeded = isLimitExceeded
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
    let wallNs = Double(max(1, input.mark_wall_ns > 0 ? input.mark_wall_ns : input.mark_cpu_ns))
    if input.marked_objects >= 1000 {
      let slowness = min(max(wallNs / Double(max(1, input.mark_cpu_ns)), 1 / 64), 64)
      markNsPerCPUNs = (3 * markNsPerCPUNs + slowness) / 4
    }
    // A minor cycle is over before anybody allocates much, and most of the time the full one is what the reserve is for.
    if input.minor { return }
    let rate = Double(input.allocated_while_marking_bytes) / wallNs
    allocationWhileMarking = rate > allocationWhileMarking ? rate : (3 * allocationWhileMarking + rate) / 4
  }

  /// Growth off means no trigger, except where a soft limit has to be kept.
  private var isOff: Bool { growthPercent == UInt32.max && softLimitBytes == 0 }

  private mutating func endGoalEpoch(_ input: tri_pacing_input) {
    if input.minor { return }
    goals.cycles += 1
    let age = input.now_ns > goals.beganNs ? input.now_ns - goals.beganNs : 0
    guard goals.cycles > Self.goalEpochCycles && age >= Self.goalEpochNs else { return }
    goals = (now: 0, before: goals.now, cycles: 0, beganNs: input.now_ns)
  }

  private mutating func nextGoal(_ input: tri_pacing_input) -> UInt64 {
    // What a minor cycle found includes garbage that died old: the goal of the last full one stands.
    if input.minor { return min(generations.fullGoalBytes, limitedBytes(input)) }
    let late = input.allocated_while_marking_bytes
    let grown = grownBytes(live: input.live_bytes, late: late, external: input.external_bytes)
    let isStarved = late > input.live_bytes / 3
    let early = input.live_bytes.minus(late)
    goals.now = max(isStarved ? grownBytes(live: early, late: 0, external: input.external_bytes) : grown, goals.now)
    let goal = max(grown, min(input.touched_bytes / 16 * 15, largestGoalBytes))
    return min(goal, limitedBytes(input))
  }

  /// What so many live bytes ask for, of which `late` were allocated while marking.
  private func grownBytes(live heapBytes: UInt64, late lateBytes: UInt64, external: UInt64) -> UInt64 {
    // Off means no trigger; the goal is still reported as if it were the default, or a limit's.
    let percent = growthPercent == UInt32.max ? (isOff ? 100 : 100_000) : UInt64(growthPercent)
    let live = heapBytes.plus(external)
    let late = min(lateBytes, live / 4)
    let (product, overflow) = live.minus(late).multipliedReportingOverflow(by: percent)
    let growth = overflow ? UInt64.max : product / 100
    let small = min(2 * min(live, 1 << 40), Self.smallHeapRunwayBytes) * percent / 100
    let sum = max(growth.minus(min(late, growth / 2)), small).plus(live)
    return max(minimumHeapBytes, sum == .max ? sum : sum - external)
  }

  // MARK: Limits

  /// What the limits leave for the heap.
  private func limitedBytes(_ input: tri_pacing_input) -> UInt64 {
    let hard = limitBytes > 0 ? usefulBytes(ofHard: limitBytes.minus(input.external_bytes), input) : .max
    let others = input.external_bytes.plus(input.metadata_bytes)
    let soft = softLimitBytes > 0 ? softLimitBytes.minus(others) : .max
    return min(hard, soft)
  }

  /// At the hard limit no page is left for a class of objects that needs one, however many free slots others have: an
  /// allocation fails where each span of 128-byte objects keeps a few alive. So a sixteenth is left for that, as long as
  /// there is so much; of what is left at last, half.
  private func usefulBytes(ofHard hard: UInt64, _ input: tri_pacing_input) -> UInt64 {
    hard - min(hard / 16, hard.minus(input.live_bytes) / 2)
  }

  /// What is wanted, or more: where a limit asks for more cycles than are reasonable.
  private mutating func runwayBytes(_ wanted: UInt64, _ input: tri_pacing_input) -> UInt64 {
    let room = limitedBytes(input).minus(input.live_bytes)
    // Where there is more room than wanted it is not the limit that asks for cycles.
    let allowed = limiter.runway(room: room)
    return limiter.isEngaged ? max(wanted, allowed) : wanted
  }

  /// Where allocating threads wait for the cycle that is under way: at a limit, or when what the cycle was begun for is
  /// used up twice.
  private func holdBytes(runway: UInt64, _ input: tri_pacing_input) -> Int64 {
    if isOff { return .max }
    let limited = limitedBytes(input)
    let crowd = UInt64(1 + input.mutators / Self.crowdMutators)
    let far = max(runway.plus(runway / crowd), Self.holdBytesMin / crowd)
    let room = limiter.isEngaged ? runway.plus(runway) : min(far, max(runway, limited.minus(input.live_bytes)))
    return Int64(clamping: max(room, Self.triggerBytesMin).plus(Self.triggerBytesMin))
  }

  /// Below it again: by a sixteenth, or the two events would take turns.
  private func exceedsLimit(_ input: tri_pacing_input) -> Bool {
    if limiter.isEngaged { return true }
    // A minor cycle takes for alive what died old; the next full one knows.
    if input.minor { return isLimitExceeded }
    // What was allocated while marking was found alive, whatever it is: the next cycle knows.
    let live = input.live_bytes.minus(input.allocated_while_marking_bytes).plus(input.external_bytes)
    let soft = live.plus(input.metadata_bytes)
    if softLimitBytes > 0 && soft > (isLimitExceeded ? softLimitBytes / 16 * 15 : softLimitBytes) { return true }
    if limitBytes > 0 && live > (isLimitExceeded ? limitBytes / 16 * 15 : limitBytes) { return true }
    // What failed may have been a large object: while pages are short.
    let used = input.used_bytes.plus(input.external_bytes)
    return input.allocation_failed && limitBytes > 0 && used > limitBytes / 16 * 15
  }

  /// Half a cache, within reason: below 1 MiB the cycles themselves, 4 us each, cost more than the misses. With a level 2
  /// cache of 512 KiB pairs of 16 to 128 bytes took 0.93-0.99 of what they took in half a MiB, of 1 KiB 0.91, of 4 KiB
  /// 0.77; in 2 MiB no less.
  private func cacheWindowBytes(_ cache: UInt64) -> UInt64 {
    min(max(cache / 2, 1 << 20), 2 << 20)
  }

  /// What is kept of the runway for allocation while marking: a sixteenth to a half of it, as assists do the rest. With an
  /// eighth threads that allocate at a steady pace ran at a third of it while marking, with a quarter at a half: a
  /// service that needs four fifths of its CPUs was 100 ms late then, and 30 with a half.
  private func reserveBytes(runway: UInt64, markNs: UInt64) -> UInt64 {
    let expected = allocationWhileMarking * Double(markNs) * markNsPerCPUNs * 1.25
    return min(max(UInt64(min(expected, 1e18)), runway / 16), runway / 2)
  }

  /// A heap at its limit would otherwise collect at every refill.
  static let triggerBytesMin: UInt64 = 256 << 10

  private func triggerBytes(runway: UInt64, reserve: UInt64) -> Int64 {
    Int64(clamping: max(runway - reserve, Self.triggerBytesMin))
  }

  /// All mutators together overshoot the trigger by an eighth of the runway at most, and a limit by less than a hundredth.
  private func accountBytes(runway: UInt64, _ input: tri_pacing_input) -> Int64 {
    let together = min(runway / 8, limitedBytes(input) / 128)
    return Int64(clamping: min(max(together / UInt64(max(1, input.mutators)), 32 << 10), 1 << 20))
  }

  /// Objects to mark per MiB allocated, so that marking is over when the reserve is used up.
  private func assistRate(objects: UInt64, reserve: UInt64) -> UInt32 {
    if reserve == 0 { return 0 }
    let (scaled, overflow) = (objects + objects / 4).multipliedReportingOverflow(by: 1 << 20)
    return overflow ? UInt32.max : UInt32(clamping: scaled / max(reserve, 1 << 16))
  }
}

extension UInt64 {
  /// The sum, or the largest number.
  fileprivate func plus(_ other: UInt64) -> UInt64 {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? .max : sum
  }

  /// The difference, or 0.
  fileprivate func minus(_ other: UInt64) -> UInt64 { self > other ? self - other : 0 }
}
