// Heap: the public owner of one garbage-collected heap: make it, attach to it, collect it, watch it, end it.
//
// Threads     everything here may be called from any thread, attached or not, except where it says otherwise.
// Not here    registering types (Heap+Types), allocating and storing (Mutator, Ref), what a cycle does (Collector).

import CTricolor
import Synchronization
import TricolorCore

/// One garbage-collected heap. Several may live in one process; they share nothing, and references from one into
/// another are not followed.
///
/// A heap ends when its last Swift reference goes (roots, pools and attached mutators hold one), or at `close()`.
public final class Heap: Sendable {
  /// The C half, valid until the heap is closed.
  nonisolated(unsafe) let raw: OpaquePointer
  private let collector: Collector
  private let closed = Atomic(false)
  private let kept = Mutex<[any AnyObject & Sendable]>([])

  /// Makes a heap. Costs a few system calls; memory is taken only as the heap grows.
  ///
  /// Throws `.badOptions` (standard error names the option) or `.outOfMemory` (not even a small reservation of
  /// address space was granted).
  public init(_ options: HeapOptions = HeapOptions()) throws(HeapError) {
    var status = tri_status.ok
    var converted = options.converted
    guard let collector = Collector.open(&converted, status: &status) else {
      throw HeapError(status) ?? .outOfMemory
    }
    self.collector = collector
    raw = collector.heap
  }

  /// Ends the heap as `close()` does. That threads are still attached (to a mutator that was dropped without
  /// `detach()`) is a bug and stops the process.
  deinit {
    if closed.load(ordering: .acquiring) { return }
    if let error = HeapError(collector.close()) { trap(raw, "the last reference to a heap is gone: \(error)") }
  }

  /// Ends the heap now and returns all its memory. Every `Ref` into it dangles afterwards; any other call on it, its
  /// roots or its pools stops the process. No other thread may be using the heap.
  ///
  /// Throws `.mutatorsAttached`; the heap then goes on.
  public func close() throws(HeapError) {
    checkOpen()
    try HeapError.check(collector.close())
    closed.store(true, ordering: .releasing)
    // No hook can run any more, and what they captured may be what keeps this heap alive. Let go outside the lock.
    let objects = kept.withLock { objects in
      defer { objects = [] }
      return objects
    }
    withExtendedLifetime(objects) {}
  }

  var isClosed: Bool { closed.load(ordering: .acquiring) }

  func checkOpen() {
    if isClosed { trap(nil, "using a heap that was closed") }
  }

  /// What C was given a pointer to lives as long as the heap, or until `close()`: it may still be running on another
  /// thread when it is taken back.
  func keep(_ object: any AnyObject & Sendable) {
    kept.withLock { $0.append(object) }
  }

  // MARK: Collecting

  /// Runs one whole cycle and returns when it is over: for `.background` after the concurrent mark and the sweep, for
  /// `.force` with sweeping left to do, for `.forceBlock` after everything is swept. Waits for a cycle that is running
  /// already and then runs its own. Not from a hook. Cost: grows with the live heap.
  public func gc(_ mode: Mode = .background) {
    checkOpen()
    collector.gc(mode.raw)
  }

  /// Gives everything that is free now back to the system, whatever `HeapOptions.scavengesAfter` says, and returns the
  /// bytes of heap memory given back; tables and buffers that go with them come on top. It waits for a cycle under way to
  /// end, finishes the sweep, and gives back the empty spans kept for the next allocations too. It does not collect: for
  /// the most, `gc(.forceBlock)` first. Other threads go on, and an attached caller counts as stopped meanwhile. About
  /// 35 ms for 1 GiB; what is allocated afterwards pays for fresh pages. From a hook, or a destroy callback that a sweep
  /// runs, it stops the process.
  @discardableResult
  public func trim() -> Int {
    checkOpen()
    return Int(clamping: tri_trim(raw))
  }

  /// Changes `HeapOptions.growthPercent`, at once. nil: no cycle starts by itself.
  ///
  /// Throws `.badOptions` outside of 25...100000.
  public func setGrowthPercent(_ percent: UInt32?) throws(HeapError) {
    checkOpen()
    if percent == UInt32.max || !collector.setGrowthPercent(percent ?? UInt32.max) { throw .badOptions }
  }

  /// Changes `HeapOptions.softLimit` and `limitBytes`, at once. Limits below what is alive are accepted: the event
  /// follows, and allocation fails at the hard one.
  ///
  /// Throws `.badOptions` if the soft limit is a number above the hard one; nothing was changed.
  public func setLimits(soft: HeapOptions.SoftLimit = .automatic, limitBytes: UInt64? = nil) throws(HeapError) {
    checkOpen()
    try HeapError.check(collector.setLimits(soft: soft.raw, hard: limitBytes ?? 0))
  }

