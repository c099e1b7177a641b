// RootTests: what a root holds lives, and no longer than the root.

import Testing
import Tricolor

@Suite struct RootTests {
  @Test(
    "a graph survives as long as its root, and half of it goes when it is dropped",
    arguments: [
      Heap.Mode.background, .force, .forceBlock,
    ])
  func survival(_ mode: Heap.Mode) throws {
    let heap = try Heap()
    let node = try heap.registerNode()
    do {
      let root = heap.withMutator { m in m.makeRoot(makeTree(m, node, depth: 12)) }
      heap.gc(mode)
      heap.gc(.forceBlock)
      #expect(heap.statistics.liveObjects == 4095)
      heap.withMutator { _ in
        #expect(countNodes(root.reference) == 4095)
        root.reference?.left = nil
      }
      heap.gc(mode)
      heap.gc(.forceBlock)
      #expect(heap.statistics.liveObjects == 2048)
      heap.withMutator { _ in root.reference = root.reference?.right?.left }
      heap.gc(mode)
      heap.gc(.forceBlock)
      #expect(heap.statistics.liveObjects == 1023)
    }
    heap.gc(mode)
    heap.gc(.forceBlock)
    #expect(heap.statistics.liveObjects == 0)
    #expect(heap.statistics.liveBytes == 0)
  }

  @Test("variables of attached threads keep objects alive")
  func stacks() throws {
    let heap = try Heap()
    let node = try heap.registerNode()
    heap.withMutator { m in
      let tree = makeTree(m, node, depth: 10)
      for mode in [Heap.Mode.background, .force, .forceBlock] { heap.gc(mode) }
      for _ in 0..<10_000 { _ = m.make(node) }
      #expect(countNodes(tree) == 1023)
    }
  }

  @Test("a root freed by a thread that is not attached lets its object go")
  func freedElsewhere() throws {
    final class Holder: Sendable {
      let root: Root<Node>
      init(_ root: consuming Root<Node>) { self.root = root }
    }
    let heap = try Heap()
    let node = try heap.registerNode()
    do {
      let holder = Holder(heap.withMutator { m in m.makeRoot(m.make(node)) })
      heap.gc(.forceBlock)
      #expect(heap.statistics.liveObjects == 1)
      TestThread { withExtendedLifetime(holder) {} }.join()
    }
    heap.gc(.forceBlock)
    #expect(heap.statistics.liveObjects == 0)
  }

  @Test("thousands of roots come and go while cycles run")
  func manyRoots() throws {
    let heap = try Heap()
    let node = try heap.registerNode()
    let done = Flag()
    let collector = TestThread {
      while !done.isSet { heap.gc(.background) }
    }
    heap.withMutator { m in
      for key in 0..<5000 {
        let one = m.makeRoot(m.make(node) { $0.key = key })
        let two = m.makeRoot(one.reference)
        one.reference = m.make(node)
        #expect(two.reference?.key == key)
      }
    }
    done.set()
    collector.join()
    heap.gc(.forceBlock)
    #expect(heap.statistics.liveObjects == 0)
  }

  @Test("a root may outlive its closed heap, and reading it then stops the process")
  func closedHeap() async throws {
    do {
      let heap = try Heap()
      let node = try heap.registerNode()
      let root = heap.withMutator { m in m.makeRoot(m.make(node)) }
      try heap.close()
      _ = consume root
    }
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      let heap = try Heap()
      let node = try heap.registerNode()
      let root = heap.withMutator { m in m.makeRoot(m.make(node)) }
      try heap.close()
      _ = root.reference
    }
    #expect(text(result).contains("a heap that was closed"))
  }
}
