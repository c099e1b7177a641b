// FreeCrashTests: freeing what is not the start of a live object of this heap, or freeing it twice, stops the process.

import CTricolor
import CTricolor.Testing
import Glibc
import Testing

@Suite struct FreeCrashTests {
  @Test("free of an address that no heap knows")
  func foreign() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      _ = crash.leaf()
      let stranger = malloc(64)!
      tri_free(crash.mutator, stranger)
    }
    expect(result, says: "free of 0x", "it is not an address of this heap's objects")
  }

  @Test("free of an object of another heap")
  func otherHeap() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      let other = CrashHeap()
      _ = crash.leaf()
      tri_free(crash.mutator, other.leaf())
    }
    expect(result, says: "it is not an address of this heap's objects")
  }

  @Test("free of an address in the heap where nothing lives")
  func nothingThere() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      _ = crash.leaf()
      tri_free(crash.mutator, Object(bitPattern: crash.mutator.pointee.heap_start + 60 << 20)!)
    }
    expect(result, says: "it is not an address of this heap's objects")
  }

  @Test("free of an address behind what the heap has committed")
  func beyond() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      _ = crash.leaf()
      tri_free(crash.mutator, Object(bitPattern: crash.mutator.pointee.heap_start + 200 << 20)!)
    }
    expect(result, says: "it is not an address of this heap's objects")
  }

  @Test("free of an interior address, small and large", arguments: [16, 48, 1024, 32_768, 100_000], [1, 8, 15])
  func interior(_ bytes: Int, _ offset: Int) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [bytes = bytes as Int, offset = offset as Int] in
      let crash = CrashHeap()
      tri_free(crash.mutator, crash.leaf(bytes) + offset)
    }
    expect(result, says: "free of 0x", "it is not the start of an object")
  }

  @Test("free of a slot that was never handed out")
  func neverAllocated() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      // Two groups further on.
      tri_free(crash.mutator, crash.leaf(64) + 64 * 64 * 2)
    }
    expect(result, says: "it was freed already, or never allocated")
  }

  @Test("free of a slot that waits in this thread's window")
  func waiting() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      tri_free(crash.mutator, crash.leaf(64) + 64)
    }
    expect(result, says: "free of 0x", "it was freed already")
  }

  @Test("free of a slot that waits in another thread's window")
  func waitingElsewhere() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      let next = UInt(bitPattern: crash.leaf(64)) + 64
      onAnotherThread {
        var other: MutatorPointer?
        _ = tri_attach(crash.heap, UInt32(TRI_ATTACH_PRECISE), &other)
        tri_free(other!, Object(bitPattern: next))
      }
    }
    expect(result, says: "free of 0x", "it was freed already")
  }

  @Test("free of a slot that waits in the window of a thread that is gone")
  func waitingOrphan() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      onAnotherThread {
        var other: MutatorPointer?
        _ = tri_attach(crash.heap, UInt32(TRI_ATTACH_PRECISE), &other)
        Scene.object = tri_alloc(other!, crash.leafLayout, 64)
        _ = tri_detach(other!)
      }
      tri_free(crash.mutator, Scene.object + 64)
    }
    expect(result, says: "free of 0x", "it was freed already")
  }

  @Test("double free of a slot of the loaded window", arguments: [16, 128, 200, 32_768])
  func doubleOwnWindow(_ bytes: Int) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [bytes = bytes as Int] in
      let crash = CrashHeap()
      let object = crash.leaf(bytes)
      tri_free(crash.mutator, object)
      tri_free(crash.mutator, object)
    }
    expect(result, says: "free of 0x", "it was freed already")
  }

  @Test("double free of a slot of a group that is no longer loaded", arguments: [16, 200, 8000])
  func doubleOtherWindow(_ bytes: Int) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [bytes = bytes as Int] in
      let crash = CrashHeap()
      let object = crash.leaf(bytes)
      for _ in 0..<500 { _ = crash.leaf(bytes) }
      tri_free(crash.mutator, object)
      tri_free(crash.mutator, object)
    }
    expect(result, says: "free of 0x", "it was freed already")
  }

  @Test("double free of a large object")
  func doubleLarge() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      let object = crash.leaf(100_000)
      tri_free(crash.mutator, object)
      tri_free(crash.mutator, object)
    }
    expect(result, says: "free of 0x")
  }

  @Test("double free, the second from another thread", arguments: [64, 5000, 100_000])
  func doubleElsewhere(_ bytes: Int) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [bytes = bytes as Int] in
      let crash = CrashHeap()
      let object = crash.leaf(bytes)
      let freed = UInt(bitPattern: object)
      tri_free(crash.mutator, object)
      onAnotherThread {
        var other: MutatorPointer?
        _ = tri_attach(crash.heap, UInt32(TRI_ATTACH_PRECISE), &other)
        tri_free(other!, Object(bitPattern: freed))
      }
    }
    expect(result, says: "free of 0x")
  }

  @Test("double free, the first from another thread", arguments: [64, 5000])
  func doubleFirstElsewhere(_ bytes: Int) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [bytes = bytes as Int] in
      let crash = CrashHeap()
      let object = crash.leaf(bytes)
      let freed = UInt(bitPattern: object)
      onAnotherThread {
        var other: MutatorPointer?
        _ = tri_attach(crash.heap, UInt32(TRI_ATTACH_PRECISE), &other)
        tri_free(other!, Object(bitPattern: freed))
        _ = tri_detach(other!)
      }
      tri_free(crash.mutator, object)
    }
    expect(result, says: "free of 0x", "it was freed already")
  }

  @Test("double free while marking", arguments: [64, 100_000])
  func doubleWhileMarking(_ bytes: Int) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [bytes = bytes as Int] in
      let crash = CrashHeap()
      let object = crash.leaf(bytes)
      crash.beginMarking()
      tri_free(crash.mutator, object)
      tri_free(crash.mutator, object)
    }
    expect(result, says: "free of 0x", "it was freed already")
  }

  @Test("free of an object that a cycle has collected", arguments: [64, 100_000])
  func collected(_ bytes: Int) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [bytes = bytes as Int] in
      let crash = CrashHeap()
      for _ in 0..<300 { _ = crash.leaf(64) }
      let object = crash.leaf(bytes)
      for _ in 0..<300 { _ = crash.leaf(64) }
      crash.collector.gc(.forceBlock)
      tri_free(crash.mutator, object)
    }
    expect(result, says: "free of 0x")
  }

  @Test("free in mark termination", arguments: [64, 100_000])
  func inTermination(_ bytes: Int) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [bytes = bytes as Int] in
      let crash = CrashHeap()
      let object = crash.leaf(bytes)
      crash.terminate()
      tri_free(crash.mutator, object)
    }
    expect(result, says: "free of 0x", "in phase markTermination")
  }

  @Test("the size or the layout of what is no object")
  func unknownObject() async {
    let size = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      _ = tri_object_bytes(crash.heap, crash.leaf() + 8)
    }
    expect(size, says: "is not the start of a live object of this heap")
    let layout = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      _ = tri_object_layout(crash.heap, malloc(16)!)
    }
    expect(layout, says: "is not the start of a live object of this heap")
  }
}
