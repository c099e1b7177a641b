// VerifyCrashTests: every invariant that can be broken on purpose is found by the structure checks.

import CTricolor
import CTricolor.Testing
import Glibc
import Testing

@Suite struct VerifyCrashTests {
  /// Breaks something in a heap with objects of several kinds, in phase off with nothing to sweep.
  static func breakAndVerify(_ what: tri_break) {
    let crash = CrashHeap()
    _ = tri_scope_begin(crash.mutator)
    for bytes in [16, 200, 5000, 100_000] { _ = tri_scope_slot(crash.mutator, crash.leaf(bytes)) }
    crash.collector.gc(.forceBlock)
    tri_testing_verify(crash.heap)
    tri_testing_break(crash.heap, what)
    tri_testing_verify(crash.heap)
  }

  @Test("an unbroken heap passes")
  func unbroken() async {
    await #expect(processExitsWith: .success) {
      let crash = CrashHeap { $0.verify = 1 }
      _ = tri_scope_begin(crash.mutator)
      for bytes in [16, 200, 5000, 100_000] {
        for _ in 0..<200 { _ = crash.leaf(bytes) }
        _ = tri_scope_slot(crash.mutator, crash.leaf(bytes))
        tri_testing_verify(crash.heap)
      }
      for mode in [tri_mode.background, .force, .forceBlock] {
        crash.collector.gc(mode)
        tri_testing_verify(crash.heap)
      }
    }
  }

  @Test("a mark bit where nothing is allocated")
  func markOutside() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      VerifyCrashTests.breakAndVerify(.markOutside)
    }
    expect(result, says: "free page", "has bits set")
  }

  @Test("a list of spans that leads around in a circle")
  func spanList() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      VerifyCrashTests.breakAndVerify(.spanList)
    }
    expect(result, says: "a list of spans with free slots leads around in a circle")
  }

  @Test("a span on a list that it does not know of")
  func spanListed() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      VerifyCrashTests.breakAndVerify(.spanListed)
    }
    expect(result, says: "is on a list of its spans with free slots, and says otherwise")
  }

  @Test("a page that leads to the wrong span")
  func pageMap() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      VerifyCrashTests.breakAndVerify(.pageMap)
    }
    expect(result, says: "page", "leads to span")
  }

  @Test("a block whose ticket says that its span is lent, and it is not")
  func ticket() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      VerifyCrashTests.breakAndVerify(.ticket)
    }
    expect(result, says: "has a ticket, and its span", "allows for none")
  }

  @Test("a block with a ticket, in which something was freed by its bit")
  func ticketFreed() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      VerifyCrashTests.breakAndVerify(.ticketFreed)
    }
    expect(result, says: "has a slot whose F bit is set, and its ticket is not watched")
  }

  @Test("a group that has an owner before anybody was handed it")
  func groupOwner() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      _ = crash.leaf(16)
      tri_testing_break(crash.heap, .groupOwner)
      for _ in 0..<10_000 { _ = crash.leaf(16) }
    }
    expect(result, says: "was handed to nobody since its sweep and belongs to mutator 1")
  }

  @Test("a span that counts more objects than it has slots")
  func liveCount() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      VerifyCrashTests.breakAndVerify(.liveCount)
    }
    expect(result, says: "slots of", "are alive")
  }

  @Test("a grey chunk outside of marking")
  func leftoverGrey() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      VerifyCrashTests.breakAndVerify(.leftoverGrey)
    }
    expect(result, says: "grey")
  }

  @Test("a barrier word recorded outside of marking")
  func barrierBuffer() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      VerifyCrashTests.breakAndVerify(.barrierBuffer)
    }
    expect(result, says: "barrier")
  }

  @Test("a black object that refers to a white one")
  func blackToWhite() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      _ = tri_scope_begin(crash.mutator)
      let object = crash.node()
      let child = crash.node()
      _ = tri_scope_slot(crash.mutator, object)
      tri_store(crash.mutator, object, object, child)
      crash.terminate()
      tri_testing_unmark(crash.heap, child)
      tri_cycle_verify(crash.heap)
    }
    expect(result, says: "black object 0x", "refers to white object 0x")
  }

  /// A minor cycle after a full one, with an old object in a span that nobody touched.
  static func breakBeforeMinorCycle(_ breaking: (CrashHeap, UnsafeMutableRawPointer) -> Void) {
    let crash = CrashHeap { $0.generations = .always }
    let scope = tri_scope_begin(crash.mutator)
    let object = crash.leaf(64)
    _ = tri_scope_slot(crash.mutator, object)
    crash.collector.gc(.background)
    // From here on nothing leads to it, so that nothing would mark it again.
    tri_scope_end(crash.mutator, scope)
    breaking(crash, object)
    crash.collector.gc(.background, triggered: true)
  }

  @Test("a minor cycle that loses an old object")
  func oldObjectLost() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      VerifyCrashTests.breakBeforeMinorCycle { crash, object in tri_testing_unmark(crash.heap, object) }
    }
    expect(result, says: "a minor cycle lost an old object of span")
  }

  @Test("a span that counts other objects than a minor cycle leaves in it")
  func unchangedCount() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      VerifyCrashTests.breakBeforeMinorCycle { crash, _ in tri_testing_break(crash.heap, .liveCount) }
    }
    expect(result, says: "survived a minor cycle")
  }

  @Test("verification while the world runs")
  func worldRunning() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      tri_cycle_verify(CrashHeap().heap)
    }
    expect(result, says: "the world must be stopped by this thread, and is not")
  }
}
