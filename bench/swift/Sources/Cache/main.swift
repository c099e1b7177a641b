// How long does an operation on a large cache take at worst, through the Swift front? As programs/cache.c, without `stops`.
import Glibc
import Synchronization
import Tricolor

let checked = 20000
let warmOperationsPerKey = 3
let pollEvery = 256

/// What a thread leaves behind.
struct Outcome: ~Copyable {
  var latency = Latency()
  var check: UInt64 = 0
  var heldBytes: UInt64 = 0
  var events = ""
}

final class Run: Sendable {
  let job: Job
  let heap: Heap
  let types: CacheTypes
  /// All workers and whoever started them.
  let gates: [Gate]
  let outcome = Mutex(Outcome())

  init(_ job: Job) throws(HeapError) {
    self.job = job
    heap = try Heap()
    types = try CacheTypes(heap)
    gates = (0..<3).map { _ in Gate(job.threads + 1) }
  }

  func work(_ index: Int) {
    heap.withMutator { m in
      var table = CacheTable(m, types, bytes: job.liveBytes / UInt64(job.threads), seed: 1000 + UInt64(index))
      m.blocking { gates[0].pass() }
      let (warm, check) = warmUp(m, &table)
      m.blocking { gates[1].pass() }
      var done = warm
      var latency = Latency()
      var events = index == 0 ? Events(heap) : nil
      loop(m, index, &table, &latency, &events, &done)
      events?.poll(heap)
      m.blocking { gates[2].pass() }
      table.check(m)
      let (held, fields) = (table.heldBytes, events?.fields ?? "")
      m.blocking {
        outcome.withLock { outcome in
          outcome.latency.add(latency)
          outcome.check = outcome.check &+ check &* power(31, job.threads - 1 - index)
          outcome.heldBytes += held
          outcome.events += fields
        }
      }
    }
  }

  private func warmUp(_ m: borrowing Mutator, _ table: inout CacheTable) -> (done: Int, check: UInt64) {
    var done = 0
    var check: UInt64 = 0
    let end = nowNs() + job.warmNs
    let least = max(checked, warmOperationsPerKey * table.keyCount)
    while done < least || nowNs() < end {
      table.operate(m)
      done += 1
      if done == checked { check = table.seen }
    }
    return (done, check)
  }

  private func loop(
    _ m: borrowing Mutator, _ index: Int, _ table: inout CacheTable, _ latency: inout Latency, _ events: inout Events?,
    _ done: inout Int
  ) {
    let start = nowNs()
    let end = start + job.runNs
    let interval = job.rate.map { 1e9 * Double(job.threads) / Double($0) }
    let offset = (interval ?? 0) * Double(index) / Double(job.threads)
    var now = start
    var count = 0.0
    while true {
      var began = now  // closed: an operation lasts from the last one's end
      if let interval {
        began = start + UInt64(offset + interval * count)
        count += 1
        while now < began && began < end {
          m.blocking { sleep(ns: began - now) }
          now = nowNs()
        }
      }
      if began >= end { return }
      table.operate(m)
      done += 1
      if done % pollEvery == 0 { events?.poll(heap) }
      now = nowNs()
      latency.record(now - began, atNs: now - start)
    }
  }
}

func power(_ base: UInt64, _ exponent: Int) -> UInt64 { (0..<exponent).reduce(1) { product, _ in product &* base } }

/// Native threads of their own, with the usual stack.
func startThread(_ body: @escaping @Sendable () -> Void) -> pthread_t {
  final class Box {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
  var thread = pthread_t()
  let box = Unmanaged.passRetained(Box(body))
  let status = pthread_create(
    &thread, nil,
    { raw in
      Unmanaged<Box>.fromOpaque(raw!).takeRetainedValue().body()
      return nil
    }, box.toOpaque())
  if status != 0 { fail("no more threads") }
  return thread
}

func measure(_ job: Job) throws(HeapError) {
  let run = try Run(job)
  let threads = (0..<job.threads).map { index in startThread { run.work(index) } }
  run.gates[0].pass()
  run.gates[1].pass()
  let cycles = run.heap.statistics.cycles
  let (cpu, wall) = (nowNs(CLOCK_PROCESS_CPUTIME_ID), nowNs())
  run.gates[2].pass()
  let (cpuNs, wallNs) = (nowNs(CLOCK_PROCESS_CPUTIME_ID) - cpu, nowNs() - wall)
  let statistics = run.heap.statistics
  for thread in threads { pthread_join(thread, nil) }
  let assistNs = statistics.totalAssistTime / .nanoseconds(1)
  run.outcome.withLock { outcome in
    let rate = job.rate.map { ",\"rate\":\($0)" } ?? ""
    print(
      "{\"workload\":\"cache\",\"contender\":\"tricolor-swift\",\"variant\":\"\(job.variant)\",\"cpu_ns\":\(cpuNs),"
        + "\"wall_ns\":\(wallNs),\"operations\":\(outcome.latency.operations),\"cycles\":\(statistics.cycles - cycles),"
        + "\"check\":\(outcome.check),\"peak_rss_bytes\":\(peakResidentBytes()),\"allocator\":\"Tricolor, Swift\","
        + "\"threads\":\(job.threads),\"held_bytes\":\(outcome.heldBytes),\"assist_ns_total\":\(UInt64(assistNs))"
        + "\(rate)\(outcome.latency.fields)\(outcome.events)}")
  }
}

do {
  try measure(Job(Array(CommandLine.arguments.dropFirst())))
} catch {
  fail("cache: \(error)")
}
