// HeapTests: making, closing and sharing heaps; hooks; statistics.

import Testing
import Tricolor

@Suite struct HeapTests {
  @Test("several heaps live at once and share nothing")
  func severalHeaps() throws {
    let heaps = try (0..<5).map { _ in try Heap() }
    let types = try heaps.map { try $0.registerNode() }
    for (index, heap) in heaps.enumerated() {
      let root = heap.withMutator { m in m.makeRoot(makeTree(m, types[index], depth: 3 + index)) }
      heap.gc(.forceBlock)
      #expect(heap.statistics.liveObjects == (8 << index) - 1)
      _ = consume root
    }
    for heap in heaps {
      #expect(heap.statistics.cycles == 1)
      heap.gc(.forceBlock)
      #expect(heap.statistics.liveObjects == 0)
      try heap.close()
    }
  }

  @Test("one thread attaches to two heaps, one inside the other")
  func nestedHeaps() throws {
    let outer = try Heap()
    let inner = try Heap()
    let outerNode = try outer.registerNode()
    let innerNode = try inner.registerNode()
    outer.withMutator { m in
      let tree = makeTree(m, outerNode, depth: 8)
      inner.withMutator { n in
        let other = makeTree(n, innerNode, depth: 8)
        outer.gc(.forceBlock)
        inner.gc(.background)
        #expect(countNodes(tree) == 255 && countNodes(other) == 255)
      }
      tree.left = nil
      #expect(countNodes(tree) == 128)
    }
  }

  @Test("closing with an attached thread throws, and works after it detached")
  func closing() throws {
    let heap = try Heap()
    let mutator = try heap.attach()
    #expect(throws: HeapError.mutatorsAttached) { try heap.close() }
    #expect(heap.statistics.mutators == 1)
    mutator.detach()
    try heap.close()
  }

