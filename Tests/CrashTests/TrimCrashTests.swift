// TrimCrashTests: where a trim must not be called, and what its own checks find.

import CTricolor
import CTricolor.Testing
import Glibc
import Testing

@Suite struct TrimCrashTests {
  @Test("from a hook", arguments: [UInt32(0), UInt32(TRI_HOOK_NEEDS_STOP)])
  func hook(_ flags: UInt32) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [flags = flags as UInt32] in
      let crash = CrashHeap()
      Scene.crash = crash
      _ = tri_hook_add(crash.heap, { _, _ in tri_trim(Scene.crash.heap) }, nil, flags)
      crash.collector.gc(.background)
    }
    expect(result, says: "tri_trim: called by the thread that runs a cycle of this heap")
  }

  @Test("from a root function")
  func rootFunction() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      Scene.crash = crash
      _ = tri_root_add_callback(crash.heap, { _, _ in tri_trim(Scene.crash.heap) }, nil, 0)
      crash.collector.gc(.forceBlock)
    }
    expect(result, says: "tri_trim: called by the thread that runs a cycle of this heap")
  }

  /// A heap with a dead object whose destroy callback trims, found dead and not swept.
  static func trimsWhenDestroyed() -> CrashHeap {
    let crash = CrashHeap()
    Scene.crash = crash
    var description = tri_layout_description()
    description.destroy = { _, _, _ in tri_trim(Scene.crash.heap) }
    var layout: OpaquePointer?
    precondition(tri_layout_make(crash.heap, &description, &layout) == .ok)
    _ = tri_alloc(crash.mutator, layout!, 64)
    return crash
  }

  @Test("empty spans are dropped only when nothing is left to sweep")
  func sweeping() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      _ = crash.leaf()
      crash.terminate(forced: true)
      tri_cycle_set_phase(crash.heap, .off)
      tri_cycle_begin_sweep(crash.heap)
      tri_testing_break(crash.heap, .dropWhileSweeping)
    }
    expect(result, says: "empty spans are dropped while a sweep is running")
  }

  @Test("from a destroy callback of a sweep, whoever sweeps", arguments: ["cycle", "trim", "allocation"])
  func destroy(_ sweeper: String) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [sweeper = sweeper as String] in
      let crash = TrimCrashTests.trimsWhenDestroyed()
      if sweeper == "cycle" { crash.collector.gc(.forceBlock) }
      crash.terminate(forced: true)
      tri_cycle_set_phase(crash.heap, .off)
      tri_cycle_begin_sweep(crash.heap)
      tri_cycle_start_world(crash.heap)
      tri_cycle_end(crash.heap)
      if sweeper == "trim" { tri_trim(crash.heap) }
      for _ in 0..<10_000 { _ = crash.leaf(1000) }
    }
    expect(result, says: "tri_trim: called from a destroy callback of this heap")
  }

  @Test("pages that count as held, and nobody holds")
  func heldCount() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      for _ in 0..<10 { _ = crash.leaf(100_000) }
      crash.collector.gc(.forceBlock)
      tri_testing_break(crash.heap, .heldCount)
      tri_trim(crash.heap)
    }
    expect(result, says: "scavenging chunk", "while pages of another one are held")
  }

  @Test("the structure checks count held pages")
  func heldCountVerified() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      VerifyCrashTests.breakAndVerify(.heldCount)
    }
    expect(result, says: "held !=", "committed")
  }

  @Test("pages that were freed while they were on their way")
  func heldFreed() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      Scene.crash = crash
      for _ in 0..<10 { _ = crash.leaf(100_000) }
      crash.collector.gc(.forceBlock)
      tri_testing_set_step_hook { point in
        if point == .scavenge { tri_testing_break(Scene.crash.heap, .heldFreed) }
      }
      tri_trim(crash.heap)
    }
    expect(result, says: "pages held by the scavenger were freed")
  }
}
