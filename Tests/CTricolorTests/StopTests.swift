// Stops: each is recorded with its cause and who was waited for, and reported once.

import CTricolor
import CTricolor.Testing
import Glibc
import Testing
import TricolorCore

@Suite("stops")
struct StopTests {
  /// What a stop observer saw.
  final class Log: @unchecked Sendable {
    var stops: [tri_stop] = []
    var arrivals: [[tri_arrival]] = []

    func observe(_ heap: TestHeap) {
      heap.keep(self)
      tri_stops_observe(
        heap.heap,
        { stop, arrivals, count, context in
          let log = Unmanaged<Log>.fromOpaque(context!).takeUnretainedValue()
          log.stops.append(stop.pointee)
          log.arrivals.append(Array(UnsafeBufferPointer(start: arrivals, count: count)))
        }, Unmanaged.passUnretained(self).toOpaque())
    }
  }

  func read(_ heap: TestHeap, after: UInt64 = 0, capacity: Int = 1000) -> [tri_stop] {
    [tri_stop](unsafeUninitializedCapacity: capacity) { buffer, count in
      count = tri_stops_read(heap.heap, after, buffer.baseAddress!, capacity)
    }
  }

  @Test("every stop has its cause, in order, with moments that fit")
  func causes() throws {
    let heap = try TestHeap()
    #expect(read(heap).isEmpty)
    heap.collect(.background)
    heap.collect(.force)
    heap.collect(.forceBlock)
    let status = tri_hook_add(heap.heap, { _, _ in }, nil, UInt32(TRI_HOOK_NEEDS_STOP))
    #expect(status == .ok)
    heap.collect(.background)
    let stops = read(heap)
    #expect(stops.map(\.cause) == [.termination, .forced, .forced, .hooks, .termination])
    #expect(stops.map(\.number) == [1, 2, 3, 4, 5])
    for stop in stops {
      #expect(stop.requested_ns <= stop.stopped_ns && stop.stopped_ns <= stop.started_ns)
      #expect(stop.latest_thread == 0 && stop.mutators == 0)
    }
    #expect(heap.statistics.pause_ns_max == stops.map { $0.started_ns - $0.requested_ns }.max())
  }

  @Test("reading goes on where the last reading ended, and remembers the last 256")
  func ring() throws {
    let heap = try TestHeap { $0.verify = 0 }
    for _ in 0..<300 { heap.collector.gc(.forceBlock) }
    #expect(read(heap).map(\.number) == Array(45...300))
    #expect(read(heap, after: 298).map(\.number) == [299, 300])
    #expect(read(heap, after: 100, capacity: 3).map(\.number) == [101, 102, 103])
    #expect(read(heap, after: 300).isEmpty)
    #expect(read(heap, after: .max).isEmpty)
  }

  @Test("an observer is told of every stop once, with the threads that were waited for")
  func observer() throws {
    let heap = try TestHeap()
    let log = Log()
    log.observe(heap)
    let ready = Flag()
    let done = Flag()
    let number = Counter()
    let ticks = Counter()
    let busy = TestThread {
      try! heap.attached { mutator in
        number.add(Int(kernelThreadNumber()))
        ready.set()
        while !done.isSet {
          tri_safepoint(mutator.pointer)
          ticks.add()
        }
      }
    }
    #expect(ready.wait())
    for _ in 0..<5 {
      // A thread that has not woken from the last stop is not waited for.
      let before = ticks.count
      #expect(eventually { ticks.count > before + 1 })
      heap.collector.gc(.forceBlock)
    }
    done.set()
    busy.join()
    tri_stops_observe(heap.heap, nil, nil)
    heap.collector.gc(.forceBlock)
    #expect(log.stops.map(\.number) == [1, 2, 3, 4, 5])
    for (stop, arrivals) in zip(log.stops, log.arrivals) {
      #expect(stop.mutators == 1)
      #expect(arrivals.map(\.thread) == [UInt64(number.count)])
      #expect(stop.latest_thread == UInt64(number.count))
      #expect(arrivals[0].ns <= stop.stopped_ns - stop.requested_ns)
    }
  }

