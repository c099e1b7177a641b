// Collector: one heap's garbage collector. gc() is the table of contents of a cycle; the loops are in C.
//
// Invariants  everything here between tri_cycle_begin and tri_cycle_end happens under the cycle lock: one thread.
//             The pacer is used under the pacing lock.
//             Between stopping and starting the world nothing is allocated and no lock of a mutator is taken.
// Callers     Heap.gc, tri_collect, the collector thread, an allocating thread that crosses the trigger.
// Not here    how far to let the heap grow (Pacer), which phase moves are legal (Phase).

public import CTricolor

public typealias Mode = tri_mode

public final class Collector: @unchecked Sendable {
  /// The C half. Valid until `close()` succeeds.
  public let heap: OpaquePointer
  private let options: tri_options
  private var pacer: Pacer

  private init(heap: OpaquePointer, options: tri_options) {
    self.heap = heap
    self.options = options
    self.pacer = Pacer(options: options)
  }

  /// Makes a heap and its collector. The C half keeps the collector alive until `close()`.
  public static func open(_ given: UnsafePointer<tri_options>?, status: inout tri_status) -> Collector? {
    var options = tri_options()
    status = tri_options_resolve(given, &options)
    if status != .ok { return nil }
    // The front's context is the collector, which needs the heap first: the box closes the circle.
    let box = CollectorBox()
    var front = tri_front(
      context: Unmanaged.passRetained(box).toOpaque(), run_cycle: runCycle, sweep_finished: sweepFinished,
      memory_given_back: memoryGivenBack, limits_changed: limitsChanged, abandon_cycle: abandonCycle)
    var heap: OpaquePointer?
    status = tri_heap_open(&options, &front, &heap)
    guard status == .ok, let heap else {
      Unmanaged.passUnretained(box).release()
      return nil
    }
    let collector = Collector(heap: heap, options: options)
    box.collector = collector
    collector.pace()
    return collector
  }

  /// Ends the heap. On any status but `.ok` nothing was changed.
  public func close() -> tri_status {
    let box = Unmanaged<CollectorBox>.fromOpaque(tri_heap_front_context(heap)!)
    let status = tri_heap_close(heap)
    if status == .ok { box.release() }
    return status
  }

  /// The collector of a heap made by `open`.
  public static func of(_ heap: OpaquePointer) -> Collector {
    Unmanaged<CollectorBox>.fromOpaque(tri_heap_front_context(heap)!).takeUnretainedValue().collector!
  }

  // MARK: A cycle

  /// Runs one cycle and returns when it is over (S1). `.background` marks beside the mutators; `.force` stops the world
  /// for the whole mark and sweeps lazily; `.forceBlock` also sweeps everything before it returns. Only a background
  /// cycle that allocation triggered may be a minor one.
  public func gc(_ mode: Mode, triggered: Bool = false) {
    tri_cycle_begin(heap, mode)
    finishSweep()  // before any stop: destroy callbacks run outside pauses
    if mode == .background && options.barrier != .stopTheWorld {
      let isMinor = tri_cycle_choose_generation(heap, triggered)
      clearPools(mode, isMinor)
      markConcurrently()
      move(.worldStopped)
    } else {
      _ = tri_cycle_choose_generation(heap, false)
      stopTheWorld()
      clearPoolsInStop(mode)
      resetScanState()
      move(.beginStopped)
      markStopped()
    }
    checkMarks(mode)
    move(.markingComplete)
    beginSweep()
    if options.trace > 1 { collectAgainInStop() }
    startTheWorld()
    sweep(mode)
    if options.trace > 0 { tri_cycle_print_trace(heap) }
    tri_cycle_end(heap)
  }

  // MARK: Steps

  /// S3: what the last cycle left unswept is swept before this one marks anything.
  private func finishSweep() {
    tri_cycle_finish_sweep(heap)
  }

  /// S4: before the barrier goes on, so that what only pools held is freed in this cycle. A minor cycle could not free
  /// what is old, so it leaves pools alone.
  private func clearPools(_ mode: Mode, _ isMinor: Bool) {
    if tri_cycle_any_hook_needs_stop(heap) {
      stopTheWorld()
      tri_cycle_run_hooks(heap, mode, true)
      startTheWorld()
    }
    tri_cycle_run_hooks(heap, mode, false)
    if !isMinor { tri_cycle_clear_pools(heap, dropVictims(mode)) }
  }

  private func clearPoolsInStop(_ mode: Mode) {
    tri_cycle_run_hooks(heap, mode, true)
    tri_cycle_run_hooks(heap, mode, false)
    tri_cycle_clear_pools(heap, dropVictims(mode))
  }

  private func dropVictims(_ mode: Mode) -> Bool {
    mode != .background
  }

  /// From the barrier going on to the world being stopped with nothing grey left. The stop is given up, and marking
  /// goes on, while more is grey than a stop should mark.
  private func markConcurrently() {
    move(.beginMarking)
    tri_cycle_enable_barrier(heap)
    tri_cycle_scan_roots(heap)
    var attempt: UInt32 = 0
    while true {
      tri_cycle_mark_concurrently(heap)
      stopTheWorld()
      if tri_cycle_try_finish_marking(heap, attempt) { return }
      startTheWorld()
      attempt += 1
    }
  }

