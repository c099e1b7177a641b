// RefArrayTests: arrays of references and buffers of bytes.

import Testing
import Tricolor

@Suite struct RefArrayTests {
  @Test("elements begin as nil, read back, and stay alive", arguments: [0, 1, 2, 63, 64, 65, 1000, 4096, 100_000])
  func elements(_ count: Int) throws {
    let heap = try Heap()
    let node = try heap.registerNode()
    let nodes = try heap.registerArray(of: Node.self)
    let root = heap.withMutator { m in
      let array = m.makeArray(nodes, count: count)
      #expect(array.count == count)
      #expect((0..<count).allSatisfy { array[$0] == nil })
      for index in 0..<count {
        if index % 2 == 0 { array[index] = m.make(node, Node(key: index)) } else { m.store(array, index, nil) }
      }
      return m.makeRoot(array)
    }
    heap.gc(.forceBlock)
    #expect(heap.statistics.liveObjects == 1 + (count + 1) / 2)
    heap.withMutator { _ in
      let array = root.reference!
      #expect(array.count == count)
      #expect((0..<count).allSatisfy { array[$0]?.key == ($0 % 2 == 0 ? $0 : nil) })
    }
  }

  struct Tree {
    var children: RefArray<Tree>?
    var name: RawBuffer?
  }

  @Test("arrays and buffers are fields and elements like any other reference")
  func nesting() throws {
    let heap = try Heap()
    let tree = try heap.register(Tree.self, references: \.children, \.name)
    let trees = try heap.registerArray(of: Tree.self)
    let forests = try heap.registerArray(of: ReferenceArray<Tree>.self)
    let root = heap.withMutator { m in
      let forest = m.makeArray(forests, count: 2)
      for index in 0..<2 {
        let child = m.make(tree)
        child.name = m.makeBuffer(byteCount: 3)
        child.name?[2] = UInt8(index)
        child.children = m.makeArray(trees, count: 1)
        child.children?[0] = child
        forest[index] = child.children
      }
      return m.makeRoot(forest)
    }
    heap.gc(.force)
    heap.gc(.background)
    heap.gc(.forceBlock)
    #expect(heap.statistics.liveObjects == 7)
    heap.withMutator { _ in
      #expect(root.reference?[1]?[0]?.name?[2] == 1)
      #expect(root.reference?[0]?[0]?.children == root.reference?[0])
    }
  }

  @Test("buffers hold bytes, and numbers in them keep nothing alive", arguments: [0, 1, 8, 9, 120, 121, 5000, 70_000])
  func buffers(_ count: Int) throws {
    let heap = try Heap()
    let node = try heap.registerNode()
    let root = heap.withMutator { m in
      let buffer = m.makeBuffer(byteCount: count)
      #expect(buffer.count == count)
      #expect((0..<count).allSatisfy { buffer[$0] == 0 })
      let hidden = m.make(node)
      buffer.withUnsafeBytes { bytes in
        #expect(bytes.count == count)
        if count >= 8 { bytes.storeBytes(of: UInt(bitPattern: hidden.unsafeAddress), as: UInt.self) }
      }
      if count > 0 { buffer[count - 1] = 0xff }
      return m.makeRoot(buffer)
    }
    heap.gc(.forceBlock)
    #expect(heap.statistics.liveObjects == 1)
    heap.withMutator { _ in #expect(count == 0 || root.reference?[count - 1] == 0xff) }
  }

  @Test("buffers without zeroing have their count", arguments: [0, 100, 50_000])
  func uninitialized(_ count: Int) throws {
    let heap = try Heap()
    try heap.withMutator { m in
      for _ in 0..<10 {
        let buffer = try m.tryMakeUninitializedBuffer(byteCount: count)
        #expect(buffer.count == count)
        buffer.withUnsafeBytes { _ = $0.initializeMemory(as: UInt8.self, repeating: 1) }
      }
    }
  }

  @Test("counts that no object could have are refused")
  func tooLarge() throws {
    let heap = try Heap()
    let nodes = try heap.registerArray(of: Node.self)
    heap.withMutator { m in
      #expect(throws: HeapError.tooLarge) { _ = try m.tryMakeArray(nodes, count: Int.max) }
      #expect(throws: HeapError.tooLarge) { _ = try m.tryMakeArray(nodes, count: Int.max / 16) }
      #expect(throws: HeapError.tooLarge) { _ = try m.tryMakeBuffer(byteCount: Int.max) }
    }
  }

  @Test("an index out of bounds stops the process")
  func bounds() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      let heap = try Heap()
      let nodes = try heap.registerArray(of: Node.self)
      heap.withMutator { m in m.makeArray(nodes, count: 3)[3] = nil }
    }
    #expect(text(result).contains("index 3 is outside of 0..<3"))
    await #expect(processExitsWith: .failure) {
      let heap = try Heap()
      heap.withMutator { m in m.makeBuffer(byteCount: 3)[-1] = 0 }
    }
  }
}
