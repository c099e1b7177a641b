// MutatorTests: attaching, several threads, explicit free, blocking.

import Testing
import Tricolor

@Suite struct MutatorTests {
  @Test("attaching twice throws, and withMutator uses the attachment there is")
  func attaching() throws {
    let heap = try Heap()
    let node = try heap.registerNode()
    let mutator = try heap.attach()
    #expect(throws: HeapError.alreadyAttached) { _ = try heap.attach() }
    heap.withMutator { m in
      let outer = m.make(node)
      heap.withMutator { n in outer.left = n.make(node) }
      #expect(outer.left != nil)
      #expect(heap.statistics.mutators == 1)
    }
    #expect(heap.statistics.mutators == 1)
    mutator.detach()
    #expect(heap.statistics.mutators == 0)
  }

  @Test("what the body throws comes through, and the thread is detached")
  func throwing() throws {
    struct Oops: Error {}
    let heap = try Heap()
    #expect(throws: Oops.self) { try heap.withMutator { _ in throw Oops() } }
    #expect(heap.statistics.mutators == 0)
    #expect(heap.withMutator { _ in 42 } == 42)
  }

  @Test("two threads allocate, store and collect at once")
  func twoThreads() throws {
    var options = HeapOptions()
    options.checksMarks = true
    let heap = try Heap(options)
    let node = try heap.registerNode()
    let good = Counter()
    let threads = (0..<2).map { index in
      TestThread {
        heap.withMutator { m in
          for round in 0..<60 {
            let tree = makeTree(m, node, depth: 11)
            if round % 20 == index { heap.gc(index == 0 ? .force : .background) }
            if countNodes(tree) == 2047 { good.add() }
          }
        }
      }
    }
    for thread in threads { thread.join() }
    #expect(good.count == 120)
    heap.gc(.forceBlock)
    #expect(heap.statistics.liveObjects == 0)
  }

  @Test("threads pass objects to each other through a root")
  func handOver() throws {
    let heap = try Heap()
    let node = try heap.registerNode()
    final class Box: Sendable {
      let root: Root<Node>
      init(_ root: consuming Root<Node>) { self.root = root }
    }
    let box = Box(heap.withMutator { m in m.makeRoot(nil as Ref<Node>?) })
    let producer = TestThread {
      heap.withMutator { m in box.root.reference = makeTree(m, node, depth: 10) }
    }
    producer.join()
    heap.gc(.background)
    heap.withMutator { _ in #expect(countNodes(box.root.reference) == 1023) }
  }

  @Test("a thread that ends without detaching is detached")
  func threadExit() throws {
    let heap = try Heap()
    TestThread { _ = try! heap.attach() }.join()
    #expect(heap.statistics.mutators == 0)
    heap.gc(.forceBlock)
  }

  @Test("explicitly freed memory is used again, zeroed")
  func explicitFree() throws {
    let heap = try Heap()
    let node = try heap.registerNode()
    try heap.setGrowthPercent(nil)
    heap.withMutator { m in
      for key in 0..<100_000 {
        let object = m.make(node)
        #expect(object.key == 0)
        object.key = key + 1
        m.free(object)
      }
      m.free(m.makeBuffer(byteCount: 100_000))
    }
    #expect(heap.statistics.mappedBytes < 4 << 20)
    #expect(heap.statistics.explicitlyFreedBytes >= 3_200_000 + 100_000)
  }

  @Test("freeing twice stops the process")
  func doubleFree() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      let heap = try Heap()
      let node = try heap.registerNode()
      heap.withMutator { m in
        let object = m.make(node)
        m.free(object)
        m.free(object)
      }
    }
    #expect(text(result).contains("freed already"))
  }

  @Test("a cycle does not wait for a blocking thread, whose variables keep objects alive")
  func blocking() throws {
    let heap = try Heap()
    let node = try heap.registerNode()
    heap.withMutator { m in
      let tree = makeTree(m, node, depth: 8)
      let cycles = m.blocking {
        TestThread {
          heap.gc(.background)
          heap.gc(.forceBlock)
        }.join()
        return heap.statistics.cycles
      }
      #expect(cycles == 2)
      #expect(countNodes(tree) == 255)
    }
  }

  @Test("a cycle gets by at the safepoints of a loop that does not allocate")
  func safepoints() throws {
    let heap = try Heap()
    let done = Flag()
    heap.withMutator { m in
      let collector = TestThread {
        heap.gc(.forceBlock)
        heap.gc(.background)
        done.set()
      }
      while !done.isSet { m.safepoint() }
      m.blocking { collector.join() }
    }
    #expect(heap.statistics.cycles == 2)
  }
}
