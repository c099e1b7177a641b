// The collector thread's share of a CPU, below four of them.

import CTricolor
import CTricolor.Testing
import Testing
import TricolorCore

private final class Guest: @unchecked Sendable {
  var mutator: TestMutator?
  /// Told to enter a blocking region.
  let leaves = Flag()
}

@Suite("the share of background marking")
struct ShareTests {
  private func due(_ permille: UInt32, ofMs wall: Double, used cpu: Double) -> Double {
    Double(tri_testing_share_due_ns(permille, UInt64(wall * 1e6), UInt64(cpu * 1e6))) / 1e6
  }

  @Test("after a rest it goes on on another CPU, and may still use all of them")
  func changesCPU() {
    func allowed() -> String? {
      readLines("/proc/thread-self/status").first { $0.hasPrefix("Cpus_allowed:") }
    }
    func current() -> Substring? {
      // The 39th field; the second, which may hold spaces, is in parentheses.
      readLines("/proc/thread-self/stat").first?.split(separator: ")").last?.split(separator: " ")[36]
    }
    let before = allowed()
    #expect(before != nil)
    var seen: Set<Substring?> = []
    for _ in 0..<50 {
      tri_testing_change_cpu()
      seen.insert(current())
    }
    #expect(allowed() == before)
    let hasOthers = tri_testing_cpu_count() > 1
    #expect(!hasOthers || seen.count > 1, "\(seen)")
  }

  @Test("a share is a tenth of the CPUs while marking is on time, and all of one when the loan is used up")
  func grows() {
    func permille(_ cpus: UInt32, loan: Int64, pool: Int64) -> UInt32 { tri_testing_share_permille(cpus, loan, pool) }
    for ahead: Int64 in [1000, 1001, .max] { #expect(permille(2, loan: 1000, pool: ahead) == 200) }
    #expect(permille(1, loan: 1000, pool: 1000) == 100)
    #expect(permille(2, loan: 1000, pool: 500) == 600)
    #expect(permille(2, loan: 1000, pool: 0) == 1000)
    var last: UInt32 = 0
    for pool in (0...100).reversed() {
      let next = permille(3, loan: 100, pool: Int64(pool))
      #expect(next >= max(last, 300) && next <= 1000)
      last = next
    }
  }

  @Test("without a loan it is a quarter of the CPUs")
  func unplanned() {
    #expect((1...5).map { tri_testing_share_permille($0, 0, 0) } == [250, 500, 750, 1000, 1000])
  }

  @Test("a thread rests until it used its share of the time, in naps, and not for less than one")
  func rests() {
    #expect(due(500, ofMs: 6, used: 3.4) == 0.8)
    #expect(due(250, ofMs: 4, used: 2) == 1)
    #expect(due(1000, ofMs: 6, used: 6) == 0)
    #expect(due(500, ofMs: 20, used: 9) == 0)
    #expect(due(500, ofMs: 10, used: 5.1) == 0)
  }

  @Test("mutators that run want CPUs, those in a blocking region or parked do not")
  func wantCPUs() throws {
    let heap = try TestHeap()
    let ready = Flag()
    let done = Flag()
    #expect(!tri_testing_fills_cpus(heap.heap, 1))
    try heap.attached { mutator in
      #expect(tri_testing_fills_cpus(heap.heap, 1) && !tri_testing_fills_cpus(heap.heap, 2))
      let other = TestThread {
        try! heap.attached { other in
          ready.set()
          while !done.isSet { tri_safepoint(other.pointer) }
        }
      }
      while !ready.isSet {}
      #expect(tri_testing_fills_cpus(heap.heap, 2) && !tri_testing_fills_cpus(heap.heap, 3))
      tri_blocking_begin(mutator.pointer)
      #expect(tri_testing_fills_cpus(heap.heap, 1) && !tri_testing_fills_cpus(heap.heap, 2))
      tri_blocking_end(mutator.pointer)
      done.set()
      other.join()
    }
  }

  /// Two mutators that the collector thread takes to be on the first CPU. The second waits, and counts as running.
  private func twoOnOneCPU(_ body: (TestHeap, TestMutator, Guest) throws -> Void) throws {
    let heap = try TestHeap()
    let guest = Guest()
    let (ready, done) = (Flag(), Flag())
    try heap.attached { mutator in
      let other = TestThread {
        try! heap.attached { other in
          guest.mutator = other
          ready.set()
          _ = eventually { done.isSet || guest.leaves.isSet }
          tri_blocking_begin(other.pointer)
          _ = done.wait()
          tri_blocking_end(other.pointer)
        }
      }
      _ = ready.wait()
      tri_testing_set_cpu(mutator.pointer, 1)
      tri_testing_set_cpu(guest.mutator!.pointer, 1)
      try body(heap, mutator, guest)
      done.set()
      other.join()
    }
  }

  @Test("of two on one CPU each is asked to step aside while the collector thread leaves another idle, and one does")
  func stepsAside() async {
    await #expect(processExitsWith: .success) {
      guard tri_testing_has_steps() else { return }
      endAfter(seconds: 60)
      tri_testing_set_step_hook { point in if point == .stepAside { Seen.count.add() } }
      try ShareTests().twoOnOneCPU { heap, mutator, guest in
        let other = guest.mutator!
        precondition(tri_testing_spread(heap.heap, 2) == 2)
        precondition(mutator.pointer.pointee.request != 0 && other.pointer.pointee.request != 0)
        tri_safepoint(mutator.pointer)
        precondition(Seen.count.count == 1 && mutator.pointer.pointee.request == 0)
        // One is enough; and when the rest is over it is too late.
        precondition(tri_testing_spread(heap.heap, 2) == 2)
        tri_testing_end_rest(heap.heap)
        tri_safepoint(mutator.pointer)
        precondition(Seen.count.count == 1 && mutator.pointer.pointee.request == 0)
      }
    }
  }

