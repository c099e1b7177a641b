// SharingTests: what different threads write lies in different cache lines.

import CTricolor
import CTricolor.Testing
import Testing

// Of one test, in a process of its own.
private let looks = Counter()
nonisolated(unsafe) private var othersObjects: [Object] = []

@Suite struct SharingTests {
  private static let lineBytes: UInt = 64
  private static let pageBytes = 4096
  private static let sizeClasses = Array(0..<UInt32(TRI_SIZE_CLASS_COUNT))

  private func lines(_ object: Object, _ bytes: Int) -> ClosedRange<UInt> {
    address(object) / SharingTests.lineBytes...(address(object) + UInt(bytes) - 1) / SharingTests.lineBytes
  }

  /// Runs the body while another thread is attached, and has run its own part.
  private func besideAnother(
    _ heap: TestHeap, _ other: @escaping @Sendable (TestMutator) -> Void, _ body: () throws -> Void
  ) throws {
    let ready = Flag()
    let done = Flag()
    let thread = TestThread {
      try! heap.attached { mutator in
        other(mutator)
        ready.set()
        if !done.wait() { Issue.record("the other thread was left alone") }
      }
    }
    defer {
      done.set()
      thread.join()
    }
    #expect(ready.wait())
    try body()
  }

  @Test("a mutator is pages of its own: its barrier state, its buffers and its windows share no line with another's")
  func mutators() throws {
    let heap = try TestHeap()
    // The windows of every size of plain leaves come first; more follow.
    let leafWindows = 2 * (1 + Int(TRI_SIZE_CLASS_COUNT)) * MemoryLayout<tri_window>.stride
    let bytes = UInt(Int(TRI_MUTATOR_WINDOWS_OFFSET) + leafWindows)
    #expect(Int(TRI_MUTATOR_WINDOWS_OFFSET) % SharingTests.pageBytes == 0)
    #expect(MemoryLayout<tri_mutator>.size <= Int(SharingTests.lineBytes))
    // A window is one line: never one and a half.
    #expect(MemoryLayout<tri_window>.stride == Int(SharingTests.lineBytes))
    let other = Counter()
    try heap.attached { mutator in
      try besideAnother(heap, { other.add(Int(address(Object($0.pointer)))) }) {
        let own = address(Object(mutator.pointer))
        let its = UInt(other.count)
        #expect(own % UInt(SharingTests.pageBytes) == 0)
        #expect(its % UInt(SharingTests.pageBytes) == 0)
        #expect(own < its ? its - own >= bytes : own - its >= bytes)
      }
    }
  }

  @Test(
    "a free looks at another thread's window only while slots of that group may wait there",
    .enabled(if: tri_testing_has_steps()))
  func looksAtLoadedWindows() async {
    await #expect(processExitsWith: .success) {
      let heap = try TestHeap()
      try heap.attached { mutator in
        try SharingTests().besideAnother(
          heap, { other in othersObjects = (0..<300).map { _ in other.leaf(64) } }
        ) {
          tri_testing_set_step_hook { if $0 == .look { looks.add() } }
          // Groups that its window has left, and the one that it holds.
          for object in othersObjects[0..<128] { tri_free(mutator.pointer, object) }
          #expect(looks.count == 0)
          tri_free(mutator.pointer, othersObjects[299])
          #expect(looks.count > 0)
          tri_testing_set_step_hook(nil)
        }
      }
    }
  }

  @Test("new objects of two threads share no line while the heap grows", arguments: sizeClasses)
  func freshObjects(_ sizeClass: UInt32) throws {
    let heap = try TestHeap()
    let bytes = Int(tri_size_class_bytes(sizeClass))
    let count = bytes <= 1024 ? 300 : 80
    let others = LineSet()
    try heap.attached { mutator in
      var own = Set<UInt>()
      // Before the other takes its first window, and after.
      own.formUnion(lines(mutator.leaf(bytes), bytes))
      try besideAnother(heap, { other in for _ in 0..<count { others.add(lines(other.leaf(bytes), bytes)) } }) {
        for _ in 0..<count { own.formUnion(lines(mutator.leaf(bytes), bytes)) }
        #expect(own.isDisjoint(with: others.lines))
      }
    }
  }
}

/// Filled by one thread, then read by another that waited for it.
private final class LineSet: @unchecked Sendable {
  private(set) var lines = Set<UInt>()
  func add(_ range: ClosedRange<UInt>) { lines.formUnion(range) }
}
