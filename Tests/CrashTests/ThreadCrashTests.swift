// ThreadCrashTests: a mutator is used only by the thread that attached it, outside blocking regions; scopes end in
// order.

import CTricolor
import CTricolor.Testing
import Glibc
import Testing

@Suite struct ThreadCrashTests {
  /// What an embedder can do with a mutator, by name.
  private static let uses = [
    "allocating", "allocating large", "freeing", "polling", "beginning a blocking region", "beginning a handle scope",
    "making a handle", "adding an operand stack", "putting into a pool", "allocating size 0",
  ]

  static func use(_ what: String, _ crash: CrashHeap, _ object: Object) {
    let mutator = crash.mutator
    switch what {
    // Beyond what the loaded window holds.
    case "allocating": for _ in 0..<200 { _ = tri_alloc(mutator, crash.leafLayout, 64) }
    case "allocating large": _ = tri_alloc(mutator, crash.leafLayout, 100_000)
    case "allocating size 0": _ = tri_alloc(mutator, crash.leafLayout, 0)
    case "freeing": tri_free(mutator, object)
    case "polling": tri_safepoint_slow(mutator)
    case "beginning a blocking region": tri_blocking_begin(mutator)
    case "beginning a handle scope": _ = tri_scope_begin(mutator)
    case "making a handle": _ = tri_handle_make(mutator, object)
    case "adding an operand stack":
      let words = UnsafeMutablePointer<UnsafeMutableRawPointer?>.allocate(capacity: 4)
      words.initialize(repeating: nil, count: 4)
      _ = tri_operand_stack_add(mutator, words, words)
    case "putting into a pool":
      var pool: OpaquePointer?
      _ = tri_pool_make(crash.heap, 0, &pool)
      tri_pool_put(mutator, pool!, object)
    default: fatalError(what)
    }
  }

  @Test("use of another thread's mutator", arguments: ThreadCrashTests.uses)
  func otherThread(_ what: String) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [what = what as String] in
      let crash = CrashHeap()
      let object = UInt(bitPattern: crash.leaf())
      onAnotherThread { ThreadCrashTests.use(what, crash, Object(bitPattern: object)!) }
    }
    let verb = what.split(separator: " ").first.map(String.init)!
    expect(result, says: verb, "belongs to thread", "a mutator is used only by the thread that attached it")
  }

  @Test("use inside a blocking region", arguments: ThreadCrashTests.uses)
  func blocking(_ what: String) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [what = what as String] in
      let crash = CrashHeap()
      let object = crash.leaf()
      tri_blocking_begin(crash.mutator)
      ThreadCrashTests.use(what, crash, object)
    }
    let verb = what.split(separator: " ").first.map(String.init)!
    expect(result, says: verb, "inside a blocking region")
  }

  @Test("storing through another thread's mutator while marking")
  func storing() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      let object = UInt(bitPattern: crash.node())
      crash.beginMarking()
      onAnotherThread {
        let object = Object(bitPattern: object)!
        tri_store(crash.mutator, object, object, object)
      }
    }
    expect(result, says: "storing with a mutator that belongs to thread")
  }

  @Test("detaching another thread's mutator")
  func detaching() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      onAnotherThread { _ = tri_detach(crash.mutator) }
    }
    expect(result, says: "detaching another thread's mutator")
  }

  @Test("ending a blocking region that was not begun, or another thread's")
  func blockingEnd() async {
    let unbegun = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      tri_blocking_end(CrashHeap().mutator)
    }
    expect(unbegun, says: "ending a blocking region that was not begun")
    let foreign = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      tri_blocking_begin(crash.mutator)
      onAnotherThread { tri_blocking_end(crash.mutator) }
    }
    expect(foreign, says: "ending a blocking region of another thread's mutator")
  }

  @Test("blocking regions do not nest")
  func nestedBlocking() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      tri_blocking_begin(crash.mutator)
      tri_blocking_begin(crash.mutator)
    }
    expect(result, says: "beginning a blocking region inside a blocking region")
  }

  // MARK: Stops

  @Test("a stop that did not look at every mutator")
  func uncounted() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      tri_testing_break(crash.heap, .mutatorCount)
      tri_cycle_begin(crash.heap, .background)
      tri_cycle_stop_world(crash.heap)
    }
    expect(result, says: "the world counts as stopped with 0 mutators standing still of 2")
  }

  @Test("a mutator that runs again with the barrier of a cycle that is over", .enabled(if: tri_testing_has_steps()))
  func missedEnd() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      tri_testing_break(crash.heap, .missedEnd)
      tri_blocking_begin(crash.mutator)
      tri_blocking_end(crash.mutator)
    }
    expect(result, says: "runs again and missed the end of marking")
  }

  // MARK: Scopes

  @Test("a slot outside any scope")
  func slotOutside() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      _ = tri_scope_slot(crash.mutator, crash.leaf())
    }
    expect(result, says: "a handle scope slot outside any scope")
  }

  @Test("ending a scope that was not begun, or twice")
  func endTwice() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      let scope = tri_scope_begin(crash.mutator)
      tri_scope_end(crash.mutator, scope)
      tri_scope_end(crash.mutator, scope)
    }
    expect(result, says: "a handle scope ends out of order")
  }

  @Test("ending scopes out of order", arguments: [true, false], [0, 1, 200])
  func outOfOrder(_ slotBetween: Bool, _ slotsInside: Int) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [slotBetween = slotBetween as Bool, slotsInside = slotsInside as Int] in
      let crash = CrashHeap()
      let outer = tri_scope_begin(crash.mutator)
      if slotBetween { _ = tri_scope_slot(crash.mutator, nil) }
      let inner = tri_scope_begin(crash.mutator)
      for _ in 0..<slotsInside { _ = tri_scope_slot(crash.mutator, nil) }
      tri_scope_end(crash.mutator, outer)
      tri_scope_end(crash.mutator, inner)
    }
    expect(result, says: "a handle scope ends out of order: scopes end in the opposite order they began")
  }

  @Test("destroying a heap with mutators attached is refused, not fatal")
  func closeAttached() async {
    await #expect(processExitsWith: .success) {
      let crash = CrashHeap()
      #expect(crash.collector.close() == .mutatorsAttached)
      _ = crash.leaf()
      crash.collector.gc(.forceBlock)
      #expect(tri_detach(crash.mutator) == .ok)
      #expect(crash.collector.close() == .ok)
    }
  }

  @Test("a type of another heap")
  func foreignType() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      let other = CrashHeap()
      var description = tri_layout_description()
      var layout: OpaquePointer?
      var type = tri_type()
      description.destroy = { _, _, _ in }
      _ = tri_layout_make(other.heap, &description, &layout)
      _ = tri_type_make(other.heap, layout!, 64, &type)
      _ = tri_new(crash.mutator, type, 64)
    }
    expect(result, says: "allocating a type that was not made for this heap")
  }
}
