// ComingAndGoingTests: thousands of threads attach and detach, and the heap is none the larger for it.

import CTricolor
import CTricolor.Testing
import Glibc
import Testing
import TricolorCore

/// What the system has mapped for this process.
private func mappings() -> Int {
  guard let file = fopen("/proc/self/maps", "r") else { return 0 }
  defer { fclose(file) }
  var count = 0
  while true {
    let character = getc(file)
    if character == EOF { return count }
    if character == 10 { count += 1 }
  }
}

/// One batch of threads that are attached at the same time; their mutators.
private func batch(_ heap: TestHeap, _ size: Int, _ body: @escaping @Sendable (TestMutator) -> Void) -> Set<UInt> {
  let seen = Addresses()
  let arrived = Counter()
  let threads = (0..<size).map { _ in
    TestThread {
      try! heap.attached { mutator in
        seen.add(UInt(bitPattern: mutator.pointer))
        arrived.add()
        body(mutator)
        while arrived.count < size { sched_yield() }
      }
    }
  }
  for thread in threads { thread.join() }
  return seen.all
}

private final class Addresses: @unchecked Sendable {
  private var lock = pthread_mutex_t()
  private(set) var all = Set<UInt>()
  init() { pthread_mutex_init(&lock, nil) }
  func add(_ address: UInt) {
    pthread_mutex_lock(&lock)
    all.insert(address)
    pthread_mutex_unlock(&lock)
  }
}

/// At one step of the main thread's cycle another thread attaches; the step waits for it a little.
private enum Steps {
  nonisolated(unsafe) static var main = pthread_self()
  nonisolated(unsafe) static var left = 0
  nonisolated(unsafe) static var isReached = Flag()
  nonisolated(unsafe) static var hasCome = Flag()
  nonisolated(unsafe) static var cycleIsOver = Flag()
  nonisolated(unsafe) static var cameWithin = false

  static func arm(_ step: Int) {
    (isReached, hasCome, cycleIsOver, cameWithin) = (Flag(), Flag(), Flag(), false)
    left = step + 1
  }

  static func pass() {
    if pthread_equal(pthread_self(), main) == 0 || left == 0 { return }
    left -= 1
    if left > 0 { return }
    isReached.set()
    for _ in 0..<50 where !hasCome.isSet { usleep(100) }
    cameWithin = hasCome.isSet
  }
}

@Suite struct ComingAndGoingTests {
  @Test("ten thousand short threads, eight at a time, leave nothing behind")
  func tenThousand() async {
    await #expect(processExitsWith: .success) {
      endAfter(seconds: 60)
      let heap = try TestHeap { $0.verify = 0 }
      var mutators = Set<UInt>()
      var mapped = 0
      var metadata: UInt64 = 0
      for round in 0..<1250 {
        mutators.formUnion(
          batch(heap, 8) { mutator in
            let objects = [16, 64, 200].map { mutator.leaf($0) }
            // By the long way, so that there is a magazine to be given back.
            for _ in 0..<70 { _ = mutator.leaf(64) }
            for object in objects { tri_free(mutator.pointer, object) }
          })
        if round == 20 {
          mapped = mappings()
          metadata = heap.statistics.metadata_bytes
        }
      }
      #expect(mutators.count == 8, "a mutator of a thread that is gone is the next one's")
      #expect(heap.statistics.mutators == 0)
      #expect(mappings() <= mapped + 64, "\(mapped) mappings, then \(mappings())")
      #expect(heap.statistics.metadata_bytes <= metadata + 256 << 10)
      try heap.attached { _ in #expect(heap.liveObjects() == 0) }
      tri_testing_verify(heap.heap)
    }
  }

