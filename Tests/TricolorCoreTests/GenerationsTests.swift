// GenerationsTests: when minor cycles are tried, kept and given up, on heaps that are numbers only.

import CTricolor
import Testing

@testable import TricolorCore

private let mib: UInt64 = 1 << 20

/// A heap of a steady size as the pacer sees it: `live` bytes that stay, and new ones of which a part is alive when the
/// next cycle looks, and dead by the next full one.
private final class AgingHeap {
  static let objectBytes: UInt64 = 64
  static let markNsPerObject: UInt64 = 20

  var pacer: Pacer
  var live: UInt64
  /// What a minor cycle finds alive of the bytes allocated since the last cycle.
  var survival = 0.05
  var storesPerMiB: UInt64 = 0
  /// Beside the marking of objects.
  var extraMarkNs: UInt64 = 0
  var extraOfMinorNs: UInt64? = nil
  var canKeepMarks = true
  var mutators: UInt32 = 4

  private(set) var plan = tri_pacing()
  private(set) var found: UInt64
  private(set) var marksKept = false
  private(set) var peak: UInt64 = 0
  /// Marking and logged stores, and what was allocated meanwhile.
  private(set) var costNs: UInt64 = 0
  private(set) var allocated: UInt64 = 0
  private(set) var minorCycles = 0
  private(set) var fullCycles = 0
  private(set) var bytesFreedSinceFull: UInt64 = 0

  init(live: UInt64, policy: tri_generations = .automatic, limitBytes: UInt64 = 0) {
    self.live = live
    found = live
    pacer = Pacer(growthPercent: 100, minimumHeapBytes: 4 << 20, limitBytes: limitBytes, generations: policy)
    // As a heap begins: nothing alive, no cycle behind it.
    var input = tri_pacing_input()
    input.can_keep_marks = true
    plan = pacer.replan(input)
  }

  func input() -> tri_pacing_input {
    var input = tri_pacing_input()
    input.live_bytes = found
    input.live_objects = found / AgingHeap.objectBytes
    input.touched_bytes = peak
    input.cache_bytes = 2 << 20
    input.mutators = mutators
    input.marks_kept = marksKept
    input.can_keep_marks = canKeepMarks
    return input
  }

  private func markNs(_ bytes: UInt64) -> UInt64 { bytes / AgingHeap.objectBytes * AgingHeap.markNsPerObject }

  /// Allocates to the trigger and runs the cycle that was planned.
  @discardableResult
  func cycle() -> Bool {
    let fresh = UInt64(plan.trigger_bytes)
    let isMinor = plan.minor && marksKept
    let before = found + fresh
    let stores = marksKept ? storesPerMiB * fresh / mib : 0
    found = isMinor ? found + UInt64(Double(fresh) * survival) : live
    let marked = isMinor ? UInt64(Double(fresh) * survival) : live
    marksKept = plan.keep_marks && canKeepMarks
    peak = max(peak, before)
    costNs += markNs(marked) + Generations.loggedStoreNs * stores
    allocated += fresh
    bytesFreedSinceFull = isMinor ? bytesFreedSinceFull + (before - found) : 0
    if isMinor { minorCycles += 1 } else { fullCycles += 1 }
    var input = self.input()
    input.marked_objects = marked / AgingHeap.objectBytes
    input.mark_cpu_ns = markNs(marked) + (isMinor ? extraOfMinorNs ?? extraMarkNs : extraMarkNs)
    input.freed_bytes = before - found
    input.logged_stores = stores
    input.minor = isMinor
    plan = pacer.plan(after: input)
    return isMinor
  }

  /// Full cycles until marks are to be kept; nil if that does not happen.
  func fullCyclesUntilOn(atMost limit: Int = 500) -> Int? {
    let before = fullCycles
    for _ in 0..<limit {
      cycle()
      if pacer.generations.isOn { return fullCycles - before }
    }
    return nil
  }

  /// Runs until marks are not to be kept any more; nil if that does not happen.
  func cyclesUntilOff(atMost limit: Int = 500) -> Int? {
    for count in 1...limit {
      cycle()
      if !pacer.generations.isOn { return count }
    }
    return nil
  }

  var costPerMiB: Double { Double(costNs) / Double(allocated) * Double(mib) }

  /// The same without minor cycles.
  func costPerMiBWithout() -> Double {
    let other = AgingHeap(live: live, policy: .off)
    for _ in 0..<100 { other.cycle() }
    return other.costPerMiB
  }
}

