// MarkTests: every form of layout keeps what it refers to and nothing else.

import CTricolor
import CTricolor.Testing
import Testing
import TricolorCore

@Suite struct MarkTests {
  private static let modes: [Mode] = [.background, .force, .forceBlock]

  /// Stores a new leaf into every given word of the object and expects exactly those leaves to survive.
  private func expectKept(
    _ heap: TestHeap, _ mutator: TestMutator, _ object: Object, words: [Int], references: (Int) -> Bool,
    mode: Mode = .forceBlock
  ) {
    let before = heap.liveObjects()
    var kept: UInt64 = 0
    for word in words {
      let leaf = mutator.leaf(16)
      leaf.storeBytes(of: word, as: Int.self)
      mutator.store(leaf, in: object, at: word)
      if references(word) { kept += 1 }
    }
    heap.collector.gc(mode)
    #expect(heap.liveObjects() == before + kept)
    for word in words where references(word) {
      if reference(object, at: word)!.load(as: Int.self) != word { Issue.record("word \(word) was lost") }
    }
  }

  @Test(
    "a layout of references keeps every word's object, at every length",
    arguments: [1, 2, 3, 16, 63, 64, 65, 66, 127, 128, 129, 1000, 4096, 5000, 131_072])
  func references(_ words: Int) throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let object = mutator.node(words)
      mutator.root(object)
      expectKept(heap, mutator, object, words: Array(0..<words), references: { _ in true })
      #expect(heap.statistics.marked_objects_at_last_cycle == UInt64(words) + 1)
    }
  }

  // The marker reads neighbours and strangers in different loops, and changes between them as it goes.
  @Test("neighbours and strangers by turns are all found, and nothing else", arguments: MarkTests.modes)
  func neighboursAndStrangers(_ mode: Mode) throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let parts = 6
      let count = 4001  // prime: every step visits all
      let top = mutator.node(parts)
      mutator.root(top)
      for part in 0..<parts {
        let nodes = (0..<count).map { _ in mutator.node(3) }
        _ = (0..<count).map { _ in mutator.node(3) }  // not referred to
        for index in 1..<count {
          // A binary tree in allocation order, or the same over nodes in an order far from that of allocation.
          let place = { (index: Int) in part % 2 == 0 ? nodes[index] : nodes[index * 1777 % count] }
          mutator.store(place(index), in: place((index - 1) / 2), at: index % 2)
          mutator.store(place(index * 7 % count), in: place(index), at: 2)
        }
        mutator.store(nodes[0], in: top, at: part)
      }
      heap.collector.gc(mode)
      #expect(heap.liveObjects() == UInt64(1 + parts * count))
    }
  }

  // Among neighbours a lone marker goes object by object: whatever else it meets there is marked as well.
  @Test(
    "a tree in allocation order is marked object by object, one of strangers is not, and both to their ends",
    arguments: [true, false], [true, false])
  func objectByObject(_ inOrder: Bool, _ tagged: Bool) async {
    await #expect(processExitsWith: .success) { [inOrder, tagged] in
      let heap = try TestHeap {
        $0.mark_workers = 1
        if tagged { ($0.tag_mask, $0.tag_value) = (0b11, 0b01) }
      }
      try heap.attached { mutator in
        let count = 20_011  // prime: every step visits all
        let nodes = (0..<count).map { _ in mutator.node(3) }
        let place = { (index: Int) in nodes[inOrder ? index : index * 7919 % count] }
        let steps = Seen.count
        var expected = UInt64(count)
        mutator.root(place(0))
        for index in 1..<count {
          let node = place(index)
          mutator.store(node, in: place((index - 1) / 2), at: index % 2)
          guard index % 10 < 5 else { continue }
          let other: Object? =
            switch index % 10 {
            case 0: mutator.leaf(16 + index % 500)  // an object of another kind, of each a sixteenth
            case 1: index % 16 == 1 ? mutator.node(5) : nil
            case 2: index % 160 == 2 ? mutator.node(200 + index % 100) : nil
            case 3: tagged ? mutator.leaf(16) + 1 : nil  // an immediate that is an address inside the heap too
            default: place(index * 31 % count)
            }
          mutator.store(other, in: node, at: 2)
          if index % 10 < 3 && other != nil { expected += 1 }
        }
        tri_testing_set_step_hook { if $0 == .markPlain { Seen.count.add() } }
        for mode in [Mode.force, .forceBlock] {
          heap.collector.gc(mode)
          precondition(heap.statistics.marked_objects_at_last_cycle == expected)
        }
        tri_testing_set_step_hook(nil)
        precondition(heap.liveObjects() == expected)
        precondition(!tri_testing_has_steps() || (inOrder ? steps.count > 1100 : steps.count == 0), "\(steps.count)")
      }
    }
  }

  @Test("a lone marker that meets strangers among neighbours goes on in batches, and back")
  func objectByObjectAndBack() async {
    await #expect(processExitsWith: .success) {
      let heap = try TestHeap { $0.mark_workers = 1 }
      try heap.attached { mutator in
        let count = 20_011  // prime: every step visits all
        var end: Object?
        for part in 0..<3 {
          let nodes = (0..<count).map { _ in mutator.node(3) }
          let place = { (index: Int) in nodes[part != 1 ? index : index * 7919 % count] }
          for index in 1..<count { mutator.store(place(index), in: place((index - 1) / 2), at: index % 2) }
          // Each tree's last node leads to the next one.
          if let end { mutator.store(place(0), in: end, at: 2) } else { mutator.root(place(0)) }
          end = place((1 << 14) - 2)
        }
        let steps = Seen.count
        tri_testing_set_step_hook { if $0 == .markPlain { Seen.count.add() } }
        heap.collector.gc(.forceBlock)
        tri_testing_set_step_hook(nil)
        precondition(heap.statistics.marked_objects_at_last_cycle == UInt64(3 * count))
        // 105 for each tree of neighbours; 105 more if the other one were scanned like them.
        precondition(!tri_testing_has_steps() || (200...240).contains(steps.count), "\(steps.count)")
      }
    }
  }

  @Test("a masked layout keeps exactly the words of its prefix and its period", arguments: MarkTests.modes)
  func masks(_ mode: Mode) throws {
    let shapes: [(prefix: UInt32, prefixMask: UInt64, period: UInt32, periodMask: UInt64, words: Int)] = [
      (1, 1, 0, 0, 1), (2, 0b10, 0, 0, 2), (64, 1 | 1 << 63, 0, 0, 64), (64, 1 << 63, 0, 0, 200),
      (0, 0, 1, 1, 70), (0, 0, 2, 0b10, 1000), (3, 0b100, 5, 0b10001, 333), (64, 1 << 62, 64, 1 | 1 << 63, 512),
      (63, 1 << 62, 63, 1, 700), (1, 0, 3, 0b100, 131_072), (0, 0, 64, 1 << 63, 65), (2, 0b11, 7, 0b1, 10),
      // Long, with references at the beginning only: the rest is not looked at.
      (1, 1, 0, 0, 600), (3, 0b101, 0, 0, 4000), (64, 1 | 1 << 63, 0, 0, 10_000), (2, 0b10, 0, 0, 131_072),
      (5, 0b10010, 7, 0, 500),
    ]
    let heap = try TestHeap()
    try heap.attached { mutator in
      for shape in shapes {
        let layout = try heap.layout {
          $0.form = .mask
          $0.prefix_words = shape.prefix
          $0.prefix_mask = shape.prefixMask
          $0.period_words = shape.period
          $0.period_mask = shape.periodMask
        }
        let object = mutator.object(layout, shape.words * 8)
        mutator.root(object)
        // The slot may be longer than the object; both ends of the slot count.
        let usable = tri_object_bytes(heap.heap, object) / 8
        let words = usable <= 1000 ? Array(0..<usable) : Array(0..<200) + Array(usable - 200..<usable)
        expectKept(
          heap, mutator, object, words: words,
          references: { word in
            if word < Int(shape.prefix) { return shape.prefixMask >> UInt64(word) & 1 == 1 }
            if shape.period == 0 { return false }
            return shape.periodMask >> UInt64((word - Int(shape.prefix)) % Int(shape.period)) & 1 == 1
          }, mode: mode)
      }
    }
  }

  @Test("a leaf keeps nothing", arguments: [16, 512, 5000, 100_000])
  func leaf(_ bytes: Int) throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let object = mutator.leaf(bytes)
      mutator.root(object)
      expectKept(heap, mutator, object, words: [0, bytes / 8 - 1], references: { _ in false })
    }
  }

  @Test("a custom tracer keeps what it visits", arguments: [64, 2000, 100_000])
  func custom(_ bytes: Int) throws {
    let heap = try TestHeap()
    // The first word says how many of the following are references.
    let layout = try heap.layout {
      $0.form = .custom
      $0.trace = { object, bytes, visitor, _ in
        let count = object.load(as: Int.self)
        for word in 0..<count where (word + 2) * 8 <= bytes {
          tri_visit(visitor, object.load(fromByteOffset: (word + 1) * 8, as: UnsafeRawPointer?.self))
        }
      }
    }
    try heap.attached { mutator in
      let object = mutator.object(layout, bytes)
      mutator.root(object)
      object.storeBytes(of: 3, as: Int.self)
      expectKept(heap, mutator, object, words: [1, 2, 3, 4, 5], references: { $0 <= 3 })
      object.storeBytes(of: bytes / 8 - 1, as: Int.self)
      for word in 1..<bytes / 8 { mutator.store(nil, in: object, at: word) }
      expectKept(heap, mutator, object, words: Array(1..<bytes / 8), references: { _ in true })
    }
  }

  @Test("a tracer's conservative visit takes interior addresses and ignores all others")
  func customConservative() throws {
    let heap = try TestHeap()
    let layout = try heap.layout {
      $0.form = .custom
      $0.trace = { object, bytes, visitor, _ in
        for word in 0..<bytes / 8 {
          tri_visit_conservative(visitor, object.load(fromByteOffset: word * 8, as: UnsafeRawPointer?.self))
        }
      }
    }
    try heap.attached { mutator in
      let object = mutator.object(layout, 64)
      mutator.root(object)
      mutator.store(mutator.leaf(100) + 99, in: object, at: 0)
      mutator.store(mutator.leaf(100_000) + 99_999, in: object, at: 1)
      mutator.store(Object(bitPattern: 12_345), in: object, at: 2)
      mutator.store(Object(bitPattern: UInt.max), in: object, at: 3)
      #expect(heap.liveObjects() == 3)
    }
  }

  @Test("a conservative object keeps what an address inside leads to", arguments: [64, 3000, 100_000])
  func conservative(_ bytes: Int) throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let object = mutator.object(heap.conservative, bytes)
      mutator.root(object)
      let small = mutator.leaf(200)
      let large = mutator.leaf(50_000)
      let guardian = mutator.leaf(200)
      mutator.store(small + 199, in: object, at: 0)
      mutator.store(large + 31_111, in: object, at: 1)
      mutator.store(guardian, in: object, at: bytes / 8 - 1)
      mutator.store(Object(bitPattern: 1), in: object, at: 2)
      mutator.store(Object(bitPattern: UInt.max), in: object, at: 3)
      // Beyond everything the heap has committed, and in the middle of its free pages.
      mutator.store(Object(bitPattern: mutator.pointer.pointee.heap_start + 200 << 20), in: object, at: 4)
      mutator.store(Object(bitPattern: mutator.pointer.pointee.heap_start + 60 << 20), in: object, at: 5)
      #expect(heap.liveObjects(after: .background) == 4)
      #expect(heap.liveObjects() == 4)
      mutator.store(nil, in: object, at: 0)
      mutator.store(nil, in: object, at: 1)
      #expect(heap.liveObjects() == 2)
    }
  }

  @Test("immediates are skipped wherever references are read")
  func immediates() throws {
    let heap = try TestHeap {
      $0.tag_mask = 0b11
      $0.tag_value = 0b01
    }
    try heap.attached { mutator in
      for words in [4, 64, 500, 10_000] {
        let object = mutator.node(words)
        mutator.root(object)
        let leaf = mutator.leaf(16)
        for word in 0..<words {
          // An immediate that is an address inside the heap too; and a small number.
          mutator.store(word % 2 == 0 ? leaf + 1 : Object(bitPattern: word * 4 + 1), in: object, at: word)
        }
        #expect(tri_object_start(heap.heap, leaf) == leaf)
        let before = heap.statistics.live_objects
        #expect(heap.liveObjects(after: .background) == before + 1)
        #expect(heap.liveObjects() == before + 1)
      }
      // In roots as well.
      mutator.root(mutator.leaf(16) + 1)
      let handle = tri_handle_make(mutator.pointer, mutator.leaf(16) + 1)!
      #expect(heap.liveObjects() == 4)
      tri_handle_free(mutator.pointer, handle)
    }
  }

  @Test("a list of a million nodes is marked to its end", arguments: MarkTests.modes)
  func deepList(_ mode: Mode) throws {
    let heap = try TestHeap {
      $0.checkmark = 0
      $0.verify = 0
    }
    try heap.attached { mutator in
      let head = mutator.list(1_000_000)
      heap.collector.gc(mode)
      #expect(heap.statistics.marked_objects_at_last_cycle == 1_000_000)
      #expect(heap.liveObjects(after: mode) == 1_000_000 || mode == .force)
      #expect(listLength(head.pointee) == 1_000_000)
      head.pointee = nil
      #expect(heap.liveObjects() == 0)
    }
  }

  @Test("a complete tree is counted exactly, by one worker and by four", arguments: [1, 4], MarkTests.modes)
  func tree(_ workers: UInt32, _ mode: Mode) throws {
    let heap = try TestHeap {
      $0.mark_workers = workers
      $0.background_workers = workers
      $0.checkmark = 0
    }
    func grow(_ mutator: TestMutator, _ depth: Int) -> Object {
      let scope = tri_scope_begin(mutator.pointer)
      let node = mutator.node(2)
      mutator.root(node)
      if depth > 1 {
        mutator.store(grow(mutator, depth - 1), in: node, at: 0)
        mutator.store(grow(mutator, depth - 1), in: node, at: 1)
      }
      tri_scope_end(mutator.pointer, scope)
      return node
    }
    try heap.attached { mutator in
      let root = mutator.root(grow(mutator, 17))
      for _ in 0..<3 {
        heap.collector.gc(mode)
        #expect(heap.statistics.marked_objects_at_last_cycle == (1 << 17) - 1)
      }
      root.pointee = reference(root.pointee!, at: 1)
      heap.collector.gc(mode)
      #expect(heap.statistics.marked_objects_at_last_cycle == (1 << 16) - 1)
      #expect(heap.liveObjects() == (1 << 16) - 1)
    }
  }

  @Test("an array is marked by all workers: what is left of it is shared with those that wait", arguments: [0, 2000])
  func sharedArray(_ skipped: Int) async {
    await #expect(processExitsWith: .success) { [skipped] in
      endAfter(seconds: 60)
      let heap = try TestHeap {
        $0.mark_workers = 3
        $0.verify = 0
      }
      tri_testing_set_helpers_worth(heap.heap, 10)
      try heap.attached { mutator in
        let count = 100_000
        let array = mutator.node(count)
        mutator.root(array)
        // The first ones are what is marked before others come.
        for word in 0..<count where word >= skipped || word % 64 == 0 {
          mutator.store(mutator.node(3), in: array, at: word)
        }
        let expected = UInt64(1 + count - skipped + (skipped + 63) / 64)
        tri_testing_set_step_hook { point in if point == .shareParts { Seen.count.add() } }
        for _ in 0..<200 {
          heap.collector.gc(.forceBlock)
          precondition(heap.statistics.marked_objects_at_last_cycle == expected)
          precondition(heap.liveObjects() == expected)
          if !tri_testing_has_steps() || Seen.count.count > 1 { return }
        }
        preconditionFailure("no array was divided")
      }
    }
  }

  @Test("cycles of references are no roots")
  func rings() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let kept = mutator.node()
      mutator.root(kept)
      mutator.store(kept, in: kept)
      for _ in 0..<100 {
        let one = mutator.node()
        let other = mutator.node()
        mutator.store(other, in: one)
        mutator.store(one, in: other)
      }
      #expect(heap.liveObjects(after: .background) == 1)
    }
  }

  @Test("one object may be referred to from everywhere and is marked once")
  func shared() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let table = mutator.node(10_000)
      mutator.root(table)
      let shared = mutator.node()
      for word in 0..<10_000 { mutator.store(shared, in: table, at: word) }
      #expect(heap.liveObjects() == 2)
      #expect(heap.statistics.marked_objects_at_last_cycle == 2)
    }
  }
}
