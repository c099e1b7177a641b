// DoubleFreeCrashTests: a slot that was freed already is recognised wherever it waits by then.

import CTricolor
import CTricolor.Testing
import Glibc
import Testing

private let freedAlready = "it was freed already"

extension CrashHeap {
  /// Objects of a group that is in no window any more.
  func settled(_ bytes: Int, _ count: Int = 300) -> [Object] {
    let objects = (0..<count).map { _ in leaf(bytes) }
    for _ in 0..<200 { _ = leaf(bytes) }
    return objects
  }

  /// Another thread, attached, does something and stays, so that nothing it holds is given back.
  func beside(_ body: @escaping @Sendable (MutatorPointer) -> Void) {
    Scene.crash = self
    var thread = pthread_t()
    final class Body {
      let run: @Sendable (MutatorPointer) -> Void
      init(_ run: @escaping @Sendable (MutatorPointer) -> Void) { self.run = run }
    }
    Scene.isReady.store(false, ordering: .releasing)
    pthread_create(
      &thread, nil,
      { context in
        var other: MutatorPointer?
        _ = tri_attach(Scene.crash.heap, UInt32(TRI_ATTACH_PRECISE), &other)
        Unmanaged<Body>.fromOpaque(context!).takeRetainedValue().run(other!)
        Scene.isReady.store(true, ordering: .releasing)
        while true { sleep(1) }
      }, Unmanaged.passRetained(Body(body)).toOpaque())
    while !Scene.isReady.load(ordering: .acquiring) { usleep(100) }
  }
}

