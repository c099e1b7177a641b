// ResizeCrashTests: resizing what is not a live object, or at a moment when nothing may grow, stops the process.

import CTricolor
import CTricolor.Testing
import Glibc
import Testing

@Suite struct ResizeCrashTests {
  @Test("an address that no heap knows, or none at all", arguments: [false, true])
  func foreign(_ isNull: Bool) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [isNull = isNull as Bool] in
      let crash = CrashHeap()
      _ = crash.leaf()
      let stranger = isNull ? unsafeBitCast(Object?.none, to: Object.self) : malloc(64)!
      _ = tri_resize(crash.mutator, stranger, 64)
    }
    expect(result, says: "resizing ", "which is not the start of a live object of this heap")
  }

  @Test("an object of another heap", arguments: [64, 100_000])
  func otherHeap(_ bytes: Int) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [bytes = bytes as Int] in
      let crash = CrashHeap()
      let other = CrashHeap()
      _ = tri_resize(crash.mutator, other.leaf(bytes), bytes)
    }
    expect(result, says: "resizing 0x", "which is not the start of a live object of this heap")
  }

  @Test("an interior address, small and large", arguments: [16, 48, 32_768, 100_000], [1, 8])
  func interior(_ bytes: Int, _ offset: Int) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [bytes = bytes as Int, offset = offset as Int] in
      let crash = CrashHeap()
      _ = tri_resize(crash.mutator, crash.leaf(bytes) + offset, bytes)
    }
    expect(result, says: "resizing 0x", "which is not the start of a live object of this heap")
  }

  @Test("an object that was freed: large, or small and in a magazine", arguments: [64, 100_000])
  func freed(_ bytes: Int) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [bytes = bytes as Int] in
      let crash = CrashHeap()
      let object = crash.leaf(bytes)
      for _ in 0..<200 { _ = crash.leaf(64) }
      tri_free(crash.mutator, object)
      _ = tri_resize(crash.mutator, object, bytes)
    }
    expect(result, says: "resizing 0x", "which is not the start of a live object of this heap")
  }

  @Test("another thread's mutator")
  func otherThread() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      Scene.object = crash.leaf(100_000)
      onAnotherThread { _ = tri_resize(crash.mutator, Scene.object, 200_000) }
    }
    expect(result, says: "resizing with a mutator that belongs to thread")
  }

  @Test("inside a blocking region")
  func blocking() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      let object = crash.leaf(100_000)
      tri_blocking_begin(crash.mutator)
      _ = tri_resize(crash.mutator, object, 200_000)
    }
    expect(result, says: "resizing inside a blocking region")
  }

  @Test("mark termination", arguments: [64, 100_000])
  func inTermination(_ bytes: Int) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [bytes = bytes as Int] in
      let crash = CrashHeap()
      let object = crash.leaf(bytes)
      crash.terminate()
      _ = tri_resize(crash.mutator, object, bytes + 1)
    }
    expect(result, says: "resizing 0x", "in phase markTermination")
  }
}
