// PoolTests: what only pools hold is freed in the very cycle that clears them (S4).

import Testing
import Tricolor

@Suite struct PoolTests {
  static func filled(_ heap: Heap, keepsVictims: Bool) throws -> Pool<Node> {
    let node = try heap.registerNode()
    let pool = try Pool<Node>(heap, keepsVictims: keepsVictims)
    heap.withMutator { m in
      for key in 0..<100 { pool.put(m.make(node) { $0.key = key }) }
    }
    return pool
  }

  @Test("a pool answers what was put last, and nil when it is empty")
  func lastInFirstOut() throws {
    let heap = try Heap()
    let pool = try Self.filled(heap, keepsVictims: false)
    #expect(pool.count == 100)
    heap.withMutator { _ in
      for key in (0..<100).reversed() { #expect(pool.take()?.key == key) }
      #expect(pool.take() == nil)
    }
    #expect(pool.count == 0)
  }

  @Test(
    "a pool is empty after a cycle, and its objects were reclaimed in it",
    arguments: [
      Heap.Mode.background, .forceBlock,
    ])
  func clearedInThisCycle(_ mode: Heap.Mode) throws {
    let heap = try Heap()
    let pool = try Self.filled(heap, keepsVictims: false)
    heap.gc(mode)
    #expect(pool.count == 0)
    #expect(heap.statistics.liveObjects == 0)
    heap.withMutator { _ in #expect(pool.take() == nil) }
  }

  @Test("victims survive one background cycle, can be taken, and go in the second")
  func victims() throws {
    let heap = try Heap()
    let pool = try Self.filled(heap, keepsVictims: true)
    heap.gc(.background)
    #expect(pool.count == 100)
    #expect(heap.statistics.liveObjects == 100)
    let root = heap.withMutator { m in m.makeRoot(pool.take()) }
    heap.gc(.background)
    #expect(pool.count == 0)
    #expect(heap.statistics.liveObjects == 1)
    heap.withMutator { _ in #expect(root.reference?.key == 99) }
  }

  @Test("force modes drop victims at once")
  func forcedVictims() throws {
    let heap = try Heap()
    let pool = try Self.filled(heap, keepsVictims: true)
    heap.gc(.forceBlock)
    #expect(pool.count == 0)
    #expect(heap.statistics.liveObjects == 0)
  }

  @Test("a pool that goes takes its objects with it")
  func dropped() throws {
    let heap = try Heap()
    _ = try Self.filled(heap, keepsVictims: true)
    heap.gc(.background)
    #expect(heap.statistics.liveObjects == 0)
  }

  @Test("using a pool on a thread that is not attached stops the process")
  func unattached() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      let pool = try PoolTests.filled(try Heap(), keepsVictims: false)
      _ = pool.take()
    }
    #expect(text(result).contains("taking from a pool: this thread is not attached"))
  }
}
