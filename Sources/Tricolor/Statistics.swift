// Statistics: what a heap did and holds, as one copy.

import CTricolor

extension Heap {
  /// How a cycle runs.
  public enum Mode: Sendable {
    /// Marks beside the mutators and stops them only to confirm that marking is complete.
    case background
    /// Stops the world for the whole mark and sweeps lazily afterwards.
    case force
    /// The same, and sweeps everything before it returns.
    case forceBlock
  }

  /// Where the collector is. The write barrier is on in every phase but `.off`.
  public enum Phase: Sendable {
    /// Not marking; sweeping may be under way.
    case off
    /// Marking beside the mutators.
    case mark
    /// The world is stopped and marking is being completed.
    case markTermination
  }

  /// What a heap did and holds: counters since it was made, and the measures of its last cycle. The fields are read
  /// one after the other while the heap works, so they agree with each other only while nothing runs.
  public struct Statistics: Sendable {
    /// Completed cycles, of every mode.
    public var cycles: Int
    /// Of those, `.force` and `.forceBlock`.
    public var forcedCycles: Int
    /// Of all cycles, the minor ones: they marked only what was new since the one before.
    public var minorCycles: Int
    /// Bytes of the objects that the last finished sweep found alive. Exact after `gc(.forceBlock)`.
    public var liveBytes: Int
    /// Objects that the last finished sweep found alive. Exact after `gc(.forceBlock)`.
    public var liveObjects: Int
    /// Bytes handed to mutators, ever; a mutator takes up to 64 slots of a size at once.
    public var allocatedBytes: Int
    /// The same since the last cycle; what the trigger is compared with.
    public var allocatedSinceCycleBytes: Int
    /// Bytes that sweeps reclaimed, ever.
    public var freedBytes: Int
    /// Bytes that `free` gave back, ever.
    public var explicitlyFreedBytes: Int
    /// Objects that the last cycle marked.
    public var markedObjectsAtLastCycle: Int
    /// The heap size that the next cycle should end at.
    public var goalBytes: Int
    /// The allocation since the last cycle that starts the next one; `Int.max` if none starts by itself.
    public var triggerBytes: Int
    /// Bytes of heap pages in use, or free and not given back to the system.
    public var mappedBytes: Int
    /// Bytes of heap memory given back to the system while the heap lives, ever.
    public var scavengedBytes: Int
    /// Bytes of the collector's own tables and buffers.
    public var metadataBytes: Int
    /// Attached threads.
    public var mutators: Int
    /// Spans in use: runs of pages that hold objects of one layout and size.
    public var spans: Int
    /// The longest single stop of the last cycle.
    public var pauseAtLastCycle: Duration
    /// The longest single stop ever.
    public var longestPause: Duration
    /// All stops, summed.
    public var totalPause: Duration
    /// From the beginning of marking to its end, in the last cycle.
    public var markTimeAtLastCycle: Duration
    /// From the final stop to its release, in the last cycle.
    public var terminationTimeAtLastCycle: Duration
    /// The last finished sweep.
    public var sweepTimeAtLastCycle: Duration
    /// CPU time of marking, summed over threads and cycles.
    public var totalMarkTime: Duration
    /// Time of sweeping, summed over threads and cycles.
    public var totalSweepTime: Duration
    /// Marking that allocating threads did, summed.
    public var totalAssistTime: Duration
    /// The most CPU time that one allocation spent on marking.
    public var longestAssist: Duration
    /// Bytes outside of the heap that die with objects in it, as told to `addExternalBytes`.
    public var externalBytes: Int
    /// The soft limit in force; nil: none.
    public var softLimitBytes: Int?
    /// The hard limit in force; nil: none.
    public var limitBytes: Int?
    /// Whether a limit counts as exceeded: from `.heapLimitExceeded` to `.heapLimitRecovered`.
    public var isLimitExceeded: Bool
    /// Cycles that ran because none had for a while.
    public var periodicCycles: Int
    /// Second marks that agreed with the first (`HeapOptions.checksMarks`).
    public var checkmarks: Int
    /// Where the collector was.
    public var phase: Phase
  }
}

extension Heap.Statistics {
  init(_ raw: tri_statistics) {
    func count(_ value: UInt64) -> Int { Int(clamping: value) }
    func time(_ value: UInt64) -> Duration { .nanoseconds(Int64(clamping: value)) }
    cycles = count(raw.cycles)
    forcedCycles = count(raw.cycles_forced)
    minorCycles = count(raw.cycles_minor)
    liveBytes = count(raw.live_bytes)
    liveObjects = count(raw.live_objects)
    allocatedBytes = count(raw.allocated_bytes)
    allocatedSinceCycleBytes = count(raw.allocated_since_cycle_bytes)
    freedBytes = count(raw.freed_bytes)
    explicitlyFreedBytes = count(raw.explicitly_freed_bytes)
    markedObjectsAtLastCycle = count(raw.marked_objects_at_last_cycle)
    goalBytes = count(raw.goal_bytes)
    triggerBytes = count(raw.trigger_bytes)
    mappedBytes = count(raw.mapped_bytes)
    scavengedBytes = count(raw.scavenged_bytes)
    metadataBytes = count(raw.metadata_bytes)
    mutators = count(raw.mutators)
    spans = count(raw.spans)
    pauseAtLastCycle = time(raw.pause_ns_at_last_cycle)
    longestPause = time(raw.pause_ns_max)
    totalPause = time(raw.pause_ns_total)
    markTimeAtLastCycle = time(raw.mark_ns_at_last_cycle)
    terminationTimeAtLastCycle = time(raw.termination_ns_at_last_cycle)
    sweepTimeAtLastCycle = time(raw.sweep_ns_at_last_cycle)
    totalMarkTime = time(raw.mark_ns_total)
    totalSweepTime = time(raw.sweep_ns_total)
    totalAssistTime = time(raw.assist_ns_total)
    longestAssist = time(raw.assist_ns_max)
    externalBytes = count(raw.external_bytes)
    softLimitBytes = raw.soft_limit_bytes == 0 ? nil : count(raw.soft_limit_bytes)
    limitBytes = raw.limit_bytes == 0 ? nil : count(raw.limit_bytes)
    isLimitExceeded = raw.limit_exceeded != 0
    periodicCycles = count(raw.cycles_periodic)
    checkmarks = count(raw.checkmarks)
    phase = Heap.Phase(raw.phase)
  }
}

extension Heap.Mode {
  var raw: tri_mode {
    switch self {
    case .background: .background
    case .force: .force
    case .forceBlock: .forceBlock
    }
  }

  init(_ raw: tri_mode) {
    switch raw {
    case .background: self = .background
    case .force: self = .force
    case .forceBlock: self = .forceBlock
    }
  }
}

extension Heap.Phase {
  init(_ raw: tri_phase) {
    switch raw {
    case .off: self = .off
    case .mark: self = .mark
    case .markTermination: self = .markTermination
    }
  }
}
