// HandCycle: the steps of Collector.gc(), one at a time on this thread, so that a test can act between any two of them.

import CTricolor

struct HandCycle {
  let heap: OpaquePointer

  init(_ heap: TestHeap) { self.heap = heap.heap }

  // MARK: A background cycle: begin, scan, mark, finish

  /// Phase mark, the barrier is on, nothing has been scanned. A minor cycle, if it counts as triggered and can be one.
  func begin(triggered: Bool = false) {
    tri_cycle_begin(heap, .background)
    tri_cycle_finish_sweep(heap)
    let isMinor = tri_cycle_choose_generation(heap, triggered)
    tri_cycle_run_hooks(heap, .background, false)
    if !isMinor { tri_cycle_clear_pools(heap, false) }
    tri_cycle_set_phase(heap, .mark)
    tri_cycle_enable_barrier(heap)
  }

  /// Every stack and every root is grey or black.
  func scan() { tri_cycle_scan_roots(heap) }

  /// Nothing is grey.
  func mark() { tri_cycle_mark_concurrently(heap) }

  /// The world is stopped in phase markTermination and everything is marked.
  func terminate() {
    var attempt: UInt32 = 0
    tri_cycle_stop_world(heap)
    while !tri_cycle_try_finish_marking(heap, attempt) {
      tri_cycle_start_world(heap)
      tri_cycle_mark_concurrently(heap)
      tri_cycle_stop_world(heap)
      attempt += 1
    }
    tri_cycle_set_phase(heap, .markTermination)
  }

  /// From markTermination to the world running in phase off, nothing swept yet.
  func leaveTermination() {
    tri_cycle_assert_marking_complete(heap)
    tri_cycle_checkmark(heap)
    tri_cycle_verify(heap)
    tri_cycle_set_phase(heap, .off)
    tri_cycle_begin_sweep(heap)
    tri_cycle_start_world(heap)
  }

  /// From marking to the end, everything swept.
  func finish() {
    terminate()
    leaveTermination()
    tri_cycle_sweep_all(heap)
    tri_cycle_end(heap)
  }

  // MARK: A forced cycle

  /// The world is stopped in phase markTermination and everything is marked.
  func forceToTermination() {
    tri_cycle_begin(heap, .force)
    tri_cycle_stop_world(heap)
    tri_cycle_finish_sweep(heap)
    _ = tri_cycle_choose_generation(heap, false)
    tri_cycle_clear_pools(heap, true)
    tri_cycle_reset_scan_state(heap)
    tri_cycle_set_phase(heap, .markTermination)
    tri_cycle_mark_stopped(heap)
  }

  /// A forced cycle that leaves the whole sweep to whoever comes next.
  func forceWithoutSweeping() {
    forceToTermination()
    leaveTermination()
    tri_cycle_end(heap)
  }
}