  @Test("a mutator attaches at every step point of a cycle, moves references about, and loses none", arguments: [0, 1])
  func everyStep(policy: Int) async {
    await #expect(processExitsWith: .success) { [policy = policy as Int] in
      endAfter(seconds: 60)
      let heap = try TestHeap { $0.barrier = policy == 0 ? .hybrid : .dijkstra }
      try heap.attached { mutator in
        nonisolated(unsafe) let shared = mutator.root(mutator.object(heap.references, 2 * 8)).pointee!
        // Enough for a few batches.
        mutator.store(mutator.list(300).pointee, in: shared)
        tri_testing_set_step_hook { _ in Steps.pass() }
        defer { tri_testing_set_step_hook(nil) }
        Steps.main = pthread_self()
        var within = 0
        var step = 0
        // Until a cycle is over before it comes to that step.
        while step < 1000 {
          Steps.arm(step)
          let stays = step % 2 == 0
          let newcomer = TestThread {
            guard Steps.isReached.wait() else { return }
            try! heap.attached { newcomer in
              Steps.hasCome.set()
              // Its own list of two takes the place of the old one's head, and leads to it; the other word is cleared.
              let from = (shared.load(as: Object?.self) != nil) ? 0 : 1
              let old = newcomer.root(shared.load(fromByteOffset: 8 * from, as: Object?.self))
              let mine = newcomer.list(2)
              newcomer.store(old.pointee, in: mine.pointee!.load(as: Object.self))
              newcomer.store(mine.pointee, in: shared, at: 1 - from)
              newcomer.store(nil, in: shared, at: from)
              old.pointee = nil
              mine.pointee = nil
              if stays { while !Steps.cycleIsOver.isSet { tri_safepoint(newcomer.pointer) } }
            }
          }
          heap.collector.gc(.background)
          Steps.cycleIsOver.set()
          let reached = Steps.isReached.isSet
          Steps.isReached.set()
          tri_blocking_begin(mutator.pointer)
          newcomer.join()
          tri_blocking_end(mutator.pointer)
          if !reached { break }
          step += 1
          within += Steps.cameWithin ? 1 : 0
          let head = shared.load(as: Object?.self) ?? shared.load(fromByteOffset: 8, as: Object?.self)
          #expect(listLength(head) == 300 + 2 * step, "step \(step)")
        }
        #expect(step > 10, "a cycle has \(step) steps")
        // At the others the world was stopped, or its lock taken: it came right after.
        #expect(within > step / 4, "\(within) of \(step)")
      }
    }
  }

  @Test("a mutator that was another thread's begins as new")
  func reused() throws {
    let heap = try TestHeap()
    for round in 0..<50 {
      let mutators = batch(heap, 1) { mutator in
        #expect(heap.statistics.mutators == 1)
        #expect(mutator.barrierWords == 0 && !mutator.barrierIsOn)
        for bytes in [16, 48, 200] {
          for zeroed in [false, true] {
            // A size that nobody asked for yet has no window of its own.
            let window = mutator.window(heap.leaf, bytes, zeroed: zeroed)
            #expect(tri_testing_waiting_slots(window) == 0 && window.pointee.base == 0 && window.pointee.run_span == 0)
          }
        }
        let kept = mutator.list(20)
        if round % 3 == 0 { heap.collector.gc(.background) }
        if round % 3 == 1 { ComingAndGoingTests.leaveOperandStack(heap, mutator) }
        #expect(listLength(kept.pointee) == 20)
        for bytes in [16, 48, 200] { for _ in 0..<30 { tri_free(mutator.pointer, mutator.leaf(bytes)) } }
      }
      #expect(mutators.count == 1)
      #expect(heap.statistics.mutators == 0)
    }
    #expect(heap.liveObjects() == 0)
  }

  /// An operand stack that nobody removes ends with its mutator.
  private static func leaveOperandStack(_ heap: TestHeap, _ mutator: TestMutator) {
    let words = UnsafeMutablePointer<Object?>.allocate(capacity: 4)
    words.initialize(repeating: nil, count: 4)
    let top = UnsafeMutablePointer<Object?>.allocate(capacity: 1)
    top.initialize(to: Object(words + 1))
    words[0] = mutator.node()
    #expect(tri_operand_stack_add(mutator.pointer, words, top) == .ok)
    heap.collector.gc(.forceBlock)
    #expect(tri_testing_is_allocated(mutator.heap, words[0]!))
    words[0] = nil
  }

  @Test("threads that attach while a cycle marks take over mutators too")
  func whileMarking() throws {
    let heap = try TestHeap()
    _ = batch(heap, 4) { for _ in 0..<100 { _ = $0.leaf(64) } }
    let cycle = HandCycle(heap)
    try heap.attached { mutator in
      let kept = mutator.list(10)
      cycle.begin()
      _ = batch(heap, 3) { other in
        #expect(other.barrierIsOn && other.stackIsGrey)
        let list = other.list(10)
        #expect(tri_testing_is_marked(heap.heap, list.pointee!), "it allocates black")
      }
      cycle.scan()
      cycle.mark()
      cycle.finish()
      #expect(listLength(kept.pointee) == 10)
      #expect(heap.liveObjects() == 10)
    }
  }

  @Test("a heap is closed as soon as its last thread has detached, whatever that thread does next")
  func closedAtOnce() async {
    await #expect(processExitsWith: .success) {
      endAfter(seconds: 60)
      for round in 0..<300 {
        var options = testOptions {
          $0.reservation_bytes = 64 << 20
          $0.verify = 0
          $0.checkmark = 0
        }
        var status = tri_status.ok
        let collector = Collector.open(&options, status: &status)!
        let attached = Flag()
        let thread = TestThread {
          var mutator: MutatorPointer?
          guard tri_attach(collector.heap, UInt32(TRI_ATTACH_PRECISE), &mutator) == .ok, let mutator else { return }
          let objects = (0..<70).map { _ in tri_alloc(mutator, tri_layout_leaf(collector.heap), 1000) }
          if round % 2 == 0 { for object in objects { tri_free(mutator, object) } }
          attached.set()
          if round % 3 != 0 { _ = tri_detach(mutator) }  // or the end of the thread does it
        }
        while !attached.isSet {}
        while collector.close() == .mutatorsAttached {}
        thread.join()
      }
    }
  }
}