@Suite struct GenerationsTests {
  @Test(
    "a full mark that is negligible leaves minor cycles off for good",
    arguments: [0, 1, 16 << 10, 30 << 10] as [UInt64])
  func negligible(live: UInt64) {
    let heap = AgingHeap(live: live)
    for _ in 0..<500 {
      #expect(!heap.cycle())
      #expect(!heap.plan.keep_marks && !heap.plan.minor)
    }
  }

  @Test("a mark that is worth it is tried after three full cycles: marks are kept first, then used")
  func turnsOn() {
    let heap = AgingHeap(live: 100 * mib)
    for _ in 0..<2 {
      heap.cycle()
      #expect(!heap.plan.keep_marks)
    }
    heap.cycle()
    #expect(heap.plan.keep_marks && !heap.plan.minor, "there are no marks yet")
    heap.cycle()
    #expect(heap.plan.keep_marks && heap.plan.minor)
    #expect(heap.fullCycles == 4 && heap.minorCycles == 0)
    #expect(heap.cycle())
  }

  @Test(
    "where little survives minor cycles stay on, cost less, and the heap stays below the goal of a full one",
    arguments: [0, 0.01, 0.05, 0.1], [1, 20, 100, 2000] as [UInt64])
  func lowSurvival(survival: Double, liveMiB: UInt64) {
    let heap = AgingHeap(live: liveMiB * mib)
    heap.survival = survival
    #expect(heap.fullCyclesUntilOn() == 3)
    var goal: UInt64 = 0
    for _ in 0..<400 {
      let wasMinor = heap.cycle()
      #expect(heap.pacer.generations.isOn)
      if !wasMinor { goal = heap.plan.goal_bytes }
      #expect(heap.plan.goal_bytes == goal || !heap.plan.minor)
      #expect(heap.plan.goal_bytes <= goal, "a minor cycle raises no goal")
      #expect(heap.found < goal)
    }
    #expect(heap.peak <= heap.pacer.largestGoalBytes)
    #expect(heap.minorCycles > 2 * heap.fullCycles)
    #expect(heap.costPerMiB < 0.75 * heap.costPerMiBWithout())
  }

  @Test("however little survives, what died old is collected in the end", arguments: [1, 100, 1000] as [UInt64])
  func oldGarbage(liveMiB: UInt64) {
    let heap = AgingHeap(live: liveMiB * mib)
    heap.survival = 0
    for _ in 0..<1000 {
      let runway = UInt64(heap.plan.trigger_bytes)
      heap.cycle()
      #expect(heap.bytesFreedSinceFull <= Generations.freedBytesUntilFull(liveBytes: heap.live) + runway)
    }
    #expect(heap.fullCycles >= 10 && heap.minorCycles > 800)
  }

