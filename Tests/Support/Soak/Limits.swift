// Limits: a program that leaks slowly under a limit, again and again. Each time it must end with the event, what it kept
// must be whole, and dropping it must bring the heap back below the limit. Prints how long it took to the event once
// the limit was reached, and which part of the CPU time the collector had on the way.

import CTricolor
import TricolorC

#if canImport(Glibc)
  import Glibc
#endif

private struct Told {
  var exceededNs: UInt64 = 0
  var exceeded = 0
  var recovered = 0
}
private nonisolated(unsafe) var told = Told()

private func monotonicNs(_ clock: clockid_t) -> UInt64 {
  var now = timespec()
  clock_gettime(clock, &now)
  return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
}

private func fail(_ sentence: String) -> Never {
  print("FAILED: \(sentence)")
  exit(1)
}

private func statistics(_ heap: OpaquePointer) -> tri_statistics {
  var statistics = tri_statistics()
  heapStatistics(heap, &statistics)
  return statistics
}

/// Of 64 nodes of 128 bytes one is kept, in pages of references; words 1 to 15 hold its number. (A list of a million
/// nodes would measure how long it takes to follow a list: five times longer, and nobody can help.)
private let nodesOfPage = 1000

private let nodeBytes = 128
/// Of a kept node, with its part of the page.
private let keptBytes = nodeBytes + 8

/// The collector's part of the CPU time, in the worst second so far.
private struct WorstSecond {
  private var then: [(processNs: UInt64, collectorNs: UInt64)] = []
  private var oldest = 0
  private(set) var share = 0.0

  mutating func look(processNs: UInt64, collectorNs: UInt64) {
    then.append((processNs, collectorNs))
    // As late as it can be and still a second ago.
    while then[oldest + 1 < then.count ? oldest + 1 : oldest].processNs + 1_000_000_000 <= processNs { oldest += 1 }
    let past = then[oldest]
    if processNs < past.processNs + 1_000_000_000 { return }
    share = max(share, Double(collectorNs - past.collectorNs) / Double(processNs - past.processNs))
  }
}