  /// Tells the collector about memory outside of the heap that dies with objects in it: what was allocated or, negative,
  /// freed. It counts like heap memory for goal, trigger and limits. Any thread, also from what frees that memory; a
  /// cycle starts with the next allocation (`Mutator.addExternalBytes` may start it at once). A total that becomes
  /// negative or exceeds 2^46 stops the process.
  public func addExternalBytes(_ delta: Int) {
    checkOpen()
    tri_heap_external_bytes_add(raw, Int64(delta))
  }

  /// Has `body` called when something happens to the heap; nil ends it. One function per heap. It runs on the thread
  /// that noticed, outside of stops: the collector thread, or one that allocates, collects or sets limits. It may block,
  /// but holds up that thread; it must not allocate from the heap, store into it, collect or close it. An event that is
  /// being delivered on another thread may still arrive after the call. What `body` captures lives as long as the heap
  /// (or until `close()`), so it should not capture the heap.
  public func onEvent(_ body: (@Sendable (Event) -> Void)?) {
    checkOpen()
    guard let body else {
      tri_events_set(raw, nil, nil)
      return
    }
    let box = Event.Box(body)
    kept.withLock { $0.append(box) }
    tri_events_set(raw, Event.deliver, Unmanaged.passUnretained(box).toOpaque())
  }

  /// What the heap did and holds. Takes no lock.
  public var statistics: Statistics {
    checkOpen()
    var statistics = tri_statistics()
    tri_statistics_read(raw, &statistics)
    return Statistics(statistics)
  }

  /// Where the collector is; by the time the caller looks it may have moved on.
  public var phase: Phase {
    checkOpen()
    return Phase(tri_cycle_phase(raw))
  }

  // MARK: Threads

  /// Attaches the calling thread until `Mutator.detach()`, or until the thread ends. Costs about as much as starting a
  /// thread; waits for a stop to end.
  ///
  /// Throws `.alreadyAttached` or `.outOfMemory`.
  public func attach() throws(HeapError) -> Mutator {
    checkOpen()
    return Mutator(try attachRaw(), self)
  }

  private func attachRaw() throws(HeapError) -> UnsafeMutablePointer<tri_mutator> {
    var mutator: UnsafeMutablePointer<tri_mutator>?
    try HeapError.check(tri_attach(raw, 0, &mutator))
    return mutator!
  }

  /// Runs `body` with the calling thread attached. The outermost call attaches and detaches; calls inside it use the
  /// same mutator. References do not outlive the attachment: the result is Sendable, and a `Ref` is not; return a
  /// `Root`. When the system refuses the memory to attach, the process stops; `attach()` throws instead. Not inside
  /// `Mutator.blocking`.
  public func withMutator<Result: Sendable & ~Copyable, Failure: Error>(
    _ body: (borrowing Mutator) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    checkOpen()
    if let current = tri_current_mutator(raw) { return try body(Mutator(current, self)) }
    let mutator: UnsafeMutablePointer<tri_mutator>
    do { mutator = try attachRaw() } catch { trap(raw, "withMutator: \(error); attach throws instead") }
    defer { Mutator.detach(mutator) }
    return try body(Mutator(mutator, self))
  }

  /// The calling thread's mutator; a thread without one stops the process.
  func currentMutator(for what: StaticString) -> UnsafeMutablePointer<tri_mutator> {
    checkOpen()
    guard let mutator = tri_current_mutator(raw) else {
      trap(raw, "\(what): this thread is not attached to the heap")
    }
    return mutator
  }

  // MARK: Hooks

  /// Has `body` called at the very start of every cycle, before anything is marked, so that what only a cache held is
  /// freed in this cycle. It runs on the collecting thread, in the order hooks were added; with `needsStop` while all
  /// attached threads stand still. It must not allocate from the heap, store into it, collect it or block. What it
  /// captures lives as long as the heap (or until `close()`), so it should not capture the heap.
  ///
  /// Throws `.outOfMemory`.
  @discardableResult
  public func onCycleStart(
    needsStop: Bool = false, _ body: @escaping @Sendable (Mode) -> Void
  ) throws(HeapError) -> CycleHook {
    checkOpen()
    let box = CycleHook.Box(body)
    keep(box)
    let flags: UInt32 = needsStop ? UInt32(TRI_HOOK_NEEDS_STOP) : 0
    try HeapError.check(tri_hook_add(raw, CycleHook.run, Unmanaged.passUnretained(box).toOpaque(), flags))
    return CycleHook(heap: self, box: box)
  }
}