  @Test(
    "the end of a stop touches nobody: who slept through several makes up for them before it runs",
    arguments: [UInt32(0), 1, 2])
  func makingUp(_ mode: UInt32) throws {
    let heap = try TestHeap.keepingMarks()
    try heap.attached { mutator in
      let old = mutator.node()
      mutator.root(old)
      let address = UInt(bitPattern: old)
      let blocked = Flag()
      let go = Flag()
      let stored = Flag()
      let end = Flag()
      let pointer = Counter()
      let other = TestThread {
        try! heap.attached { mutator in
          pointer.add(Int(bitPattern: mutator.pointer))
          for _ in 0..<10 { _ = mutator.node() }
          tri_blocking_begin(mutator.pointer)
          blocked.set()
          _ = go.wait()
          tri_blocking_end(mutator.pointer)
          #expect(mutator.pointer.pointee.request == 0)
          // Not shading any more; logging, if marks were kept.
          #expect(mutator.pointer.pointee.barrier & ~4 == 0)
          mutator.store(mutator.node(), in: Object(bitPattern: address)!)
          tri_blocking_begin(mutator.pointer)
          stored.set()
          _ = end.wait()
          tri_blocking_end(mutator.pointer)
        }
      }
      #expect(blocked.wait())
      let sleeper = MutatorPointer(bitPattern: pointer.count)!
      // An even and an odd number of times that the two maps changed places, and in between handshakes.
      for cycle in 0..<3 {
        if cycle == 2 { heap.collect(.background) } else { heap.collect(Mode(rawValue: mode)!) }
        #expect(sleeper.pointee.request == 0, "who stands still is not asked")
        #expect(!tri_testing_barrier_is_on(sleeper))
      }
      #expect(heap.isOld(old))
      go.set()
      #expect(stored.wait())
      #expect(sleeper.pointee.old_objects == mutator.pointer.pointee.old_objects)
      #expect(!heap.isOld(old), "what the other thread stored is written down")
      heap.collectMinor()
      #expect(heap.isOld(reference(old)!), "the young object that only the old one refers to")
      end.set()
      other.join()
    }
  }

  @Test("a thread that wakes late from one stop is found standing still by the next ones, and loses nothing")
  func lateSleepers() throws {
    let heap = try TestHeap()
    let ready = Counter()
    let done = Flag()
    let threads = (0..<8).map { index in
      TestThread {
        try! heap.attached { mutator in
          let list = mutator.list(50)
          ready.add()
          var turns = 0
          while !done.isSet {
            turns += 1
            if index % 2 == 0 {
              tri_safepoint(mutator.pointer)
            } else {
              tri_blocking_begin(mutator.pointer)
              if turns % 8 == 0 { pause(milliseconds: 1) }
              tri_blocking_end(mutator.pointer)
            }
            let node = mutator.node()
            mutator.store(reference(list.pointee!), in: node)
            mutator.store(node, in: list.pointee!)
            if turns % 50 == 0 { mutator.store(nil, in: list.pointee!) }
            if turns % 50 == 49 { #expect(listLength(list.pointee) >= 1) }
          }
        }
      }
    }
    #expect(eventually { ready.count == 8 })
    try heap.attached { _ in
      // One right after the other: most threads have not run in between.
      for cycle in 0..<60 { heap.collect(Mode(rawValue: UInt32(cycle % 3))!) }
    }
    done.set()
    for thread in threads { thread.join() }
    tri_testing_verify(heap.heap)
  }

  @Test("a blocked thread is not waited for")
  func blocked() throws {
    let heap = try TestHeap()
    let log = Log()
    log.observe(heap)
    try heap.attached { mutator in
      let blocked = Flag()
      let end = Flag()
      let other = TestThread {
        try! heap.attached { mutator in
          tri_blocking_begin(mutator.pointer)
          blocked.set()
          _ = end.wait()
          tri_blocking_end(mutator.pointer)
        }
      }
      #expect(blocked.wait())
      heap.collector.gc(.forceBlock)
      end.set()
      other.join()
    }
    #expect(log.stops.count == 1 && log.stops[0].mutators == 2)
    #expect(log.arrivals.map(\.count) == [0] && log.stops[0].latest_thread == 0)
  }

  @Test(
    "where memory for arrivals is refused, the stop goes on without the list", .enabled(if: tri_testing_has_steps()))
  func refused() async {
    await #expect(processExitsWith: .success) {
      let heap = try TestHeap()
      let log = Log()
      log.observe(heap)
      let ready = Flag()
      let done = Flag()
      let busy = TestThread {
        try! heap.attached { mutator in
          ready.set()
          while !done.isSet { tri_safepoint(mutator.pointer) }
        }
      }
      #expect(ready.wait())
      tri_testing_refuse_memory(0, 1_000_000)
      heap.collector.gc(.forceBlock)
      tri_testing_refuse_memory(0, 0)
      done.set()
      busy.join()
      #expect(log.stops.count == 1 && log.stops[0].latest_thread != 0)
    }
  }