  @Test(
    "nobody is asked where the collector thread's CPU has a mutator, or every mutator one of its own, or none is known")
  func staysWhereItIs() throws {
    try twoOnOneCPU { heap, mutator, guest in
      let other = guest.mutator!
      #expect(tri_testing_spread(heap.heap, 1) == 0)
      #expect(tri_testing_spread(heap.heap, 0) == 0)
      tri_testing_set_cpu(other.pointer, 3)
      #expect(tri_testing_spread(heap.heap, 2) == 0)
      tri_testing_set_cpu(mutator.pointer, 0)
      tri_testing_set_cpu(other.pointer, 0)
      #expect(tri_testing_spread(heap.heap, 2) == 0)
      tri_testing_set_cpu(mutator.pointer, 1)
      tri_testing_set_cpu(other.pointer, 1)
      // In a blocking region it wants none.
      tri_blocking_begin(mutator.pointer)
      #expect(tri_testing_spread(heap.heap, 2) == 0)
      tri_blocking_end(mutator.pointer)
      #expect(mutator.pointer.pointee.request == 0 && other.pointer.pointee.request == 0)
    }
  }

  @Test("a stop does not wait for a mutator that stepped aside, and that does not go on before the stop is over")
  func stoppedAside() async {
    await #expect(processExitsWith: .success) {
      guard tri_testing_has_steps() else { return }
      endAfter(seconds: 60)
      try ShareTests().twoOnOneCPU { heap, mutator, guest in
        precondition(tri_testing_spread(heap.heap, 2) == 2)
        let cycle = TestThread {
          _ = eventually { Seen.flag.isSet }
          heap.collector.gc(.force)
        }
        tri_testing_set_step_hook { point in
          if point == .stepAside {
            Seen.flag.set()
            precondition(eventually { Seen.count.count > 0 }, "the stop waits for it")
          }
          if point == .stopped {
            Seen.count.add()
            pause(milliseconds: 50)
            precondition(Seen.progressed.count == 0, "it went on in the stop")
          }
        }
        guest.leaves.set()
        tri_safepoint(mutator.pointer)
        Seen.progressed.add()
        precondition(Seen.count.count > 0, "it went on before the stop")
        tri_blocking_begin(mutator.pointer)
        cycle.join()
        tri_blocking_end(mutator.pointer)
        tri_testing_set_step_hook(nil)
      }
    }
  }

  @Test("stepping aside at any moment of a cycle loses nothing")
  func stepsAsideInCycles() async {
    await #expect(processExitsWith: .success) {
      guard tri_testing_has_steps() else { return }
      endAfter(seconds: 60)
      tri_testing_set_step_hook { point in if point == .stepAside { Seen.count.add() } }
      let heap = try TestHeap()
      let done = Flag()
      let builders = (0..<2).map { _ in
        TestThread {
          try! heap.attached { mutator in
            let slot = mutator.root(nil)
            while !done.isSet {
              slot.pointee = nil
              for _ in 0..<500 {
                tri_testing_set_cpu(mutator.pointer, 1)
                let node = mutator.node()
                tri_init(mutator.pointer, node, node, slot.pointee)
                slot.pointee = node
                tri_safepoint(mutator.pointer)
              }
              precondition(listLength(slot.pointee) == 500, "a list lost objects")
            }
          }
        }
      }
      // As the collector thread on a CPU that has no mutator; one that just noted its own is on another then.
      let asker = TestThread { while !done.isSet { _ = tri_testing_spread(heap.heap, 1000) } }
      // How often the asker gets a processor between them is the machine's affair.
      var rounds = 0
      while rounds < 150 || (Seen.count.count < 100 && rounds < 20_000) {
        heap.collector.gc([Mode.background, .background, .force][rounds % 3])
        rounds += 1
      }
      done.set()
      for thread in builders + [asker] { thread.join() }
      precondition(Seen.count.count >= 100, "only \(Seen.count.count) times in \(rounds) cycles")
    }
  }

  @Test("nor where so many run that no CPU stays idle", arguments: [8, 9])
  func crowd(_ count: Int) throws {
    let heap = try TestHeap()
    let ready = Counter()
    let done = Flag()
    let threads = (0..<count).map { _ in
      TestThread {
        try! heap.attached { mutator in
          tri_testing_set_cpu(mutator.pointer, 1)
          ready.add()
          _ = done.wait()
        }
      }
    }
    #expect(eventually { ready.count == count })
    #expect(tri_testing_spread(heap.heap, 2) == (count == 8 ? 8 : 0))
    done.set()
    for thread in threads { thread.join() }
  }

  @Test("a mutator notes its CPU when it allocates while marking")
  func notesCPU() async {
    await #expect(processExitsWith: .success) {
      guard tri_testing_has_steps() else { return }
      endAfter(seconds: 60)
      let heap = try TestHeap { $0.checkmark = 0 }
      try heap.attached { mutator in
        _ = mutator.list(100_000)
        for _ in 0..<10_000 { _ = mutator.leaf(64) }
        precondition(tri_testing_cpu(mutator.pointer) == 0, "it asks for its CPU all the time")
        Seen.mutators = [mutator.pointer]
        // Beside a cycle that waits for it in the middle of its mark.
        tri_testing_set_step_hook { point in
          if point == .markBatch { _ = eventually { tri_testing_cpu(Seen.mutators[0]) != 0 } }
        }
        let cycle = TestThread { heap.collector.gc(.background) }
        precondition(
          eventually {
            for _ in 0..<100 { _ = mutator.leaf(64) }
            return tri_testing_cpu(mutator.pointer) != 0
          }, "it did not note its CPU")
        tri_blocking_begin(mutator.pointer)
        cycle.join()
        tri_blocking_end(mutator.pointer)
        tri_testing_set_step_hook(nil)
      }
    }
  }

  @Test("marking comes to its end beside mutators that want all CPUs and allocate nothing")
  func besideMutators() throws {
    let heap = try TestHeap { $0.checkmark = 0 }
    let done = Flag()
    try heap.attached { mutator in
      let head = mutator.list(200_000)
      let pollers = (0..<tri_testing_cpu_count()).map { _ in
        TestThread { try! heap.attached { other in while !done.isSet { tri_safepoint(other.pointer) } } }
      }
      tri_blocking_begin(mutator.pointer)
      let collector = TestThread { heap.collector.gc(.background) }
      collector.join()
      tri_blocking_end(mutator.pointer)
      #expect(heap.statistics.marked_objects_at_last_cycle >= 200_000)
      #expect(listLength(head.pointee) == 200_000)
      done.set()
      for poller in pollers { poller.join() }
    }
  }

  @Test("marking beside busy threads comes to its end, with whatever share", arguments: [0, 1, 3] as [UInt32])
  func busy(_ workers: UInt32) throws {
    let heap = try TestHeap {
      $0.background_workers = workers
      $0.checkmark = 0
    }
    let done = Flag()
    let spinners = (0..<3).map { _ in TestThread { while !done.isSet {} } }
    try heap.attached { mutator in
      let head = mutator.list(100_000)
      tri_blocking_begin(mutator.pointer)
      // From a thread that is not attached, as the collector's.
      let collector = TestThread { for _ in 0..<3 { heap.collector.gc(.background) } }
      collector.join()
      tri_blocking_end(mutator.pointer)
      #expect(heap.statistics.marked_objects_at_last_cycle == 100_000)
      #expect(listLength(head.pointee) == 100_000)
    }
    done.set()
    for spinner in spinners { spinner.join() }
  }
}
