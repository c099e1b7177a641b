// ManagedTypeTests: which structs a heap takes, and what it says to the others.

import Testing
import Tricolor

@Suite struct ManagedTypeTests {
  struct Text { var name: String }
  struct Plain { var next: Ref<Node> }
  struct Empty {}
  struct Computed {
    var number: Int
    var node: Ref<Node>? {
      get { nil }
      set { number = newValue == nil ? 0 : 1 }
    }
  }
  struct Wide {
    var a: (Point, Point, Point, Point, Point, Point, Point, Point)
    var b: (Point, Point, Point, Point, Point, Point, Point, Point)
    var c: (Point, Point, Point, Point, Point, Point, Point, Point)
    var d: (Point, Point, Point, Point, Point, Point, Point, Point)
    var last: Ref<Node>?
  }
  struct Edge {
    var a: (Point, Point, Point, Point, Point, Point, Point, Point)
    var b: (Point, Point, Point, Point, Point, Point, Point, Point)
    var c: (Point, Point, Point, Point, Point, Point, Point, Point)
    var d: (Point, Point, Point, Point, Point, Point, Point)
    var number: Int
    var last: Ref<Node>?
  }
  struct Huge<T: BitwiseCopyable>: BitwiseCopyable { var a, b, c, d, e, f, g, h: T }
  typealias KiB = Huge<Huge<SIMD2<Double>>>

  func reason(_ body: () throws -> Void) -> String? {
    do { try body() } catch HeapError.badLayout(let reason) { return reason } catch {}
    return nil
  }

  @Test("types that the collector could not understand are refused with a reason")
  func refusals() throws {
    let heap = try Heap()
    #expect(reason { _ = try heap.register(Text.self) }?.contains("string") == true)
    #expect(reason { _ = try heap.register(Plain.self) }?.contains("next is a Ref and must be a Ref?") == true)
    #expect(reason { _ = try heap.register(Empty.self) }?.contains("no stored fields") == true)
    #expect(reason { _ = try heap.register(Computed.self, references: \.node) }?.contains("not a stored field") == true)
    #expect(reason { _ = try heap.register(Wide.self, references: \.last) }?.contains("64 words") == true)
    #expect(throws: HeapError.tooLarge) { try heap.register(Huge<Huge<KiB>>.self) }
  }

  @Test("a forgotten reference field is refused")
  func forgotten() throws {
    let heap = try Heap()
    #expect(
      reason { _ = try heap.register(Node.self, references: \.left) }
        == "Node has 2 reference fields, and 1 were registered")
    #expect(reason { _ = try heap.register(RefTests.Nested.self, references: \.links.first) } != nil)
    _ = try heap.register(RefTests.Nested.self, references: \.links.first, \.links.second)
  }

  @Test("a reference in the last word a mask can name keeps its target alive")
  func lastWord() throws {
    let heap = try Heap()
    let edge = try heap.register(Edge.self, references: \.last)
    let node = try heap.registerNode()
    #expect(MemoryLayout<Edge>.offset(of: \.last) == 63 * 8)
    let root = heap.withMutator { m in
      let object = m.make(edge)
      object.last = m.make(node) { $0.key = 9 }
      return m.makeRoot(object)
    }
    heap.gc(.forceBlock)
    #expect(heap.statistics.liveObjects == 2)
    heap.withMutator { _ in #expect(root.reference?.last?.key == 9) }
  }

  @Test("objects up to 32 KiB are made by type")
  func large() throws {
    let heap = try Heap()
    let type = try heap.register(Huge<KiB>.self)
    heap.withMutator { m in
      for _ in 0..<100 {
        let object = m.make(type)
        #expect(object.h.h.h.y == 0)
        object.h.h.h.y = 1
        object.a.a.a.x = 1
      }
    }
  }
}