@Suite struct DoubleFreeCrashTests {
  @Test("in this thread's magazine, first or last of those it holds", arguments: [16, 128, 200, 4096], [0, 61])
  func ownMagazine(_ bytes: Int, _ index: Int) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [bytes = bytes as Int, index = index as Int] in
      let crash = CrashHeap()
      let objects = crash.settled(bytes)
      for object in objects[0..<62] { tri_free(crash.mutator, object) }
      tri_free(crash.mutator, objects[index])
    }
    expect(result, says: "free of 0x", freedAlready)
  }

  @Test("in this thread's window, where objects of another class were freed by turns", arguments: [0, 1, 2])
  func ownWindowByTurns(_ again: Int) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [again = again as Int] in
      let crash = CrashHeap()
      let objects = (0..<3).map { _ in [crash.leaf(64), crash.leaf(200)] }
      for pair in objects { for object in pair { tri_free(crash.mutator, object) } }
      tri_free(crash.mutator, objects[again][0])
    }
    expect(result, says: "free of 0x", freedAlready)
  }

  @Test("the place of a class's last free is of the span it says, if it has not been left since")
  func placeOfAnotherSpan() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      let objects = (0..<2).map { _ in [crash.leaf(64), crash.leaf(200)] }
      for object in objects[0] { tri_free(crash.mutator, object) }
      tri_testing_break(crash.heap, .freedPlace)
      tri_free(crash.mutator, objects[1][0])  // not the class that was freed last
    }
    expect(result, says: "assertion failed", "last->span ==")
  }

  @Test("in a magazine, of a group whose window was empty, and has slots again", arguments: [false, true])
  func ownGroup(_ isBeside: Bool) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [isBeside = isBeside as Bool] in
      let crash = CrashHeap()
      if isBeside { crash.beside { _ in } }
      let others = crash.settled(64)
      // From here on the class has a magazine.
      tri_free(crash.mutator, others[0])
      let window = tri_mutator_leaf_window(crash.mutator, 64, UInt32(TRI_WINDOW_ZEROED))
      var group: [Object] = []
      repeat { group.append(crash.leaf(64)) } while window.pointee.base == 0 || tri_testing_waiting_slots(window) != 0
      tri_free(crash.mutator, group[group.count - 1])
      // What a full magazine has no room for goes back into the window.
      for object in others[1..<61] { tri_free(crash.mutator, object) }
      tri_free(crash.mutator, group[group.count - 2])
      if tri_testing_waiting_slots(window) == 0 { _exit(0) }
      tri_free(crash.mutator, group[group.count - 1])
    }
    expect(result, says: "free of 0x", freedAlready)
  }

  @Test("in a magazine that a refill filled: never allocated")
  func neverAllocated() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      let objects = crash.settled(64)
      for object in objects[0..<62] { tri_free(crash.mutator, object) }
      for _ in 0..<62 { _ = crash.leaf(64) }
      let window = tri_mutator_leaf_window(crash.mutator, 64, UInt32(TRI_WINDOW_ZEROED))
      let base = window.pointee.base
      while window.pointee.base == base { _ = crash.leaf(64) }
      let next = crash.leaf(64)
      tri_free(crash.mutator, next + 64)
    }
    expect(result, says: "free of 0x", freedAlready)
  }

  @Test(
    "beside another thread, of this thread's own groups and of the other's", arguments: [16, 200, 4096], [false, true])
  func besideAnother(_ bytes: Int, _ isOthers: Bool) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [bytes = bytes as Int, isOthers = isOthers as Bool] in
      let crash = CrashHeap()
      crash.beside { other in
        let objects = (0..<300).map { _ in tri_alloc_leaf(other, bytes)! }
        Scene.object = objects[150]
      }
      let own = crash.settled(bytes)
      let object = isOthers ? Scene.object! : own[150]
      for object in own[0..<20] { tri_free(crash.mutator, object) }
      tri_free(crash.mutator, object)
      for object in own[20..<30] { tri_free(crash.mutator, object) }
      tri_free(crash.mutator, object)
    }
    expect(result, says: "free of 0x", freedAlready)
  }

  @Test("no longer in a magazine: it holds the last ones only")
  func pastMagazine() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      let objects = crash.settled(64)
      for object in objects[0..<100] { tri_free(crash.mutator, object) }
      tri_free(crash.mutator, objects[0])
    }
    expect(result, says: "free of 0x", freedAlready)
  }

  @Test("in another thread's magazine, its block with a ticket before, after, or never", arguments: [64, 4096], 0..<3)
  func othersMagazine(_ bytes: Int, _ ticket: Int) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [bytes = bytes as Int, ticket = ticket as Int] in
      let crash = CrashHeap()
      let objects = crash.settled(bytes)
      Scene.object = objects[0]
      if ticket == 0 { for object in objects[1..<9] { tri_free(crash.mutator, object) } }
      crash.beside { other in tri_free(other, Scene.object) }
      if ticket == 1 { for object in objects[1..<9] { tri_free(crash.mutator, object) } }
      tri_free(crash.mutator, Scene.object)
    }
    expect(result, says: "free of 0x", freedAlready)
  }

  @Test("in the magazine of a thread that is gone")
  func goneMagazine() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      Scene.object = crash.settled(64)[0]
      onAnotherThread {
        var other: MutatorPointer?
        _ = tri_attach(crash.heap, UInt32(TRI_ATTACH_PRECISE), &other)
        tri_free(other!, Scene.object)
        _ = tri_detach(other!)
      }
      tri_free(crash.mutator, Scene.object)
    }
    expect(result, says: "free of 0x", freedAlready)
  }

  @Test("of a layout with a destroy callback, in a magazine: it is not destroyed twice")
  func destroy() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      var description = tri_layout_description()
      description.form = .leaf
      description.destroy = { _, _, _ in
        if Scene.isReady.exchange(true, ordering: .relaxed) { _exit(0) }
      }
      var layout: OpaquePointer?
      _ = tri_layout_make(crash.heap, &description, &layout)
      let object = tri_alloc(crash.mutator, layout!, 64)!
      Scene.isReady.store(false, ordering: .relaxed)
      tri_free(crash.mutator, object)
      tri_free(crash.mutator, object)
    }
    expect(result, says: "free of 0x", freedAlready)
  }

  @Test("back in this thread's window, after its neighbours were freed and handed out")
  func ownWindow() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      let objects = (0..<64).map { _ in crash.leaf(64) }
      for object in objects[10..<20] { tri_free(crash.mutator, object) }
      _ = crash.leaf(64)  // the lowest of them
      tri_free(crash.mutator, objects[15])
    }
    expect(result, says: "free of 0x", freedAlready)
  }

  @Test("in another thread's window, where its owner put it back", arguments: [64, 200, 4096])
  func othersWindow(_ bytes: Int) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [bytes = bytes as Int] in
      let crash = CrashHeap()
      crash.beside { other in
        Scene.object = tri_alloc(other, tri_layout_leaf(Scene.crash.heap), bytes)
        _ = tri_alloc(other, tri_layout_leaf(Scene.crash.heap), bytes)
        tri_free(other, Scene.object)
      }
      tri_free(crash.mutator, Scene.object)
    }
    expect(result, says: "free of 0x", freedAlready)
  }

  @Test(
    "in a range that waits: never allocated, this thread's, another's, or left behind", arguments: 0..<3, [64, 200])
  func range(_ place: Int, _ bytes: Int) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [place = place as Int, bytes = bytes as Int] in
      let crash = CrashHeap()
      // Into the last of many whole groups.
      let allocate: @Sendable (MutatorPointer) -> Void = { mutator in
        for _ in 0..<50 * 64 { _ = tri_alloc(mutator, tri_layout_leaf(Scene.crash.heap), bytes) }
        Scene.object = tri_alloc(mutator, tri_layout_leaf(Scene.crash.heap), bytes)
        let window = tri_mutator_leaf_window(mutator, bytes, bytes > 128 ? 0 : UInt32(TRI_WINDOW_ZEROED))
        precondition(window.pointee.next < window.pointee.limit, "there is no range")
      }
      Scene.crash = crash
      switch place {
      case 0: allocate(crash.mutator)
      case 1: crash.beside(allocate)
      default:
        onAnotherThread {
          var other: MutatorPointer?
          _ = tri_attach(crash.heap, UInt32(TRI_ATTACH_PRECISE), &other)
          allocate(other!)
          _ = tri_detach(other!)
        }
      }
      let usable = tri_object_bytes(crash.heap, Scene.object)
      tri_free(crash.mutator, Scene.object)
      tri_free(crash.mutator, Scene.object + 2 * usable)
    }
    expect(result, says: "free of 0x", freedAlready)
  }

  @Test("in another thread's window, where a refill put it after the first free")
  func refilled() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      let objects = crash.settled(64, 3000)
      // Half of a span, the lowest last: the next walk of it begins there.
      for object in objects[0..<512].reversed() { tri_free(crash.mutator, object) }
      Scene.object = objects[1]
      crash.beside { other in
        // Takes the slots of the first group that have not been taken up, and keeps all but one.
        let object = tri_alloc(other, tri_layout_leaf(Scene.crash.heap), 64)
        precondition(object == Scene.object - 64, "the group was not walked again")
      }
      tri_free(crash.mutator, Scene.object)
    }
    expect(result, says: "free of 0x", freedAlready)
  }

  @Test(
    "in a window that a detached thread left behind, where it had put it back, in a block with a ticket or not",
    arguments: [false, true])
  func orphan(_ hasTicket: Bool) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [hasTicket = hasTicket as Bool] in
      let crash = CrashHeap()
      // From here on the class has a magazine.
      tri_free(crash.mutator, crash.settled(64)[0])
      onAnotherThread {
        var other: MutatorPointer?
        _ = tri_attach(crash.heap, UInt32(TRI_ATTACH_PRECISE), &other)
        let before = (0..<300).map { _ in tri_alloc(other!, tri_layout_leaf(crash.heap), 64)! }
        if hasTicket { for object in before[150..<158] { tri_free(other!, object) } }
        // The last ones are of the window that it leaves behind.
        let objects = (0..<10).map { _ in tri_alloc(other!, tri_layout_leaf(crash.heap), 64)! }
        Scene.object = objects[3]
        tri_free(other!, objects[3])
        _ = tri_detach(other!)
      }
      tri_free(crash.mutator, Scene.object)
    }
    expect(result, says: "free of 0x", freedAlready)
  }

  @Test("in a window that was left behind and adopted by another thread")
  func adopted() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      onAnotherThread {
        var other: MutatorPointer?
        _ = tri_attach(crash.heap, UInt32(TRI_ATTACH_PRECISE), &other)
        let objects = (0..<20).map { _ in tri_alloc(other!, tri_layout_leaf(crash.heap), 64)! }
        Scene.object = objects[3]
        tri_free(other!, objects[3])
        tri_free(other!, objects[0])
        _ = tri_detach(other!)
      }
      crash.beside { other in
        let object = tri_alloc(other, tri_layout_leaf(Scene.crash.heap), 64)
        precondition(object == Scene.object - 3 * 64, "the window was not adopted")
      }
      tri_free(crash.mutator, Scene.object)
    }
    expect(result, says: "free of 0x", freedAlready)
  }

  @Test("in an adopted window whose group was walked again meanwhile")
  func adoptedAndWalked() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      // The span's last group is left behind in a window, with one free slot in it.
      onAnotherThread {
        var other: MutatorPointer?
        _ = tri_attach(crash.heap, UInt32(TRI_ATTACH_PRECISE), &other)
        let objects = (0..<1024).map { _ in tri_alloc(other!, tri_layout_leaf(crash.heap), 64)! }
        Scene.objects = objects
        tri_free(other!, objects[1000])
        _ = tri_detach(other!)
      }
      // A third of the span is freed, of the last group too, and walked from the start until that group is reached.
      for object in Scene.objects[600..<1000] { tri_free(crash.mutator, object) }
      Scene.object = Scene.objects[1000]
      crash.beside { other in
        let adopted = tri_alloc(other, tri_layout_leaf(Scene.crash.heap), 64)
        precondition(adopted == Scene.object, "the window was not adopted")
        tri_free(other, Scene.object)
      }
      for _ in 0..<500 { _ = crash.leaf(64) }
      tri_free(crash.mutator, Scene.object)
    }
    expect(result, says: "free of 0x", freedAlready)
  }

  @Test("in the window of a thread whose mutator was another thread's before")
  func reusedMutator() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      for _ in 0..<5 {
        onAnotherThread {
          var other: MutatorPointer?
          _ = tri_attach(crash.heap, UInt32(TRI_ATTACH_PRECISE), &other)
          for _ in 0..<100 { _ = tri_alloc(other!, tri_layout_leaf(crash.heap), 64) }
          _ = tri_detach(other!)
        }
      }
      crash.beside { other in
        Scene.object = tri_alloc(other, tri_layout_leaf(Scene.crash.heap), 64)
        tri_free(other, Scene.object)
      }
      tri_free(crash.mutator, Scene.object)
    }
    expect(result, says: "free of 0x", freedAlready)
  }
}