  @Test(
    "what waits in a blocked thread's windows is given back before the stop, unless markers look words up",
    arguments: [false, true])
  func layDown(_ ambiguous: Bool) throws {
    let heap = try TestHeap()
    let blocked = Flag()
    let end = Flag()
    let other = TestThread {
      try! heap.attached { mutator in
        let object = mutator.leaf(64)
        mutator.root(object)
        if ambiguous { mutator.root(mutator.object(heap.conservative, 64)) }
        tri_blocking_begin(mutator.pointer)
        blocked.set()
        _ = end.wait()
        tri_blocking_end(mutator.pointer)
        #expect(tri_testing_is_allocated(heap.heap, object))
      }
    }
    #expect(blocked.wait())
    let cycle = HandCycle(heap)
    cycle.begin()
    cycle.scan()
    cycle.mark()
    #expect(heap.statistics.allocated_bytes == (ambiguous ? 0 : 64))
    cycle.finish()
    #expect(heap.statistics.live_objects == (ambiguous ? 2 : 1))
    #expect(heap.statistics.allocated_bytes == (ambiguous ? 128 : 64))
    end.set()
    other.join()
  }

  @Test(
    "a stop ends when the world is released, whatever happens to the thread that released it",
    .enabled(if: tri_testing_has_steps()))
  func released() async {
    await #expect(processExitsWith: .success) {
      let heap = try TestHeap()
      let done = Flag()
      let busy = TestThread {
        try! heap.attached { mutator in
          while !done.isSet {
            tri_safepoint(mutator.pointer)
            pollsOfAnother.add()
          }
        }
      }
      tri_testing_set_step_hook { point in
        guard point == .started else { return }
        // The other thread runs on meanwhile, however long this one is away.
        let before = pollsOfAnother.count
        pollsBeforeReport = eventually { pollsOfAnother.count > before }
        usleep(200_000)
      }
      heap.collector.gc(.forceBlock)
      tri_testing_set_step_hook(nil)
      done.set()
      busy.join()
      #expect(pollsBeforeReport)
      #expect(heap.statistics.pause_ns_max < 200_000_000)
    }
  }

  @Test("a thread that comes to a standstill after it was looked at and before it is asked is not waited for")
  func standsStillUnasked() async {
    await #expect(processExitsWith: .success) {
      guard tri_testing_has_steps() else { return }
      endAfter(seconds: 60)
      let heap = try TestHeap()
      let (ready, done) = (Flag(), Flag())
      let other = TestThread {
        try! heap.attached { mutator in
          ready.set()
          _ = eventually { Seen.flag.isSet }
          tri_blocking_begin(mutator.pointer)
          Seen.count.add()
          _ = done.wait()
          tri_blocking_end(mutator.pointer)
        }
      }
      _ = ready.wait()
      tri_testing_set_step_hook { point in
        guard point == .stopAsk else { return }
        Seen.flag.set()
        precondition(eventually { Seen.count.count > 0 }, "it could not come to a standstill")
      }
      heap.collector.gc(.force)
      tri_testing_set_step_hook(nil)
      let stops = StopTests().read(heap)
      precondition(Seen.count.count == 1 && stops.map(\.latest_thread) == [0] && stops[0].mutators == 1)
      done.set()
      other.join()
    }
  }

  @Test(
    "a stop begins awake; where others take the processor meanwhile the next ones are slept through, and more of them")
  func awake() async {
    await #expect(processExitsWith: .success) {
      guard tri_testing_has_steps() else { return }
      endAfter(seconds: 60)
      let heap = try TestHeap { $0.verify = 0 }
      let done = Flag()
      let other = ticking(heap, until: done)
      tri_testing_set_step_hook { point in
        guard point == .giveWay else { return }
        Seen.count.add()
        if othersTakeTheProcessor { pause(milliseconds: 2) }
      }
      /// Whether a stop that had to wait for the other thread looked for itself.
      func beginsAwake() -> Bool {
        let ticks = Seen.ticks.count
        precondition(eventually { Seen.ticks.count > ticks })
        let before = Seen.count.count
        heap.collector.gc(.force)
        return Seen.count.count > before
      }
      othersTakeTheProcessor = true
      for asleep in [4, 8, 16, 32, 64, 128, 256, 256] {
        precondition(beginsAwake())
        for _ in 0..<asleep { precondition(!beginsAwake()) }
      }
      // Unless others do, as the tests that run beside this one may.
      othersTakeTheProcessor = false
      precondition(eventually { beginsAwake() && beginsAwake() })
      tri_testing_set_step_hook(nil)
      done.set()
      other.join()
    }
  }

  @Test(
    "a word that leads to a slot its window gives back at that moment marks nothing",
    .enabled(if: tri_testing_has_steps()), arguments: 1...4)
  func uncertain(_ word: Int) async {
    await #expect(processExitsWith: .success) { [word = word as Int] in
      let heap = try TestHeap { $0.checkmark = 0 }
      try heap.attached(conservative: true) { mutator in
        let first = mutator.leaf(64)
        // Inside of a neighbour that waits in the window.
        let stale = first + 64 + 64 + 8
        mutator.root(first)
        givingBack = mutator.pointer
        wordsUntilGivingBack = word
        let cycle = HandCycle(heap)
        cycle.begin()
        #expect(tri_testing_is_marked(heap.heap, first + 128))
        tri_testing_set_step_hook { point in
          guard point == .shade, let mutator = givingBack else { return }
          wordsUntilGivingBack -= 1
          if wordsUntilGivingBack > 0 { return }
          givingBack = nil
          tri_testing_lay_down(mutator)
        }
        cycle.scan()
        tri_testing_set_step_hook(nil)
        // One of the first ambiguous words on the stack is the stale one.
        #expect(givingBack == nil && !tri_testing_is_marked(heap.heap, first + 128))
        #expect(tri_testing_is_marked(heap.heap, first))
        withExtendedLifetime(stale) {}
        cycle.mark()
        cycle.finish()
      }
    }
  }
}

/// Counted while the thread that stopped the world is kept away.
private let pollsOfAnother = Counter()
nonisolated(unsafe) private var pollsBeforeReport = false

/// Whose windows the step hook gives back, once.
nonisolated(unsafe) private var givingBack: MutatorPointer?
nonisolated(unsafe) private var wordsUntilGivingBack = 0
nonisolated(unsafe) private var othersTakeTheProcessor = false
