// Who begins a cycle that allocation asks for, and who waits for its end.

import CTricolor
import CTricolor.Testing
import Glibc
import Testing
import TricolorCore

@Suite("asking for a cycle")
struct TriggerTests {
  @Test("a request is taken once, and nobody asks again before the cycle begins, nor while it runs")
  func once() throws {
    let heap = try TestHeap()
    func ask() -> Bool { tri_testing_ask_for_cycle(heap.heap) }
    func take() -> Bool { tri_testing_take_request(heap.heap) }
    for _ in 0..<2 {
      #expect(!take(), "nobody asked")
      #expect(ask() && !ask())
      #expect(take() && !take())
      // Whoever took it may still wait for its turn.
      #expect(!ask() && !take())
      let cycle = HandCycle(heap)
      cycle.begin()
      #expect(!ask() && !take(), "it is under way")
      cycle.scan()
      cycle.mark()
      cycle.finish()
    }
    #expect(heap.statistics.cycles == 2)
  }

  @Test("a cycle that another thread begins meets the request of those who wait")
  func met() throws {
    let heap = try TestHeap()
    #expect(tri_testing_ask_for_cycle(heap.heap) && tri_testing_take_request(heap.heap))
    heap.collect(.forceBlock)
    #expect(!tri_testing_take_request(heap.heap) && tri_testing_ask_for_cycle(heap.heap))
    heap.collect(.background)
    #expect(!tri_testing_take_request(heap.heap))
  }

  @Test("of a crowd that asks at once one has its way")
  func crowd() throws {
    let heap = try TestHeap()
    for _ in 0..<200 {
      let asked = Counter()
      let taken = Counter()
      let start = Flag()
      let threads = (0..<8).map { _ in
        TestThread {
          while !start.isSet {}
          if tri_testing_ask_for_cycle(heap.heap) { asked.add() }
          if tri_testing_take_request(heap.heap) { taken.add() }
        }
      }
      start.set()
      for thread in threads { thread.join() }
      #expect(asked.count == 1 && taken.count == 1)
      heap.collector.gc(.forceBlock)
    }
  }

  @Test("whoever waits for a cycle goes on when it is over")
  func awaiting() throws {
    let heap = try TestHeap()
    let cycle = HandCycle(heap)
    cycle.begin()
    let waits = Counter()
    let threads = (0..<4).map { _ in
      TestThread {
        waits.add()
        tri_testing_await_cycle(heap.heap, .max / 2)
      }
    }
    #expect(eventually { waits.count == 4 })
    usleep(20_000)
    cycle.scan()
    cycle.mark()
    cycle.finish()
    for thread in threads { thread.join() }
  }

  @Test("nor longer than it may, nor where no cycle is")
  func bounded() throws {
    let heap = try TestHeap()
    tri_testing_await_cycle(heap.heap, .max / 2)
    let cycle = HandCycle(heap)
    cycle.begin()
    tri_testing_await_cycle(heap.heap, 5_000_000)
    cycle.scan()
    cycle.mark()
    cycle.finish()
  }
}
