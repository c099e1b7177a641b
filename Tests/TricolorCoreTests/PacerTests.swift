import CTricolor
import Testing

@testable import TricolorCore

/// A heap as the pacer sees it: bytes allocated and marked at given rates, no objects.
private struct SimulatedHeap {
  var pacer: Pacer
  var liveBytes: UInt64
  let objectBytes: UInt64 = 64
  var markNsPerObject: UInt64 = 20
  var allocationBytesPerNs = 0.5
  var touchedBytes: UInt64 = 0
  /// What the last cycle found: with what was allocated while it marked, which is black.
  var foundBytes: UInt64 { liveBytes + lateBytes }
  private var lateBytes: UInt64 = 0
  var mutators: UInt32 = 4
  var cacheBytes: UInt64 = 2 << 20
  var plan = tri_pacing()

  init(liveBytes: UInt64, growthPercent: UInt32 = 100, minimumHeapBytes: UInt64 = 4 << 20, limitBytes: UInt64 = 0) {
    self.liveBytes = liveBytes
    pacer = Pacer(growthPercent: growthPercent, minimumHeapBytes: minimumHeapBytes, limitBytes: limitBytes)
    plan = pacer.plan(after: input(allocatedWhileMarking: 0))
  }

  private func input(allocatedWhileMarking: UInt64) -> tri_pacing_input {
    var input = tri_pacing_input()
    input.live_bytes = liveBytes + allocatedWhileMarking
    input.live_objects = liveBytes / objectBytes
    input.touched_bytes = touchedBytes
    input.allocated_while_marking_bytes = allocatedWhileMarking
    input.marked_objects = liveBytes / objectBytes
    input.mark_cpu_ns = input.marked_objects * markNsPerObject
    input.cache_bytes = cacheBytes
    input.mutators = mutators
    return input
  }

  /// Allocates to the trigger, marks beside the mutators, sweeps; returns the heap's peak.
  mutating func cycle() -> UInt64 {
    let trigger = UInt64(clamping: plan.trigger_bytes)
    var whileMarking: UInt64 = 0
    if !plan.inline_cycles {
      // The collector marks on one processor; what is allocated meanwhile is slowed by the marking it owes.
      let objects = Double(liveBytes / objectBytes)
      let owedPerByte = Double(plan.assist_objects_per_mib) / Double(1 << 20)
      let ownRate = 1 / Double(markNsPerObject)
      let effectiveRate = ownRate + owedPerByte * allocationBytesPerNs * 0.5
      whileMarking = UInt64(objects / effectiveRate * allocationBytesPerNs)
    }
    let peak = foundBytes + trigger + whileMarking
    lateBytes = whileMarking
    touchedBytes = max(touchedBytes, peak)
    plan = pacer.plan(after: input(allocatedWhileMarking: whileMarking))
    return peak
  }
}

private let mib: UInt64 = 1 << 20

@Suite struct PacerTests {
  @Test("in a steady state the heap peaks at most a tenth above its goal")
  func steadyState() {
    var heap = SimulatedHeap(liveBytes: 100 * mib)
    for _ in 0..<5 { _ = heap.cycle() }
    for _ in 0..<20 {
      let goal = heap.plan.goal_bytes
      let peak = heap.cycle()
      #expect(peak <= goal + goal / 10)
      #expect(peak >= goal * 3 / 4, "a cycle every few bytes wastes the runway")
    }
  }

  @Test("the goal is live bytes and the growth percentage", arguments: [25, 50, 100, 200, 400] as [UInt32])
  func growth(percent: UInt32) {
    let heap = SimulatedHeap(liveBytes: 100 * mib, growthPercent: percent)
    #expect(heap.plan.goal_bytes == 100 * mib * UInt64(100 + percent) / 100)
  }

  @Test("a small heap gets a runway of 24 MiB, at most twice what is alive")
  func smallHeap() {
    #expect(SimulatedHeap(liveBytes: 5 * mib).plan.goal_bytes == 15 * mib)
    #expect(SimulatedHeap(liveBytes: 20 * mib).plan.goal_bytes == 44 * mib)
    #expect(SimulatedHeap(liveBytes: 30 * mib).plan.goal_bytes == 60 * mib)
  }

  @Test("growth off never triggers")
  func off() {
    let heap = SimulatedHeap(liveBytes: 100 * mib, growthPercent: UInt32.max)
    #expect(heap.plan.trigger_bytes == Int64.max)
  }

  @Test("a tiny heap grows to the minimum before its first cycle")
  func minimum() {
    let heap = SimulatedHeap(liveBytes: 100 << 10, minimumHeapBytes: 8 * mib)
    #expect(heap.plan.goal_bytes == 8 * mib)
  }

