// The collector thread's share of a CPU, below four of them.

import CTricolor
import CTricolor.Testing
import Testing
import TricolorCore

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

  @Test("a thread that was given every moment never rests")
  func alone() {
    #expect(due(500, ofMs: 10, used: 10) == 0)
    #expect(due(250, ofMs: 10, used: 9.6) == 0)
  }

  @Test("a thread that was kept waiting rests until it used its share of the time")
  func contended() {
    #expect(due(500, ofMs: 6, used: 4) == 2)
    #expect(due(250, ofMs: 4, used: 2) == 4)
    #expect(due(1000, ofMs: 6, used: 4) == 0)
  }

  @Test("what it was kept waiting counts as rest, rests are neither tiny nor long")
  func bounds() {
    #expect(due(500, ofMs: 20, used: 9) == 0)
    #expect(due(500, ofMs: 10, used: 5.1) == 0)
    #expect(due(250, ofMs: 20, used: 18) == 5)
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
