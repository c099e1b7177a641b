// HeapOptionsTests: every knob reaches the heap, and values out of range are errors.

import Testing
import Tricolor

@Suite struct HeapOptionsTests {
  func error(_ change: (inout HeapOptions) -> Void) -> HeapError? {
    var options = HeapOptions()
    change(&options)
    do { _ = try Heap(options) } catch { return error }
    return nil
  }

  @Test("options out of range are errors")
  func outOfRange() {
    #expect(error { $0.growthPercent = 3 } == .badOptions)
    #expect(error { $0.growthPercent = 100_001 } == .badOptions)
    #expect(error { $0.tag = HeapOptions.Tag(mask: 1, value: 2) } == .badOptions)
    #expect(error { $0.tag = HeapOptions.Tag(mask: 1, value: 0) } == .badOptions)
    #expect(error { $0.reservationBytes = 1 << 47 } == .badOptions)
    #expect(error { $0.growthPercent = 25 } == nil)
    #expect(error { $0.growthPercent = nil } == nil)
    #expect(error { $0.tag = HeapOptions.Tag(mask: 7, value: 1) } == nil)
    #expect(error { $0.markWorkers = 1 } == nil)
    #expect(error { $0.backgroundWorkers = 2 } == nil)
    for policy in [HeapOptions.HugePages.automatic, .always, .off] {
      #expect(error { $0.hugePages = policy } == nil)
    }
  }

  @Test("growth can be changed and switched off while the heap lives")
  func growth() throws {
    let heap = try Heap()
    let node = try heap.registerNode()
    #expect(throws: HeapError.badOptions) { try heap.setGrowthPercent(3) }
    #expect(throws: HeapError.badOptions) { try heap.setGrowthPercent(UInt32.max) }
    try heap.setGrowthPercent(nil)
    heap.withMutator { m in for _ in 0..<400_000 { _ = m.make(node) } }
    #expect(heap.statistics.cycles == 0)
    #expect(heap.statistics.triggerBytes == Int.max)
    try heap.setGrowthPercent(100)
    heap.withMutator { m in for _ in 0..<400_000 { _ = m.make(node) } }
    #expect(heap.statistics.cycles > 0)
  }

  @Test(
    "a heap over its limit throws, and goes on when something is dropped",
    arguments: [
      HeapOptions.Barrier.hybrid, .stopTheWorld,
    ])
  func limit(_ barrier: HeapOptions.Barrier) throws {
    var options = HeapOptions()
    options.limitBytes = 8 << 20
    options.barrier = barrier
    let heap = try Heap(options)
    let node = try heap.registerNode()
    try heap.withMutator { m in
      let root = m.makeRoot(nil as Ref<Node>?)
      var made = 0
      #expect(throws: HeapError.limitReached) {
        while true {
          root.reference = try m.tryMake(node, Node(left: root.reference, key: made))
          made += 1
        }
      }
      #expect(made > 100_000 && made < 300_000)
      #expect(throws: HeapError.limitReached) { _ = try m.tryMakeBuffer(byteCount: 16 << 20) }
      root.reference = nil
      for _ in 0..<1_000_000 { _ = try m.tryMake(node) }
      _ = try m.tryMakeBuffer(byteCount: 1 << 20)
    }
  }

  @Test("make stops the process when the heap is full")
  func full() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      var options = HeapOptions()
      options.limitBytes = 4 << 20
      let heap = try Heap(options)
      let node = try heap.registerNode()
      heap.withMutator { m in
        let root = m.makeRoot(nil as Ref<Node>?)
        while true { root.reference = m.make(node, Node(left: root.reference, key: 0)) }
      }
    }
    #expect(text(result).contains("make: the heap is full"))
  }

  @Test("every error has a sentence")
  func sentences() {
    #expect(HeapError.limitReached.description == "the heap's limit or reservation is full")
    #expect(HeapError.badLayout(reason: "because").description == "because")
    #expect("\(HeapError.mutatorsAttached)" == "mutators are still attached to the heap")
  }

  @Test("a heap under stress collects at every allocation that leaves the fast path")
  func stress() throws {
    var options = HeapOptions()
    options.stressInterval = 1
    options.verifiesStructures = true
    options.checksMarks = true
    let heap = try Heap(options)
    let node = try heap.registerNode()
    heap.withMutator { m in
      let tree = makeTree(m, node, depth: 12)
      #expect(countNodes(tree) == 4095)
    }
    #expect(heap.statistics.cycles >= 60)
  }
}
