// RefTests: fields by name, identity, and stores while marking is under way.

import Synchronization
import Testing
import Tricolor

@Suite struct RefTests {
  struct Mixed {
    var small: UInt8
    var next: Ref<Mixed>?
    var pair: (Int32, Double)
    var other: Ref<Node>?
    var flag: Bool
    let constant = 7
    var sum: Double { Double(pair.0) + pair.1 }
  }

  @Test("fields of a new object are zero, and read back what was written")
  func fields() throws {
    let heap = try Heap()
    let mixed = try heap.register(Mixed.self, references: \.next, \.other)
    let node = try heap.registerNode()
    heap.withMutator { m in
      let one = m.make(mixed)
      #expect(one.small == 0 && one.next == nil && one.pair == (0, 0) && one.other == nil && !one.flag)
      let other = m.make(node)
      one.small = 200
      one.next = one
      one.pair = (-3, 0.5)
      one.other = other
      one.flag = true
      one.pair.0 += 1
      other.key = 11
      #expect(one.small == 200 && one.next == one && one.pair == (-2, 0.5) && one.flag)
      #expect(one.other == other && one.other?.key == 11 && one.sum == -1.5)
      one.other?.key -= 1
      one.next = nil
      #expect(other.key == 10 && one.next == nil)
    }
  }

  struct Links {
    var first: Ref<Node>?
    var second: Ref<Node>?
  }
  struct Nested {
    var number: Int
    var links: Links
  }

  @Test("references in nested structs are stored through their whole key path")
  func nested() throws {
    let heap = try Heap()
    let nested = try heap.register(Nested.self, references: \.links.first, \.links.second)
    let node = try heap.registerNode()
    let root = heap.withMutator { m in
      let outer = m.make(nested)
      outer[dynamicMember: \.links.first] = m.make(node) { $0.key = 5 }
      m.store(outer, \.links.second, m.make(node) { $0.key = 6 })
      return m.makeRoot(outer)
    }
    heap.gc(.forceBlock)
    #expect(heap.statistics.liveObjects == 3)
    heap.withMutator { _ in
      #expect(root.reference?.links.first?.key == 5)
      #expect(root.reference?.links.second?.key == 6)
    }
  }

  @Test("references are equal and hash by identity")
  func identity() throws {
    let heap = try Heap()
    let node = try heap.registerNode()
    heap.withMutator { m in
      let one = m.make(node)
      let two = m.make(node)
      #expect(one == one && one != two)
      #expect(Set([one, two, one]).count == 2)
      #expect(Ref<Node>(unsafeAddress: two.unsafeAddress) == two)
      #expect("\(one)".hasPrefix("Ref<Node>("))
    }
  }

  /// Pulls subtrees out of a table and puts them elsewhere while cycle after cycle marks: every move deletes the only
  /// reference in the heap and stores it into an object that may be black already.
  static func moveWhileMarking(_ options: HeapOptions) throws {
    let heap = try Heap(options)
    let node = try heap.registerNode()
    let slots = 200
    let table = try heap.registerArray(of: Node.self)
    let done = Flag()
    let collector = TestThread {
      while !done.isSet { heap.gc(.background) }
    }
    let total = heap.withMutator { m in
      let array = m.makeArray(table, count: slots)
      for index in 0..<slots { array[index] = makeTree(m, node, depth: 6) }
      var random = UInt64(42)
      for _ in 0..<60_000 {
        random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        let from = Int(random >> 33) % slots
        let to = Int(random >> 13) % slots
        let taken = array[from]?.left
        array[from]?.left = array[to]?.right
        array[to]?.right = taken
        let spare = array[from]
        array[from] = array[to]
        array[to] = spare
        _ = m.make(node)
      }
      return (0..<slots).reduce(0) { $0 + countNodes(array[$1]) }
    }
    done.set()
    collector.join()
    #expect(total == slots * 63)
    #expect(heap.statistics.cycles > 0)
  }

  @Test(
    "barriered stores keep a graph whole while background cycles mark",
    arguments: [
      HeapOptions.Barrier.hybrid, .dijkstra, .stopTheWorld,
    ])
  func storesWhileMarking(_ barrier: HeapOptions.Barrier) throws {
    var options = HeapOptions()
    options.barrier = barrier
    options.checksMarks = true
    options.verifiesStructures = true
    try Self.moveWhileMarking(options)
  }

  @Test("objects made with a value while background cycles mark keep what they refer to")
  func initialisedWhileMarking() throws {
    var options = HeapOptions()
    options.checksMarks = true
    let heap = try Heap(options)
    let node = try heap.registerNode()
    let done = Flag()
    let collector = TestThread {
      while !done.isSet { heap.gc(.background) }
    }
    heap.withMutator { m in
      let root = m.makeRoot(nil as Ref<Node>?)
      for round in 0..<300 {
        var list: Ref<Node>?
        for key in 0..<500 { list = m.make(node, Node(left: list, right: m.make(node), key: key)) }
        root.reference = list
        var length = 0
        var rest = root.reference
        while let here = rest, length < 500 {
          length += here.key == 499 - length && here.right?.key == 0 ? 1 : 1_000_000
          rest = here.left
        }
        #expect(length == 500, "round \(round)")
      }
    }
    done.set()
    collector.join()
    #expect(heap.statistics.cycles > 0)
  }

  @Test("storing on a thread that is attached to no heap stops the process")
  func storeUnattached() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      let heap = try Heap()
      let node = try heap.registerNode()
      let mutator = try heap.attach()
      let object = mutator.make(node)
      mutator.detach()
      object.left = object
    }
    #expect(text(result).contains("attached to no heap"))
  }

  @Test("storing into the outer of two heaps stops the process, and Mutator.store does it")
  func storeIntoOuterHeap() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      let outer = try Heap()
      let inner = try Heap()
      let node = try outer.registerNode()
      outer.withMutator { m in
        let object = m.make(node)
        inner.withMutator { _ in
          m.store(object, \.left, object)
          precondition(object.left == object)
          object.right = object
        }
      }
    }
    #expect(text(result).contains("use Mutator.store"))
  }

  struct Computed {
    var stored: Int
    var twice: Int {
      get { 2 * stored }
      set { stored = newValue / 2 }
    }
  }

  @Test("storing through a computed property stops the process")
  func storeComputed() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      let heap = try Heap()
      let type = try heap.register(Computed.self)
      heap.withMutator { m in m.make(type).twice = 4 }
    }
    #expect(text(result).contains("not a stored field"))
  }
}
