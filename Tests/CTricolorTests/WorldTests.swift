// WorldTests: attaching, detaching, blocking, stopping, several threads and several heaps.

import CTricolor
import CTricolor.Testing
import Glibc
import Testing
import TricolorCore

@Suite struct WorldTests {
  private static let modes: [Mode] = [.background, .force, .forceBlock]

  private func attach(_ heap: TestHeap) -> MutatorPointer? {
    var pointer: MutatorPointer?
    #expect(tri_attach(heap.heap, UInt32(TRI_ATTACH_PRECISE), &pointer) == .ok)
    return pointer
  }

  // MARK: Coming and going

  @Test("attaching twice is refused and changes nothing")
  func attachTwice() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      var pointer: MutatorPointer?
      #expect(tri_attach(heap.heap, 0, &pointer) == .alreadyAttached)
      #expect(pointer == nil)
      #expect(tri_current_mutator(heap.heap) == mutator.pointer)
      #expect(heap.statistics.mutators == 1)
    }
    #expect(tri_current_mutator(heap.heap) == nil)
  }

  @Test("detaching with an open scope or blocking region is refused and changes nothing")
  func detachRefused() throws {
    let heap = try TestHeap()
    let mutator = try #require(attach(heap))
    let scope = tri_scope_begin(mutator)
    tri_scope_slot(mutator, tri_alloc(mutator, heap.leaf, 16))
    #expect(tri_detach(mutator) == .scopeOpen)
    #expect(heap.liveObjects() == 1)
    tri_scope_end(mutator, scope)
    tri_blocking_begin(mutator)
    #expect(tri_detach(mutator) == .scopeOpen)
    tri_blocking_end(mutator)
    #expect(tri_detach(mutator) == .ok)
    #expect(heap.statistics.mutators == 0)
  }

  @Test("a heap with a mutator is not closed, and goes on")
  func closeRefused() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let kept = mutator.list(10)
      #expect(heap.collector.close() == .mutatorsAttached)
      #expect(heap.liveObjects() == 10)
      #expect(listLength(kept.pointee) == 10)
    }
  }

  @Test("a thread that ends without detaching is detached, whatever it had open")
  func threadExit() throws {
    let heap = try TestHeap()
    for kind in 0..<4 {
      TestThread {
        var pointer: MutatorPointer?
        guard tri_attach(heap.heap, UInt32(TRI_ATTACH_PRECISE), &pointer) == .ok, let pointer else { return }
        for _ in 0..<100 { _ = tri_alloc(pointer, tri_layout_leaf(heap.heap), 64) }
        if kind == 1 || kind == 3 {
          _ = tri_scope_begin(pointer)
          tri_scope_slot(pointer, tri_alloc(pointer, tri_layout_leaf(heap.heap), 64))
        }
        if kind >= 2 { tri_blocking_begin(pointer) }
      }.join()
      #expect(heap.statistics.mutators == 0)
      #expect(heap.liveObjects() == 0)
    }
  }

  @Test("a thread that ends without detaching from several heaps is detached from all")
  func threadExitSeveral() throws {
    let heaps = try (0..<5).map { _ in try TestHeap() }
    TestThread {
      for heap in heaps {
        var pointer: MutatorPointer?
        _ = tri_attach(heap.heap, 0, &pointer)
      }
    }.join()
    for heap in heaps { #expect(heap.statistics.mutators == 0) }
  }

  @Test("what waits in the windows of a detached thread is handed out to others")
  func orphans() throws {
    let heap = try TestHeap()
    for _ in 0..<60 {
      try heap.attached { mutator in for bytes in [16, 64, 200, 1000] { _ = mutator.leaf(bytes) } }
    }
    // One span each, and not one more than that for every thread that came and went.
    #expect(heap.statistics.mapped_bytes <= 5 * 65_536)
    try heap.attached { _ in #expect(heap.liveObjects() == 0) }
    tri_testing_verify(heap.heap)
  }

  @Test("one thread may be attached to many heaps; the innermost is current")
  func manyHeaps() throws {
    let heaps = try (0..<20).map { _ in try TestHeap() }
    var mutators: [MutatorPointer] = []
    for heap in heaps {
      let mutator = try #require(attach(heap))
      #expect(tri_thread_mutator() == mutator)
      mutators.append(mutator)
    }
    let scopes = mutators.map { tri_scope_begin($0) }
    for (heap, mutator) in zip(heaps, mutators) {
      #expect(tri_current_mutator(heap.heap) == mutator)
      for _ in 0..<10 { tri_scope_slot(mutator, tri_alloc(mutator, heap.leaf, 32)) }
    }
    for mode in WorldTests.modes {
      for heap in heaps {
        heap.collect(mode)
        #expect(heap.statistics.live_objects == 10)
      }
    }
    // Not in the order of attaching.
    for index in heaps.indices.map({ ($0 * 7) % 20 }) {
      tri_scope_end(mutators[index], scopes[index])
      #expect(tri_detach(mutators[index]) == .ok)
      #expect(tri_current_mutator(heaps[index].heap) == nil)
    }
    #expect(tri_thread_mutator() == nil)
  }

  @Test("threads attach and detach while cycles run, and nothing is lost")
  func churn() throws {
    let heap = try TestHeap { $0.verify = 0 }
    let done = Flag()
    let rounds = Counter()
    let threads = (0..<3).map { _ in
      TestThread {
        while !done.isSet {
          try! heap.attached { mutator in
            let kept = mutator.list(50)
            for _ in 0..<100 { _ = mutator.node() }
            tri_safepoint(mutator.pointer)
            #expect(listLength(kept.pointee) == 50)
          }
          rounds.add()
        }
      }
    }
    for round in 0..<60 { heap.collect(WorldTests.modes[round % 3]) }
    #expect(eventually { rounds.count > 10 })
    done.set()
    for thread in threads { thread.join() }
    #expect(heap.statistics.checkmarks >= 60)
    #expect(heap.liveObjects() == 0)
  }

  @Test("attaching during a cycle does not wait for its end")
  func attachDuringCycle() throws {
    let heap = try TestHeap()
    let cycle = HandCycle(heap)
    cycle.begin()
    let attached = Flag()
    let thread = TestThread { try! heap.attached { _ in attached.set() } }
    #expect(attached.wait())
    thread.join()
    cycle.scan()
    cycle.mark()
    cycle.finish()
  }

  @Test("attaching during a stop waits for its end")
  func attachDuringStop() throws {
    let heap = try TestHeap()
    tri_cycle_begin(heap.heap, .force)
    tri_cycle_stop_world(heap.heap)
    let attached = Flag()
    let thread = TestThread { try! heap.attached { _ in attached.set() } }
    pause(milliseconds: 30)
    #expect(!attached.isSet)
    tri_cycle_start_world(heap.heap)
    #expect(attached.wait())
    tri_cycle_end(heap.heap)
    thread.join()
  }

  @Test("detaching during marking hands over what the barrier recorded")
  func detachWhileMarking() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let object = mutator.node()
      let child = mutator.list(5).pointee!
      mutator.root(object)
      mutator.store(child, in: object)
      let objectAddress = address(object)
      heap.collect()
      let cycle = HandCycle(heap)
      cycle.begin()
      tri_blocking_begin(mutator.pointer)
      TestThread {
        try! heap.attached { other in
          other.store(nil, in: Object(bitPattern: objectAddress)!)
          #expect(other.barrierWords == 1)
        }
      }.join()
      tri_blocking_end(mutator.pointer)
      cycle.scan()
      cycle.mark()
      #expect(tri_testing_is_marked(heap.heap, child))
      cycle.finish()
    }
  }

  // MARK: Blocking

  @Test("a blocking region lets stops and handshakes through", arguments: WorldTests.modes)
  func blocking(_ mode: Mode) throws {
    let heap = try TestHeap()
    let blocked = Flag()
    let done = Flag()
    let thread = TestThread {
      try! heap.attached { mutator in
        let kept = mutator.list(30)
        tri_blocking_begin(mutator.pointer)
        blocked.set()
        _ = done.wait()
        tri_blocking_end(mutator.pointer)
        #expect(listLength(kept.pointee) == 30)
      }
    }
    #expect(blocked.wait())
    #expect(heap.liveObjects(after: mode) == 30)
    done.set()
    thread.join()
  }

  @Test("a blocking region that ends during a stop waits for the world to start")
  func blockingEndsInStop() throws {
    let heap = try TestHeap()
    let blocked = Flag()
    let end = Flag()
    let ended = Flag()
    let thread = TestThread {
      try! heap.attached { mutator in
        tri_blocking_begin(mutator.pointer)
        blocked.set()
        _ = end.wait()
        tri_blocking_end(mutator.pointer)
        ended.set()
      }
    }
    #expect(blocked.wait())
    tri_cycle_begin(heap.heap, .force)
    tri_cycle_stop_world(heap.heap)
    end.set()
    pause(milliseconds: 30)
    #expect(!ended.isSet)
    tri_cycle_start_world(heap.heap)
    #expect(ended.wait())
    tri_cycle_end(heap.heap)
    thread.join()
  }

  @Test("a mutator that does not poll is named in a warning, and waited for")
  func warning() async {
    let result = await #expect(
      processExitsWith: .success, observing: [\.standardErrorContent, \.standardOutputContent]
    ) {
      let heap = try TestHeap()
      let ready = Flag()
      let thread = TestThread {
        try! heap.attached { mutator in
          print("late thread \(kernelThreadNumber())")
          fflush(nil)
          ready.set()
          usleep(1_600_000)
          tri_safepoint(mutator.pointer)
        }
      }
      #expect(ready.wait())
      heap.collector.gc(.forceBlock)
      #expect(heap.statistics.cycles == 1)
      #expect(heap.statistics.pause_ns_max > 1_000_000_000)
      thread.join()
    }
    let output = String(decoding: result?.standardOutputContent ?? [], as: UTF8.self)
    let number = output.split(separator: "\n").first { $0.hasPrefix("late thread ") }?.dropFirst(12) ?? "nothing"
    let said = lines(result)
    #expect(said.count == 1)
    #expect(said.first?.hasPrefix("tricolor: waiting for thread \(number) to stop since 1") == true)
  }

  // MARK: Stopping

  @Test("four busy threads that only poll are stopped again and again")
  func busy() throws {
    let heap = try TestHeap()
    let done = Flag()
    let ticks = Counter()
    let threads = (0..<4).map { _ in
      TestThread {
        try! heap.attached { mutator in
          let kept = mutator.list(20)
          while !done.isSet {
            tri_safepoint(mutator.pointer)
            ticks.add()
          }
          #expect(listLength(kept.pointee) == 20)
        }
      }
    }
    #expect(eventually { heap.statistics.mutators == 4 && ticks.count > 1000 })
    for round in 0..<60 { heap.collect(WorldTests.modes[round % 3]) }
    #expect(heap.statistics.live_objects == 80)
    done.set()
    for thread in threads { thread.join() }
  }

  @Test("several threads may collect one heap at once; each runs a cycle of its own")
  func concurrentCollections() throws {
    let heap = try TestHeap { $0.verify = 0 }
    let threads = (0..<3).map { number in
      TestThread {
        try! heap.attached { mutator in
          let kept = mutator.list(100)
          for round in 0..<20 { heap.collector.gc(WorldTests.modes[(round + number) % 3]) }
          #expect(listLength(kept.pointee) == 100)
        }
      }
    }
    for thread in threads { thread.join() }
    #expect(heap.statistics.cycles == 60)
    #expect(heap.liveObjects() == 0)
  }

  @Test("two heaps collected crosswise by threads attached to both do not wait for each other")
  func crosswise() async {
    await #expect(processExitsWith: .success) {
      endAfter(seconds: 30)
      let one = try TestHeap { $0.verify = 0 }
      let other = try TestHeap { $0.verify = 0 }
      let threads = [(one, other), (other, one)].map { first, second in
        TestThread {
          try! first.attached { a in
            try! second.attached { b in
              let kept = a.list(50)
              let alsoKept = b.list(50)
              for round in 0..<100 {
                second.collector.gc(Mode(rawValue: UInt32(round % 3))!)
                first.collector.gc(Mode(rawValue: UInt32((round + 1) % 3))!)
                _ = a.leaf(100)
                _ = b.leaf(100)
              }
              #expect(listLength(kept.pointee) == 50 && listLength(alsoKept.pointee) == 50)
            }
          }
        }
      }
      for thread in threads { thread.join() }
      #expect(one.statistics.cycles == 200 && other.statistics.cycles == 200)
    }
  }

  @Test(
    "a thread that waits for one heap's mutators counts as stopped for another heap's collector",
    arguments: [UInt32(0), 1, 2])
  func waitsForMutators(_ mode: UInt32) async {
    await #expect(processExitsWith: .success) { [mode = mode as UInt32] in
      endAfter(seconds: 20)
      let one = try TestHeap()
      let other = try TestHeap()
      let busy = Flag()
      let release = Flag()
      let collecting = Flag()
      // Attached to `one` and not coming by until told to.
      let late = TestThread {
        try! one.attached { mutator in
          busy.set()
          while !release.isSet { usleep(500) }
          tri_safepoint(mutator.pointer)
          while one.statistics.cycles == 0 {
            tri_safepoint(mutator.pointer)
            usleep(100)
          }
        }
      }
      #expect(busy.wait())
      let collecting1 = TestThread {
        try! one.attached { _ in
          try! other.attached { mutator in
            let kept = mutator.list(10)
            collecting.set()
            one.collector.gc(Mode(rawValue: mode)!)
            #expect(listLength(kept.pointee) == 10)
          }
        }
      }
      #expect(collecting.wait())
      pause(milliseconds: 20)
      // That thread is inside the collection of `one`, waiting for the late one.
      #expect(other.liveObjects() == 10)
      release.set()
      late.join()
      collecting1.join()
    }
  }

  @Test("a long wait for one heap's cycle does not keep another heap's collector waiting")
  func waitingElsewhere() async {
    await #expect(processExitsWith: .success) {
      endAfter(seconds: 20)
      let one = try TestHeap()
      let other = try TestHeap()
      let ready = Flag()
      let release = Flag()
      // Holds the cycle lock of `one`.
      let holder = TestThread {
        tri_cycle_begin(one.heap, .force)
        ready.set()
        _ = release.wait()
        tri_cycle_end(one.heap)
      }
      #expect(ready.wait())
      let waiting = Flag()
      let waiter = TestThread {
        try! one.attached { _ in
          try! other.attached { mutator in
            let kept = mutator.list(10)
            waiting.set()
            one.collector.gc(.force)
            #expect(listLength(kept.pointee) == 10)
          }
        }
      }
      #expect(waiting.wait())
      #expect(other.liveObjects() == 10)
      release.set()
      holder.join()
      waiter.join()
    }
  }
}
