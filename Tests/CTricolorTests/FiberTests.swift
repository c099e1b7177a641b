// FiberTests: which stacks a heap takes. How they are scanned is in Tests/ModelTests/ThreadLoopTests.swift.

import CTricolor
import CTricolor.Testing
import Testing
import TricolorCore

@Suite struct FiberTests {
  private func add(_ heap: TestHeap, _ low: Int, _ high: Int) -> (status: tri_status, fiber: OpaquePointer?) {
    var fiber: OpaquePointer?
    let status = tri_fiber_add(heap.heap, Object(bitPattern: low)!, Object(bitPattern: high)!, &fiber)
    return (status, fiber)
  }

  @Test("a stack is taken once; one that overlaps another, or a thread's own, is refused and changes nothing")
  func overlapping() throws {
    let heap = try TestHeap()
    let memory = Object.allocate(byteCount: 4096, alignment: 16)
    defer { memory.deallocate() }
    let low = Int(bitPattern: memory)
    let first = add(heap, low + 1024, low + 2048)
    #expect(first.status == .ok)
    for (from, to) in [(1024, 2048), (0, 1025), (2047, 3000), (1200, 1300), (0, 4096)] {
      let other = add(heap, low + from, low + to)
      #expect(other.status == .stackOverlaps && other.fiber == nil)
    }
    let before = add(heap, low, low + 1024)
    let after = add(heap, low + 2048, low + 4096)
    #expect(before.status == .ok && after.status == .ok)
    try heap.attached { mutator in
      var local = 0
      let own = withUnsafeMutablePointer(to: &local) { Int(bitPattern: $0) }
      #expect(add(heap, own, own + 8).status == .stackOverlaps)
      #expect(tri_fiber_current(mutator.pointer) == nil)
      heap.collect(.background)
      heap.collect(.force)
    }
    for fiber in [first.fiber, before.fiber, after.fiber] {
      #expect(tri_fiber_remove(heap.heap, fiber!) == .ok)
      #expect(tri_fiber_remove(heap.heap, fiber!) == .notFound)
    }
    #expect(add(heap, low, low + 4096).status == .ok, "what was removed is free again")
  }

  @Test("a fiber is refused when the system refuses memory, and its stack is not taken")
  func refused() async {
    await #expect(processExitsWith: .success) {
      let heap = try TestHeap()
      let memory = Object.allocate(byteCount: 1 << 20, alignment: 16)
      var taken = 0
      var refused = 0
      // Until the piece of metadata that is mapped already is used up.
      for index in 0..<2000 where refused == 0 {
        tri_testing_refuse_memory(0, 1)
        var fiber: OpaquePointer?
        let status = tri_fiber_add(heap.heap, memory + index * 512, memory + (index + 1) * 512, &fiber)
        tri_testing_refuse_memory(0, 0)
        if status == .ok { taken += 1 } else { refused += status == .outOfMemory ? 1 : 100 }
      }
      #expect(refused == 1)
      var fiber: OpaquePointer?
      #expect(tri_fiber_add(heap.heap, memory + taken * 512, memory + (taken + 1) * 512, &fiber) == .ok)
    }
  }
}