  @Test(
    "a lone mutator with nothing alive stays inside half of its cache, of 1 to 2 MiB",
    arguments: [(0, 1), (mib / 2, 1), (2 * mib, 1), (3 * mib, 1.5), (64 * mib, 2)] as [(UInt64, Double)])
  func cacheWindow(cacheBytes: UInt64, windowMiB: Double) {
    var heap = SimulatedHeap(liveBytes: 0)
    heap.mutators = 1
    heap.cacheBytes = cacheBytes
    _ = heap.cycle()
    #expect(heap.plan.inline_cycles)
    #expect(heap.plan.trigger_bytes == Int64(windowMiB * Double(mib)))
  }

  @Test("the goal stays below the limit")
  func limit() {
    let heap = SimulatedHeap(liveBytes: 100 * mib, limitBytes: 128 * mib)
    #expect(heap.plan.goal_bytes == 120 * mib)
    #expect(heap.plan.trigger_bytes < Int64(20 * mib))
  }

  @Test("at the limit the trigger stays positive")
  func atTheLimit() {
    let heap = SimulatedHeap(liveBytes: 120 * mib, limitBytes: 100 * mib)
    #expect(heap.plan.trigger_bytes > 0)
  }

  @Test("a step up in live bytes moves the goal within one cycle")
  func stepUp() {
    var heap = SimulatedHeap(liveBytes: 20 * mib)
    for _ in 0..<5 { _ = heap.cycle() }
    heap.liveBytes = 200 * mib
    _ = heap.cycle()
    #expect(heap.plan.goal_bytes >= 380 * mib)
  }

  @Test("overshoot does not raise the next goal: a storm leaves the goal where live bytes put it")
  func storm() {
    var heap = SimulatedHeap(liveBytes: 50 * mib)
    for _ in 0..<5 { _ = heap.cycle() }
    heap.allocationBytesPerNs = 10
    var peaks: [UInt64] = []
    for _ in 0..<30 { peaks.append(heap.cycle()) }
    // Of what it found, at most a quarter is taken for late, and here more was.
    #expect(heap.plan.goal_bytes <= 115 * mib)
    #expect(peaks.suffix(10).allSatisfy { $0 <= peaks[10] + peaks[10] / 10 }, "\(peaks)")
  }

  @Test("a mark that was kept waiting raises the next goal only: what was allocated meanwhile asks for nothing later")
  func starvedMark() {
    var heap = SimulatedHeap(liveBytes: 64 * mib)
    for _ in 0..<3 { _ = heap.cycle() }
    var starved = tri_pacing_input()
    starved.live_bytes = 264 * mib
    starved.allocated_while_marking_bytes = 200 * mib
    starved.live_objects = starved.live_bytes / 64
    starved.marked_objects = starved.live_objects
    starved.mark_cpu_ns = starved.marked_objects * 20
    starved.touched_bytes = 400 * mib
    starved.mutators = 100
    let after = heap.pacer.plan(after: starved)
    #expect(after.goal_bytes > 300 * mib, "it may all be alive")
    heap.touchedBytes = starved.touched_bytes
    _ = heap.cycle()
    #expect(heap.plan.goal_bytes < 200 * mib, "\(heap.plan.goal_bytes >> 20) MiB for 64 alive")
  }

  @Test("a faster allocator is asked to mark more for each MiB")
  func assist() {
    var heap = SimulatedHeap(liveBytes: 200 * mib)
    for _ in 0..<5 { _ = heap.cycle() }
    let objects = heap.liveBytes / heap.objectBytes
    let reserve = heap.plan.goal_bytes - heap.foundBytes - UInt64(heap.plan.trigger_bytes)
    let marked = UInt64(heap.plan.assist_objects_per_mib) * (reserve / mib)
    #expect(marked >= objects, "assists alone finish marking within the reserve")
    #expect(heap.plan.assist_loan_objects == Int64(objects / 2), "once the collector is behind by half of it")
  }

  @Test("a slow leak keeps the growth ratio all the way up")
  func leak() {
    var heap = SimulatedHeap(liveBytes: 10 * mib)
    for _ in 0..<100 {
      _ = heap.cycle()
      heap.liveBytes += mib
      let ratio = Double(heap.plan.goal_bytes) / Double(heap.liveBytes)
      #expect(ratio < (heap.liveBytes > 25 * mib ? 2.1 : 3.1))
    }
  }

  @Test("live bytes that overflow a multiplication do not wrap")
  func overflow() {
    let heap = SimulatedHeap(liveBytes: UInt64.max / 4, growthPercent: 100_000)
    #expect(heap.plan.goal_bytes == UInt64.max)
  }
}