  @Test(
    "where much survives minor cycles are tried ever more seldom, and cost next to nothing", arguments: [0.8, 0.95, 1])
  func highSurvival(survival: Double) {
    let heap = AgingHeap(live: 100 * mib)
    heap.survival = survival
    var waits: [Int] = []
    for _ in 0..<6 {
      waits.append(heap.fullCyclesUntilOn() ?? -1)
      let minorBefore = heap.minorCycles
      #expect(heap.cyclesUntilOff() != nil)
      #expect(heap.minorCycles <= minorBefore + 2, "two are enough to know")
    }
    // The full cycle that keeps marks for the first time comes on top.
    #expect(
      waits == [
        3, 16, Generations.longestWait, Generations.longestWait, Generations.longestWait, Generations.longestWait,
      ])
    for _ in 0..<1000 { heap.cycle() }
    #expect(heap.costPerMiB <= 1.03 * heap.costPerMiBWithout(), "\(heap.costPerMiB) \(heap.costPerMiBWithout())")
  }

  @Test("stores that looked at old objects count as cost: what they cost is not saved")
  func loggedStores() {
    let fullNs = 100 * mib / AgingHeap.objectBytes * AgingHeap.markNsPerObject
    func heap(storesPerMiB: UInt64) -> AgingHeap {
      let heap = AgingHeap(live: 100 * mib)
      heap.storesPerMiB = storesPerMiB
      #expect(heap.fullCyclesUntilOn() == 3)
      return heap
    }
    // About as much as full marks cost for each MiB: 100 MiB of runway for one.
    let even = fullNs / 100 / Generations.loggedStoreNs
    let few = heap(storesPerMiB: even / 10)
    #expect(few.cyclesUntilOff() == nil)
    let many = heap(storesPerMiB: even)
    #expect(many.cyclesUntilOff(atMost: 3) != nil)
    for _ in 0..<2000 { many.cycle() }
    #expect(many.costPerMiB <= 1.05 * many.costPerMiBWithout())
  }

  @Test("a single minor cycle that took long says nothing: its thread may have waited for a processor")
  func oneDearCycle() {
    let heap = AgingHeap(live: 100 * mib)
    #expect(heap.fullCyclesUntilOn() == 3)
    for _ in 0..<20 {
      for _ in 0..<30 { heap.cycle() }
      heap.extraOfMinorNs = 400_000_000
      while !heap.cycle() {}
      heap.extraOfMinorNs = nil
      heap.cycle()
      #expect(heap.pacer.generations.isOn)
    }
    heap.extraOfMinorNs = 400_000_000
    #expect(heap.cyclesUntilOff(atMost: 4) != nil, "again and again is another matter")
  }

  @Test("what a full cycle took counts, not only its objects: the roots of a small heap may be most of the work")
  func fewObjectsMuchWork() {
    let heap = AgingHeap(live: 8 << 10)
    heap.survival = 0
    heap.extraMarkNs = 60_000
    heap.extraOfMinorNs = 10_000
    #expect(heap.fullCyclesUntilOn() == 3)
    #expect(heap.cyclesUntilOff() == nil)
    #expect(heap.minorCycles > heap.fullCycles)
  }

  @Test("a program that changes its ways is noticed, both times")
  func changes() {
    let heap = AgingHeap(live: 100 * mib)
    #expect(heap.fullCyclesUntilOn() == 3)
    for _ in 0..<100 { heap.cycle() }
    heap.survival = 0.95
    #expect(heap.cyclesUntilOff(atMost: 3) != nil)
    #expect(heap.fullCyclesUntilOn() == 16, "it has paid before: the wait is the shortest")
    #expect(heap.cyclesUntilOff(atMost: 3) != nil)
    heap.survival = 0.02
    #expect(heap.fullCyclesUntilOn() == Generations.longestWait)
    #expect(heap.cyclesUntilOff() == nil)
    heap.survival = 0.95
    #expect(heap.cyclesUntilOff(atMost: 3) != nil)
    #expect(heap.fullCyclesUntilOn() == 16)
  }

  @Test(
    "where marks cannot be kept minor cycles are off, from the next cycle on",
    arguments: [tri_generations.automatic, .always])
  func cannotKeep(policy: tri_generations) {
    let heap = AgingHeap(live: 100 * mib, policy: policy)
    heap.canKeepMarks = false
    for _ in 0..<100 {
      #expect(!heap.cycle())
      #expect(!heap.plan.keep_marks && !heap.plan.minor)
    }
    heap.canKeepMarks = true
    for _ in 0..<50 { heap.cycle() }
    #expect(heap.minorCycles > 10)
    heap.canKeepMarks = false
    heap.cycle()
    #expect(!heap.plan.keep_marks && !heap.plan.minor)
    #expect(!heap.cycle())
  }

  @Test("the policy off is off, whatever it would save")
  func policyOff() {
    let heap = AgingHeap(live: 1000 * mib, policy: .off)
    heap.survival = 0
    for _ in 0..<200 {
      #expect(!heap.cycle())
      #expect(!heap.plan.keep_marks && !heap.plan.minor)
    }
  }

  @Test("the policy always is three in four, paying or not", arguments: [0, 1.0], [1 << 10, 100 << 20] as [UInt64])
  func policyAlways(survival: Double, live: UInt64) {
    let heap = AgingHeap(live: live, policy: .always)
    heap.survival = survival
    heap.cycle()  // the first one that keeps marks ...
    while !heap.plan.minor { heap.cycle() }
    let kinds = (0..<40).map { _ in heap.cycle() }
    #expect(kinds == (0..<10).flatMap { _ in [true, true, true, false] })
    #expect(heap.plan.keep_marks)
  }

  @Test("a plan that is made again after a setting changed is not a cycle")
  func replan() {
    let heap = AgingHeap(live: 100 * mib)
    let same = AgingHeap(live: 100 * mib)
    for step in 0..<200 {
      heap.cycle()
      same.cycle()
      for percent in [UInt32(50), 400, .max, 100] {
        same.pacer.growthPercent = percent
        let plan = same.pacer.replan(same.input())
        #expect(plan.minor == heap.plan.minor && plan.keep_marks == heap.plan.keep_marks)
        if percent == .max { #expect(plan.trigger_bytes == .max) }
      }
      #expect(same.pacer.generations.isOn == heap.pacer.generations.isOn, "step \(step)")
      #expect(same.pacer.generations.nextIsMinor == heap.pacer.generations.nextIsMinor)
      #expect(same.pacer.generations.fullGoalBytes == heap.pacer.generations.fullGoalBytes)
    }
    #expect(heap.minorCycles > 100)
  }

  // MARK: What the pacer makes of it

  @Test("after a minor cycle the goal of the last full one stands, and less is left of it")
  func goalStands() {
    let heap = AgingHeap(live: 100 * mib)
    heap.survival = 0.1
    while !heap.plan.minor { heap.cycle() }
    let goal = heap.plan.goal_bytes
    #expect(goal == 200 * mib)
    var left = heap.plan.trigger_bytes
    while heap.plan.minor {
      heap.cycle()
      #expect(heap.plan.goal_bytes == goal)
      #expect(heap.plan.trigger_bytes < left)
      #expect(UInt64(heap.plan.trigger_bytes) <= goal - heap.found)
      left = heap.plan.trigger_bytes
    }
    heap.cycle()
    #expect(heap.plan.goal_bytes == goal)
  }

  @Test("a limit that is lower holds for minor cycles too")
  func limit() {
    let heap = AgingHeap(live: 100 * mib, limitBytes: 160 * mib)
    heap.survival = 0.02
    while !heap.plan.minor { heap.cycle() }
    for _ in 0..<20 {
      #expect(heap.plan.goal_bytes == 150 * mib)
      heap.cycle()
    }
    #expect(heap.peak <= 150 * mib)
  }

  @Test("a minor cycle is run by the allocating thread if it takes no time, though a full one would not be")
  func inline() {
    let heap = AgingHeap(live: 100 * mib)
    heap.survival = 0.0001
    while !heap.plan.minor { heap.cycle() }
    #expect(!heap.plan.inline_cycles, "nothing is known about minor ones")
    heap.cycle()
    #expect(heap.plan.minor && heap.plan.inline_cycles)
    #expect(heap.plan.assist_objects_per_mib == 0)
    while heap.plan.minor { heap.cycle() }
    #expect(!heap.plan.inline_cycles, "the next one is full")
    let slow = AgingHeap(live: 1000 * mib)
    slow.survival = 0.1
    while !slow.plan.minor { slow.cycle() }
    slow.cycle()
    #expect(slow.plan.minor && !slow.plan.inline_cycles)
  }

  @Test("what a minor cycle marked does not say what a full one takes")
  func markTime() {
    let heap = AgingHeap(live: 100 * mib)
    while !heap.plan.minor { heap.cycle() }
    let before = heap.pacer.markNsPerObject
    var input = heap.input()
    input.minor = true
    input.marked_objects = 100_000
    input.mark_cpu_ns = 100_000 * 5000
    _ = heap.pacer.plan(after: input)
    #expect(heap.pacer.markNsPerObject == before)
    input.minor = false
    _ = heap.pacer.plan(after: input)
    #expect(heap.pacer.markNsPerObject > before)
  }

  @Test(
    "what mutators keep to themselves is an eighth of the runway together, between 32 KiB and 1 MiB each",
    arguments: [1, 4, 64, 1000] as [UInt32], [100 << 10, 1 << 20, 100 << 20, 10 << 30] as [UInt64])
  func account(mutators: UInt32, live: UInt64) {
    let heap = AgingHeap(live: live)
    heap.mutators = mutators
    for _ in 0..<20 {
      heap.cycle()
      let runway = Int64(heap.plan.goal_bytes - min(heap.plan.goal_bytes, heap.found))
      let bytes = heap.plan.account_bytes
      #expect(bytes >= 32 << 10 && bytes <= 1 << 20)
      #expect(bytes == 32 << 10 || bytes * Int64(mutators) <= runway / 8)
      #expect(bytes == 1 << 20 || bytes >= runway / 8 / Int64(mutators))
      #expect(heap.plan.urgent_bytes > heap.plan.trigger_bytes)
    }
  }
}