private func leak(_ isHard: Bool, _ limitBytes: UInt64) {
  told = Told()
  var options = tri_options()
  tri_options_init(&options)
  options.read_environment = 0
  options.soft_limit_bytes = isHard ? UInt64.max : limitBytes
  options.limit_bytes = isHard ? limitBytes : 0
  var made: OpaquePointer?
  var attached: UnsafeMutablePointer<tri_mutator>?
  guard heapCreate(&options, &made) == .ok, let heap = made,
    tri_attach(heap, UInt32(TRI_ATTACH_PRECISE), &attached) == .ok, let mutator = attached
  else { fail("no heap") }
  tri_events_set(
    heap,
    { event, _ in
      if event.pointee.kind == UInt32(TRI_EVENT_HEAP_LIMIT_EXCEEDED) {
        told.exceeded += 1
        told.exceededNs = event.pointee.time_ns
      }
      if event.pointee.kind == UInt32(TRI_EVENT_HEAP_LIMIT_RECOVERED) { told.recovered += 1 }
    }, nil)
  // Only its reference at word 0 is one.
  var description = tri_layout_description()
  description.form = .mask
  description.prefix_words = 1
  description.prefix_mask = 1
  var layout: OpaquePointer?
  guard tri_layout_make(heap, &description, &layout) == .ok, let layout else { fail("no layout") }
  let scope = tri_scope_begin(mutator)
  let head = tri_scope_slot(mutator, nil)!
  let hold = tri_scope_slot(mutator, nil)!

  let began = monotonicNs(CLOCK_MONOTONIC)
  let beganCPU = monotonicNs(CLOCK_PROCESS_CPUTIME_ID)
  let limit = Int(limitBytes)
  var reachedNs: UInt64 = 0
  var kept = 0
  var isFull = false
  var worst = WorstSecond()
  while told.exceeded == 0 && !isFull {
    for step in 0..<64 {
      guard let node = tri_alloc(mutator, layout, nodeBytes) else {
        isFull = true
        break
      }
      if step > 0 { continue }
      for word in 1..<16 { node.storeBytes(of: kept, toByteOffset: 8 * word, as: Int.self) }
      hold.pointee = node
      if kept % nodesOfPage == 0 {
        guard let page = tri_alloc(mutator, tri_layout_references(heap), 8 * (nodesOfPage + 1)) else {
          isFull = true
          break
        }
        tri_init(mutator, page, page, head.pointee)
        head.pointee = page
      }
      let page = head.pointee!
      tri_store(mutator, page, page + 8 * (1 + kept % nodesOfPage), hold.pointee)
      kept += 1
    }
    // The limit is reached: what is alive leaves an eighth of it.
    if reachedNs == 0 && kept * keptBytes > limit / 8 * 7 { reachedNs = monotonicNs(CLOCK_MONOTONIC) }
    if kept * keptBytes > 2 * limit { fail("twice the limit is alive and nobody was told") }
    if kept % 1000 == 0 {
      let now = statistics(heap)
      worst.look(
        processNs: monotonicNs(CLOCK_PROCESS_CPUTIME_ID) - beganCPU,
        collectorNs: now.mark_ns_total + now.sweep_ns_total + now.assist_ns_total)
    }
  }
  let now = monotonicNs(CLOCK_MONOTONIC)
  let processNs = monotonicNs(CLOCK_PROCESS_CPUTIME_ID) - beganCPU
  let end = statistics(heap)
  let collectorNs = end.mark_ns_total + end.sweep_ns_total + end.assist_ns_total
  if isFull && !isHard { fail("an allocation failed without a hard limit") }
  if told.exceeded != 1 { fail("\(told.exceeded) events") }

  var page = head.pointee
  for number in stride(from: kept - 1, through: 0, by: -1) {
    guard let this = page else { fail("the pages end at \(number) of \(kept)") }
    let place = number % nodesOfPage
    guard let node = this.load(fromByteOffset: 8 * (1 + place), as: UnsafeMutableRawPointer?.self) else {
      fail("node \(number) of \(kept) is missing")
    }
    for word in 1..<16 where node.load(fromByteOffset: 8 * word, as: Int.self) != number {
      fail("node \(number) is broken")
    }
    if place == 0 { page = this.load(as: UnsafeMutableRawPointer?.self) }
  }
  if page != nil { fail("there are too many pages") }
  hold.pointee = nil
  head.pointee = nil
  collect(heap, .forceBlock)
  // The thread that swept last delivers it, which may be the collector thread.
  tri_blocking_begin(mutator)
  for _ in 0..<2000 where told.recovered == 0 { usleep(1000) }
  tri_blocking_end(mutator)
  if told.recovered != 1 { fail("\(told.recovered) recoveries") }
  if tri_alloc(mutator, layout, nodeBytes) == nil { fail("nothing can be allocated after the recovery") }
  tri_scope_end(mutator, scope)
  guard tri_detach(mutator) == .ok, heapDestroy(heap) == .ok else { fail("the heap does not end") }

  func ms(_ ns: UInt64) -> UInt64 { ns / 1_000_000 }
  let late =
    reachedNs == 0 ? "before seven eighths were alive" : "\(ms(now - reachedNs)) ms after seven eighths were alive"
  let share = Int(Double(collectorNs) / Double(processNs) * 100)
  print(
    "\(isHard ? "hard" : "soft") \(limitBytes >> 20) MiB:",
    "event after \(ms(now - began)) ms with \((kept * keptBytes) >> 20) MiB alive, \(late)\(isFull ? ", an allocation failed" : "");",
    "\(end.cycles) cycles, collector \(share) % of \(ms(processNs)) ms CPU (worst second \(Int(worst.share * 100)) %),",
    "held \((end.mapped_bytes + end.metadata_bytes) >> 20) MiB")
  fflush(nil)
}

func soakLimits(_ arguments: [String]) -> Int32 {
  let count = arguments.count > 0 ? Int(arguments[0]) ?? 1 : 1000
  let kind = arguments.count > 1 ? arguments[1] : "both"
  let mib = arguments.count > 2 ? UInt64(arguments[2]) ?? 256 : 256
  for repetition in 0..<count {
    let isHard = kind == "hard" || (kind == "both" && repetition % 2 == 1)
    leak(isHard, mib << 20)
  }
  print("\(count) repetitions passed, 0 failed")
  return 0
}
