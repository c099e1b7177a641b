// WeakTests: weak references, ephemerons and cleanups as Swift programs use them.

import Glibc
import Testing
import Tricolor

/// Waits for something another thread does; false if it has not happened after ten seconds.
private func eventually(_ condition: () -> Bool) -> Bool {
  for _ in 0..<10_000 {
    if condition() { return true }
    usleep(1000)
  }
  return condition()
}

@Suite struct WeakTests {
  final class Held: Sendable {
    let weak: Weak<Node>
    let root: Root<Node>
    init(_ weak: consuming Weak<Node>, _ root: consuming Root<Node>) {
      self.weak = weak
      self.root = root
    }
  }

  private func hold(_ heap: Heap, _ type: ManagedType<Node>) -> Held {
    heap.withMutator { m in
      let node = m.make(type)
      node.key = 7
      return Held(m.makeWeak(node), m.makeRoot(node))
    }
  }

  @Test(
    "a weak reference reads its object while a root holds it, and nil afterwards",
    arguments: [Heap.Mode.background, .force, .forceBlock])
  func weak(_ mode: Heap.Mode) throws {
    let heap = try Heap()
    let held = hold(heap, try heap.registerNode())
    heap.gc(mode)
    heap.withMutator { _ in
      #expect(held.weak.object?.key == 7)
      #expect(held.weak.object == held.root.reference)
      held.root.reference = nil
    }
    heap.gc(mode)
    heap.withMutator { _ in #expect(held.weak.object == nil) }
    heap.gc(.forceBlock)
    heap.withMutator { _ in #expect(held.weak.object == nil) }
  }

  @Test("a weak reference is nil as soon as its object is freed, and outlives its heap")
  func freed() throws {
    let heap = try Heap()
    let type = try heap.registerNode()
    let held = hold(heap, type)
    heap.withMutator { m in
      let node = held.weak.object!
      held.root.reference = nil
      m.free(node)
      #expect(held.weak.object == nil)
    }
    let other = hold(heap, type)
    try heap.close()
    withExtendedLifetime((held, other)) {}
  }

  @Test("reading without being attached stops the process")
  func notAttached() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let heap = try Heap()
      let type = try heap.registerNode()
      let held = heap.withMutator { m in
        let node = m.make(type)
        return Held(m.makeWeak(node), m.makeRoot(node))
      }
      _ = held.weak.object
    }
    #expect(text(result).contains("reading a weak reference: this thread is not attached to the heap"))
  }
}

@Suite struct EphemeronTests {
  final class Held: Sendable {
    let ephemeron: Ephemeron<Node, Node>
    let key: Root<Node>
    init(_ ephemeron: consuming Ephemeron<Node, Node>, _ key: consuming Root<Node>) {
      self.ephemeron = ephemeron
      self.key = key
    }
  }

  private func hold(_ heap: Heap, _ type: ManagedType<Node>) -> Held {
    heap.withMutator { m in
      let key = m.make(type)
      let value = makeTree(m, type, depth: 5)
      value.left?.left = key  // back to the key
      return Held(m.makeEphemeron(key, value), m.makeRoot(key))
    }
  }

  @Test(
    "the value lives as long as the key, though it refers to it",
    arguments: [Heap.Mode.background, .force, .forceBlock])
  func value(_ mode: Heap.Mode) throws {
    let heap = try Heap()
    let type = try heap.registerNode()
    let held = hold(heap, type)
    heap.gc(mode)
    heap.gc(.forceBlock)
    #expect(heap.statistics.liveObjects == 1 + 31 - 7)
    heap.withMutator { m in
      #expect(held.ephemeron.value?.key == 5)
      #expect(held.ephemeron.key == held.key.reference)
      held.ephemeron.value = m.make(type)
    }
    heap.gc(mode)
    heap.gc(.forceBlock)
    #expect(heap.statistics.liveObjects == 2)
    heap.withMutator { _ in held.key.reference = nil }
    heap.gc(mode)
    heap.gc(.forceBlock)
    #expect(heap.statistics.liveObjects == 0)
    heap.withMutator { m in
      held.ephemeron.value = m.make(type)
      #expect(held.ephemeron.key == nil && held.ephemeron.value == nil)
    }
  }
}

@Suite struct CleanupTests {
  /// Tells when it goes.
  final class Captured: Sendable {
    let flag: Flag
    init(_ flag: Flag) { self.flag = flag }
    deinit { flag.set() }
  }

  private func counting(_ counter: Counter, _ captured: Captured) -> @Sendable () -> Void {
    {
      counter.add()
      withExtendedLifetime(captured) {}
    }
  }

  private func drop(_ heap: Heap, _ type: ManagedType<Node>, _ count: Int, _ counter: Counter) throws {
    try heap.withMutator { (m: borrowing Mutator) throws -> Void in
      for _ in 0..<count { try m.addCleanup(to: m.make(type)) { counter.add() } }
    }
  }

  @Test("cleanups run once, on the heap's own thread", .timeLimit(.minutes(1)))
  func onThread() throws {
    let heap = try Heap()
    let counter = Counter()
    try drop(heap, try heap.registerNode(), 1000, counter)
    heap.gc()
    #expect(eventually { counter.count == 1000 })
    heap.gc(.forceBlock)
    #expect(heap.dueCleanups == 0)
    try heap.close()
    #expect(counter.count == 1000)
  }

  @Test("or where they are asked for; what they captured goes with them")
  func whenAsked() throws {
    var options = HeapOptions()
    options.runsCleanupsWhenAsked = true
    let heap = try Heap(options)
    let type = try heap.registerNode()
    let counter = Counter()
    let gone = Flag()
    try heap.withMutator { (m: borrowing Mutator) throws -> Void in
      try m.addCleanup(to: m.make(type), counting(counter, Captured(gone)))
    }
    try drop(heap, type, 9, counter)
    heap.gc(.forceBlock)
    #expect(heap.dueCleanups == 10 && counter.count == 0)
    #expect(heap.runCleanups(limit: 4) == 4 && counter.count == 4)
    #expect(heap.runCleanups() == 6 && counter.count == 10)
    #expect(heap.runCleanups() == 0)
    #expect(gone.isSet)
  }

  @Test("a cleanup that was cancelled does not run, and lets go of what it captured")
  func cancel() throws {
    let heap = try Heap()
    let type = try heap.registerNode()
    let counter = Counter()
    let gone = Flag()
    let root = try heap.withMutator { (m: borrowing Mutator) throws -> Root<Node> in
      let root = m.makeRoot(m.make(type))
      let cleanup = try m.addCleanup(to: root.reference!, counting(counter, Captured(gone)))
      #expect(!gone.isSet)
      #expect(cleanup.cancel())
      #expect(!cleanup.cancel())
      return root
    }
    #expect(gone.isSet)
    withExtendedLifetime(root) {}
    try heap.close()
    #expect(counter.count == 0)
  }

  @Test("closing the heap runs those of live objects")
  func close() throws {
    let heap = try Heap()
    let type = try heap.registerNode()
    let counter = Counter()
    let root = try heap.withMutator { (m: borrowing Mutator) throws -> Root<Node> in
      let root = m.makeRoot(m.make(type))
      try m.addCleanup(to: root.reference!) { counter.add() }
      return root
    }
    heap.gc(.forceBlock)
    #expect(counter.count == 0)
    try heap.close()
    #expect(counter.count == 1)
    withExtendedLifetime(root) {}
  }
}