  @Test("a heap that goes while a thread is attached stops the process")
  func droppedWhileAttached() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      let heap = try Heap()
      _ = try heap.attach()
    }
    #expect(text(result).contains("mutators are still attached"))
  }

  @Test("using a closed heap stops the process")
  func closed() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      let heap = try Heap()
      try heap.close()
      heap.gc()
    }
    #expect(text(result).contains("a heap that was closed"))
  }

  @Test("hooks run once at the start of each cycle, until they are removed", arguments: [false, true])
  func hooks(_ needsStop: Bool) throws {
    let heap = try Heap()
    let calls = Counter()
    let forced = Counter()
    let hook = try heap.onCycleStart(needsStop: needsStop) { mode in
      calls.add()
      if mode == .forceBlock { forced.add() }
    }
    heap.gc(.background)
    heap.gc(.force)
    heap.gc(.forceBlock)
    #expect(calls.count == 3 && forced.count == 1)
    try hook.remove()
    heap.gc(.background)
    #expect(calls.count == 3)
    #expect(throws: HeapError.notFound) { try hook.remove() }
  }

  @Test(
    "a hook that clears a cache frees its objects in the same cycle", arguments: [Heap.Mode.background, .forceBlock])
  func hookClearsCache(_ mode: Heap.Mode) throws {
    final class Cache: Sendable {
      let root: Root<Node>
      init(_ root: consuming Root<Node>) { self.root = root }
    }
    let heap = try Heap()
    let node = try heap.registerNode()
    let table = try heap.registerArray(of: Node.self)
    let cleared = Flag()
    try heap.onCycleStart { _ in cleared.set() }
    let root = heap.withMutator { m in
      let array = m.makeArray(table, count: 1)
      array[0] = m.make(node)
      return m.makeRoot(array)
    }
    heap.gc(mode)
    #expect(cleared.isSet)
    #expect(heap.statistics.liveObjects == 2)
    _ = consume root
  }

  @Test("what a hook captured is let go when the heap is closed")
  func hookRelease() throws {
    weak var captured: Counter?
    let heap = try Heap()
    do {
      let counter = Counter()
      captured = counter
      try heap.onCycleStart { _ in counter.add() }
    }
    heap.gc()
    #expect(captured?.count == 1)
    try heap.close()
    #expect(captured == nil)
  }

  // MARK: Memory goes back

  private func fillAndDrop(_ heap: Heap, _ node: ManagedType<Node>) {
    heap.withMutator { m in
      let root = m.makeRoot(nil as Ref<Node>?)
      for key in 0..<500_000 { root.reference = m.make(node, Node(left: root.reference, key: key)) }
      root.reference = nil
    }
    heap.gc(.forceBlock)
  }

  @Test("a trim gives back what is free, at once, attached or not")
  func trim() throws {
    var options = HeapOptions()
    options.scavengesAfter = nil
    let heap = try Heap(options)
    let node = try heap.registerNode()
    for attached in [false, true] {
      fillAndDrop(heap, node)
      let before = heap.statistics
      let given = attached ? heap.withMutator { _ in heap.trim() } : heap.trim()
      #expect(given >= 4 << 20)
      #expect(heap.statistics.mappedBytes == before.mappedBytes - given)
      #expect(heap.statistics.scavengedBytes == before.scavengedBytes + given)
    }
    let root = heap.withMutator { m in m.makeRoot(makeTree(m, node, depth: 10)) }
    heap.trim()
    heap.withMutator { _ in #expect(countNodes(root.reference) == 1023) }
  }

  @Test("memory that stays free goes back by itself, unless that is switched off", arguments: [true, false])
  func scavenging(_ isOn: Bool) async throws {
    var options = HeapOptions()
    options.scavengesAfter = isOn ? .milliseconds(20) : nil
    options.growthPercent = nil
    let heap = try Heap(options)
    fillAndDrop(heap, try heap.registerNode())
    for _ in 0..<(isOn ? 1000 : 20) where heap.statistics.scavengedBytes == 0 {
      try await Task.sleep(for: .milliseconds(10))
    }
    #expect((heap.statistics.scavengedBytes > 0) == isOn)
  }

  @Test("no time is so short or so long that it could not be said", arguments: [0, -5, 1, 1 << 60])
  func scavengingTimes(_ seconds: Int) throws {
    var options = HeapOptions()
    options.scavengesAfter = .seconds(seconds)
    let heap = try Heap(options)
    fillAndDrop(heap, try heap.registerNode())
    #expect(heap.trim() >= 0)
  }

  @Test("a trim from a hook stops the process")
  func trimFromHook() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      let heap = try Heap()
      try heap.onCycleStart { [unowned heap] _ in heap.trim() }
      heap.gc()
    }
    #expect(text(result).contains("tri_trim: called by the thread that runs a cycle"))
  }

  @Test("statistics count cycles, modes and time")
  func statistics() throws {
    let heap = try Heap()
    let node = try heap.registerNode()
    #expect(heap.phase == .off)
    let root = heap.withMutator { m in m.makeRoot(makeTree(m, node, depth: 14)) }
    heap.gc(.background)
    heap.gc(.force)
    heap.gc(.forceBlock)
    let statistics = heap.statistics
    #expect(statistics.cycles == 3 && statistics.forcedCycles == 2)
    #expect(statistics.liveObjects == 16383 && statistics.liveBytes == 16383 * 32)
    #expect(statistics.markedObjectsAtLastCycle == 16383)
    #expect(statistics.allocatedBytes >= 16383 * 32 && statistics.mappedBytes >= statistics.liveBytes)
    #expect(statistics.longestPause >= statistics.pauseAtLastCycle && statistics.totalPause >= statistics.longestPause)
    #expect(statistics.pauseAtLastCycle > .zero && statistics.totalMarkTime > .zero)
    #expect(statistics.mutators == 0 && statistics.phase == .off)
    #expect(statistics.goalBytes >= 4 << 20 && statistics.spans > 0 && statistics.metadataBytes > 0)
    _ = consume root
  }
}