  private func resetScanState() {
    tri_cycle_reset_scan_state(heap)
  }

  private func markStopped() {
    tri_cycle_mark_stopped(heap)
  }

  /// S13 always; S10 and the structure checks when asked for.
  private func checkMarks(_ mode: Mode) {
    tri_cycle_assert_marking_complete(heap)
    if options.checkmark != 0 { tri_cycle_checkmark(heap) }
    if options.verify != 0 { tri_cycle_verify(heap) }
  }

  private func beginSweep() {
    tri_cycle_begin_sweep(heap)
  }

  /// S11, trace level 2: a whole second stop-the-world mark and sweep in the same pause. What the first one freed must
  /// not be needed by the second.
  private func collectAgainInStop() {
    resetScanState()
    finishSweep()
    _ = tri_cycle_choose_generation(heap, false)
    move(.beginStopped)
    markStopped()
    checkMarks(.force)
    move(.markingComplete)
    beginSweep()
  }

  private func sweep(_ mode: Mode) {
    if mode == .force {
      tri_cycle_sweep_in_background(heap)
    } else {
      tri_cycle_sweep_all(heap)
    }
  }

  private func stopTheWorld() {
    tri_cycle_stop_world(heap)
  }

  private func startTheWorld() {
    tri_cycle_start_world(heap)
  }

  /// In a forked child: the cycle that another thread was running is over, and nothing counts as marked (S6).
  fileprivate func abandon() {
    move(.abandoned)
  }

  // MARK: Pacing

  /// Live bytes are known when a sweep ends; from them follows when the next cycle starts.
  fileprivate func pace() {
    var input = tri_pacing_input()
    tri_pacing_read(heap, &input)
    (pacer.softLimitBytes, pacer.limitBytes) = limits
    var pacing = pacer.plan(after: input)
    tri_pacing_set(heap, &pacing)
  }

  private func paceAgain() {
    var input = tri_pacing_input()
    tri_pacing_read(heap, &input)
    (pacer.softLimitBytes, pacer.limitBytes) = limits
    var pacing = pacer.replan(input)
    tri_pacing_set(heap, &pacing)
  }

  /// In force now, soft and hard; 0 for none.
  private var limits: (soft: UInt64, hard: UInt64) {
    var soft: UInt64 = 0
    var hard: UInt64 = 0
    tri_limits_read(heap, &soft, &hard)
    return (soft, hard)
  }

  /// 25...100000, or `TRI_GROWTH_OFF`. False, and nothing changed, for anything else.
  public func setGrowthPercent(_ percent: UInt32) -> Bool {
    guard Pacer.isValid(growthPercent: percent) else { return false }
    tri_pacing_lock(heap)
    pacer.growthPercent = percent
    paceAgain()
    tri_pacing_unlock(heap)
    return true
  }

  /// The goal counts on touched memory, of which there is less now.
  fileprivate func noteMemoryGivenBack() {
    tri_pacing_lock(heap)
    paceAgain()
    tri_pacing_unlock(heap)
  }
}

extension Collector {
  /// `TRI_SOFT_LIMIT_AUTOMATIC`, `TRI_SOFT_LIMIT_OFF` or bytes, and bytes or 0. `.badOptions`, and nothing changed, for a
  /// soft limit above the hard one.
  public func setLimits(soft: UInt64, hard: UInt64) -> tri_status {
    tri_pacing_lock(heap)
    let status = tri_limits_set_locked(heap, soft, hard)
    if status == .ok { paceAgain() }
    tri_pacing_unlock(heap)
    tri_events_deliver(heap)
    return status
  }

  /// The limit of the container is another one.
  fileprivate func paceForLimits() {
    tri_pacing_lock(heap)
    paceAgain()
    tri_pacing_unlock(heap)
  }
}

/// What C holds on to.
private final class CollectorBox {
  var collector: Collector?
}

private func runCycle(_ context: UnsafeMutableRawPointer?, _ mode: tri_mode, _ triggered: Bool) {
  Unmanaged<CollectorBox>.fromOpaque(context!).takeUnretainedValue().collector!.gc(mode, triggered: triggered)
}

private func abandonCycle(_ context: UnsafeMutableRawPointer?) {
  Unmanaged<CollectorBox>.fromOpaque(context!).takeUnretainedValue().collector!.abandon()
}

private func sweepFinished(_ context: UnsafeMutableRawPointer?) {
  Unmanaged<CollectorBox>.fromOpaque(context!).takeUnretainedValue().collector!.pace()
}

private func memoryGivenBack(_ context: UnsafeMutableRawPointer?) {
  Unmanaged<CollectorBox>.fromOpaque(context!).takeUnretainedValue().collector!.noteMemoryGivenBack()
}

private func limitsChanged(_ context: UnsafeMutableRawPointer?) {
  Unmanaged<CollectorBox>.fromOpaque(context!).takeUnretainedValue().collector!.paceForLimits()
}
