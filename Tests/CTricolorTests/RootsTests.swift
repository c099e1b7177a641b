// RootsTests: what each kind of root keeps alive, and that it ends with the root. Scopes that end out of order and
// slots outside a scope: CrashTests.

import CTricolor
import CTricolor.Testing
import Glibc
import Testing
import TricolorCore

@Suite struct RootsTests {
  private static let modes: [Mode] = [.background, .force, .forceBlock]

  private func range(_ count: Int) -> Slot {
    let words = Slot.allocate(capacity: count)
    words.initialize(repeating: nil, count: count)
    return words
  }

  // MARK: Handles

  @Test("thousands of handles keep exactly their objects, through all modes", arguments: RootsTests.modes)
  func handles(_ mode: Mode) throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      var handles = (0..<2000).map { index in
        let object = mutator.leaf(16)
        object.storeBytes(of: index, as: Int.self)
        return tri_handle_make(mutator.pointer, object)!
      }
      _ = (0..<500).map { _ in mutator.leaf(16) }
      heap.collector.gc(mode)
      #expect(heap.liveObjects() == 2000)
      for (index, handle) in handles.enumerated() where tri_handle_get(handle)!.load(as: Int.self) != index {
        Issue.record("handle \(index) leads elsewhere")
      }
      for handle in handles[..<1000] { tri_handle_free(mutator.pointer, handle) }
      heap.collector.gc(mode)
      #expect(heap.liveObjects() == 1000)
      // Freed ones are used again.
      handles[..<1000] = (0..<1000).map { _ in tri_handle_make(mutator.pointer, nil)! }[...]
      #expect(heap.liveObjects() == 1000)
      for handle in handles { tri_handle_set(mutator.pointer, handle, nil) }
      #expect(heap.liveObjects() == 0)
      for handle in handles { tri_handle_free(mutator.pointer, handle) }
    }
  }

  @Test("a handle is read by any thread and freed by a thread that is not attached")
  func handleElsewhere() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let object = mutator.leaf(16)
      let handle = UInt(bitPattern: tri_handle_make(mutator.pointer, object)!)
      let expected = address(object)
      tri_blocking_begin(mutator.pointer)
      TestThread {
        let handle = OpaquePointer(bitPattern: handle)!
        #expect(address(tri_handle_get(handle)) == expected)
        tri_handle_free_any_thread(heap.heap, handle)
      }.join()
      tri_blocking_end(mutator.pointer)
      #expect(heap.liveObjects() == 0)
    }
  }

  @Test("a handle freed elsewhere in the middle of marking still deletes through the barrier")
  func handleFreedWhileMarking() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let object = mutator.leaf(16)
      let handle = UInt(bitPattern: tri_handle_make(mutator.pointer, object)!)
      let cycle = HandCycle(heap)
      cycle.begin()
      tri_blocking_begin(mutator.pointer)
      TestThread { tri_handle_free_any_thread(heap.heap, OpaquePointer(bitPattern: handle)!) }.join()
      tri_blocking_end(mutator.pointer)
      cycle.scan()
      cycle.mark()
      #expect(tri_testing_is_marked(heap.heap, object))
      cycle.finish()
      #expect(heap.liveObjects() == 0)
    }
  }

  // MARK: Ranges

  @Test("a registered range keeps what its words hold until it is removed", arguments: RootsTests.modes)
  func ranges(_ mode: Mode) throws {
    let heap = try TestHeap()
    let words = range(100)
    defer { words.deallocate() }
    try heap.attached { mutator in
      #expect(tri_root_add_range(heap.heap, words, 100, 0) == .ok)
      for index in 0..<100 { tri_root_store(mutator.pointer, words + index, mutator.leaf(16)) }
      heap.collector.gc(mode)
      #expect(heap.liveObjects() == 100)
      for index in stride(from: 0, to: 100, by: 2) { tri_root_store(mutator.pointer, words + index, nil) }
      heap.collector.gc(mode)
      #expect(heap.liveObjects() == 50)
      #expect(tri_root_remove_range(heap.heap, words) == .ok)
      heap.collector.gc(mode)
      #expect(heap.liveObjects() == 0)
      #expect(tri_root_remove_range(heap.heap, words) == .notFound)
    }
  }

  @Test("ranges may overlap, and there may be many")
  func manyRanges() throws {
    let heap = try TestHeap()
    let words = range(300)
    defer { words.deallocate() }
    try heap.attached { mutator in
      for start in 0..<290 { #expect(tri_root_add_range(heap.heap, words + start, 10, 0) == .ok) }
      tri_root_store(mutator.pointer, words + 100, mutator.leaf(16))
      for start in 0..<290 where start != 95 { #expect(tri_root_remove_range(heap.heap, words + start) == .ok) }
      #expect(heap.liveObjects() == 1)
      #expect(tri_root_remove_range(heap.heap, words + 95) == .ok)
      #expect(heap.liveObjects() == 0)
    }
  }

  @Test("a plain range is read again at the end of every cycle", arguments: RootsTests.modes)
  func plainRange(_ mode: Mode) throws {
    let heap = try TestHeap()
    let words = range(4)
    defer { words.deallocate() }
    try heap.attached { mutator in
      #expect(tri_root_add_range(heap.heap, words, 4, UInt32(TRI_ROOT_PLAIN)) == .ok)
      words[3] = mutator.leaf(16)
      heap.collector.gc(mode)
      #expect(heap.liveObjects() == 1)
      words[3] = nil
      #expect(heap.liveObjects() == 0)
      #expect(tri_root_remove_range(heap.heap, words) == .ok)
    }
  }

  @Test("a conservative range takes any address, and an end pointer for the object before it")
  func conservativeRange() throws {
    let heap = try TestHeap()
    let words = range(4)
    defer { words.deallocate() }
    try heap.attached { mutator in
      let flags = UInt32(TRI_ROOT_CONSERVATIVE) | UInt32(TRI_ROOT_PLAIN)
      #expect(tri_root_add_range(heap.heap, words, 4, flags) == .ok)
      let objects = (0..<10).map { _ in mutator.leaf(48) }.sorted()
      words[0] = objects[1] + 47
      #expect(heap.liveObjects() == 1)
      #expect(tri_testing_is_allocated(heap.heap, objects[1]))
      words[0] = nil
      #expect(heap.liveObjects() == 0)
      // The slots were handed out in a row; where the next object starts, the one before it ends.
      let again = (0..<10).map { _ in mutator.leaf(48) }.sorted()
      #expect(again[4] - again[3] == 48)
      words[1] = again[4]
      #expect(heap.liveObjects(after: .background) == 2)
      #expect(heap.liveObjects() == 2)
      #expect(tri_testing_is_allocated(heap.heap, again[3]) && tri_testing_is_allocated(heap.heap, again[4]))
      let large = mutator.leaf(65_536)
      words[1] = large + 65_536
      words[2] = Object(bitPattern: 3)
      words[3] = Object(bitPattern: UInt.max)
      #expect(heap.liveObjects() == 1)
      #expect(tri_root_remove_range(heap.heap, words) == .ok)
    }
  }

  // MARK: Callbacks

  @Test("a root callback keeps what it visits until it is removed", arguments: RootsTests.modes)
  func callbacks(_ mode: Mode) throws {
    let heap = try TestHeap()
    let words = range(3)
    defer { words.deallocate() }
    let visit: @convention(c) (OpaquePointer, UnsafeMutableRawPointer?) -> Void = { visitor, context in
      let words = context!.assumingMemoryBound(to: UnsafeMutableRawPointer?.self)
      tri_visit(visitor, words[0])
      tri_visit(visitor, words[1])
      tri_visit_conservative(visitor, words[2])
    }
    try heap.attached { mutator in
      #expect(tri_root_add_callback(heap.heap, visit, words, UInt32(TRI_ROOT_PLAIN)) == .ok)
      words[0] = mutator.leaf(16)
      words[2] = mutator.leaf(160) + 100
      heap.collector.gc(mode)
      #expect(heap.liveObjects() == 2)
      #expect(tri_root_remove_callback(heap.heap, visit, nil) == .notFound)
      #expect(tri_root_remove_callback(heap.heap, visit, words) == .ok)
      #expect(tri_root_remove_callback(heap.heap, visit, words) == .notFound)
      heap.collector.gc(mode)
      #expect(heap.liveObjects() == 0)
    }
  }

  @Test("roots that come or go while marking are scanned")
  func registeredWhileMarking() throws {
    let heap = try TestHeap()
    let words = range(2)
    defer { words.deallocate() }
    try heap.attached { mutator in
      let one = mutator.leaf(16)
      let two = mutator.leaf(16)
      words[0] = one
      words[1] = two
      let cycle = HandCycle(heap)
      cycle.begin()
      cycle.scan()
      cycle.mark()
      #expect(tri_root_add_range(heap.heap, words, 2, 0) == .ok)
      cycle.mark()
      cycle.finish()
      #expect(tri_testing_is_allocated(heap.heap, one) && tri_testing_is_allocated(heap.heap, two))
      cycle.begin()
      #expect(tri_root_remove_range(heap.heap, words) == .ok)
      cycle.scan()
      cycle.mark()
      #expect(tri_testing_is_marked(heap.heap, one))
      cycle.finish()
      #expect(heap.liveObjects() == 0)
    }
  }

  // MARK: Operand stacks

  @Test(
    "an operand stack keeps what lies below its top, pushed and popped without a barrier", arguments: RootsTests.modes)
  func operandStack(_ mode: Mode) throws {
    let heap = try TestHeap()
    let stack = range(1000)
    let top = UnsafeMutablePointer<UnsafeMutableRawPointer?>.allocate(capacity: 1)
    top.pointee = UnsafeMutableRawPointer(stack)
    defer {
      stack.deallocate()
      top.deallocate()
    }
    try heap.attached { mutator in
      #expect(tri_operand_stack_add(mutator.pointer, stack, top) == .ok)
      for index in 0..<1000 { stack[index] = mutator.leaf(16) }
      for depth in [1000, 999, 126, 1, 0, 0] {
        top.pointee = UnsafeMutableRawPointer(stack + depth)
        heap.collector.gc(mode)
        #expect(heap.liveObjects() == UInt64(depth))
      }
      #expect(tri_operand_stack_remove(mutator.pointer, stack) == .ok)
      #expect(tri_operand_stack_remove(mutator.pointer, stack) == .notFound)
    }
  }

  @Test("an operand stack added while marking makes the mutator grey again")
  func operandStackWhileMarking() throws {
    let heap = try TestHeap()
    let stack = range(4)
    let top = UnsafeMutablePointer<UnsafeMutableRawPointer?>.allocate(capacity: 1)
    top.pointee = UnsafeMutableRawPointer(stack + 4)
    defer {
      stack.deallocate()
      top.deallocate()
    }
    try heap.attached { mutator in
      let object = mutator.leaf(16)
      let cycle = HandCycle(heap)
      cycle.begin()
      cycle.scan()
      cycle.mark()
      #expect(!mutator.stackIsGrey)
      stack[2] = object
      #expect(tri_operand_stack_add(mutator.pointer, stack, top) == .ok)
      #expect(mutator.stackIsGrey)
      cycle.mark()
      #expect(tri_testing_is_marked(heap.heap, object))
      cycle.finish()
      #expect(heap.liveObjects() == 1)
      #expect(tri_operand_stack_remove(mutator.pointer, stack) == .ok)
      #expect(heap.liveObjects() == 0)
    }
  }

  // MARK: Scopes

  @Test("nested scopes keep what was put in since they began", arguments: [1, 125, 126, 127, 252, 253, 1000])
  func scopes(_ slots: Int) throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      var scopes: [tri_scope] = []
      for depth in 1...5 {
        scopes.append(tri_scope_begin(mutator.pointer))
        for _ in 0..<slots { mutator.root(mutator.leaf(16)) }
        #expect(heap.liveObjects() == UInt64(depth * slots))
      }
      for depth in (0..<5).reversed() {
        tri_scope_end(mutator.pointer, scopes.removeLast())
        #expect(heap.liveObjects(after: .background) == UInt64(depth * slots))
      }
      // The blocks are used again.
      let again = tri_scope_begin(mutator.pointer)
      for _ in 0..<slots + 1 { mutator.root(mutator.leaf(16)) }
      #expect(heap.liveObjects() == UInt64(slots + 1))
      tri_scope_end(mutator.pointer, again)
      #expect(heap.liveObjects() == 0)
    }
  }

  @Test("random scopes hold what a plain array says they hold")
  func randomScopes() throws {
    let heap = try TestHeap {
      $0.verify = 0
      $0.checkmark = 0
    }
    var random = Random(9)
    try heap.attached { mutator in
      var scopes: [(scope: tri_scope, count: Int)] = []
      var count = 0
      for step in 0..<3000 {
        switch random.below(10) {
        case 0...1:
          scopes.append((tri_scope_begin(mutator.pointer), count))
        case 2 where !scopes.isEmpty:
          let last = scopes.removeLast()
          tri_scope_end(mutator.pointer, last.scope)
          count = last.count
        default:
          for _ in 0..<random.below(60) {
            mutator.root(mutator.leaf(16))
            count += 1
          }
        }
        if step % 50 == 0 { #expect(heap.liveObjects() == UInt64(count)) }
      }
      while let last = scopes.popLast() { tri_scope_end(mutator.pointer, last.scope) }
    }
  }

  @Test("a slot of a scope may be written plainly")
  func scopeSlots() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let slot = mutator.root(nil)
      slot.pointee = mutator.leaf(16)
      #expect(heap.liveObjects() == 1)
      slot.pointee = nil
      #expect(heap.liveObjects() == 0)
    }
  }

  // MARK: Native stacks

  @inline(never)
  private func useLater(_ object: Object) -> Int { object.load(as: Int.self) }

  @Test(
    "a variable of a conservatively scanned frame keeps its object, interior pointers too", arguments: RootsTests.modes)
  func nativeStack(_ mode: Mode) throws {
    let heap = try TestHeap()
    try heap.attached(conservative: true) { mutator in
      let object = mutator.leaf(64)
      object.storeBytes(of: 4711, as: Int.self)
      let inside = mutator.leaf(64) + 63
      for _ in 0..<1000 { _ = mutator.leaf(64) }
      heap.collector.gc(mode)
      for _ in 0..<1000 { memset(mutator.leaf(64), 0xff, 64) }
      #expect(useLater(object) == 4711)
      #expect(tri_object_start(heap.heap, inside) == inside - 63)
      #expect(isZero(inside - 63, 64))
    }
  }

  @Test("the stack of a thread in a blocking region is scanned as it was when the region began")
  func blockedStack() throws {
    let heap = try TestHeap()
    let ready = Flag()
    let done = Flag()
    let thread = TestThread {
      try! heap.attached(conservative: true) { mutator in
        let object = mutator.leaf(64)
        object.storeBytes(of: 4711, as: Int.self)
        tri_blocking_begin(mutator.pointer)
        ready.set()
        _ = done.wait()
        tri_blocking_end(mutator.pointer)
        for _ in 0..<1000 { memset(mutator.leaf(64), 0xff, 64) }
        #expect(useLater(object) == 4711)
      }
    }
    #expect(ready.wait())
    for mode in RootsTests.modes { heap.collector.gc(mode) }
    #expect(heap.statistics.live_objects >= 1)
    done.set()
    thread.join()
    #expect(heap.liveObjects() == 0)
  }

  @Test("a precise thread's stack keeps nothing")
  func preciseStack() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let object = mutator.leaf(64)
      heap.collector.gc(.forceBlock)
      #expect(!tri_testing_is_allocated(heap.heap, object))
    }
  }
}
