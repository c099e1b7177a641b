// HeapOptions: every knob of a heap, read once when it is made. The checks are the C half's (`tri_options_resolve`):
// a value out of range makes `Heap.init` throw `.badOptions` and print which one.

import CTricolor

/// Every knob of a heap. Start from the defaults and change what matters:
///
///     var options = HeapOptions()
///     options.limitBytes = 512 << 20
///     let heap = try Heap(options)
public struct HeapOptions: Sendable {
  /// How stores keep a concurrent mark correct.
  public enum Barrier: Sendable {
    /// Shades the value a store overwrites, and the new one while the storing thread's stack is not yet scanned.
    /// No stack is scanned twice, so the final stop is short.
    case hybrid
    /// Shades the new value only; stacks and roots are scanned again in the final stop.
    case dijkstra
    /// No concurrent marking: every cycle stops the world, and stores cost nothing extra.
    case stopTheWorld
  }

  /// Whether cycles that allocation triggers may be minor: what survived the last cycle is taken for alive and not marked
  /// again, until a full cycle. Cycles that are asked for are always full.
  public enum Generations: Sendable {
    /// While they pay: tried now and then, kept as long as they reclaim memory at less cost than full cycles.
    case automatic
    /// Every cycle is full.
    case off
    /// Three in four, paying or not: for tests and measurements.
    case always
  }

  /// Where a heap asks for huge pages, on systems that leave it to programs. They make marking faster, and programs that
  /// look at far-apart objects; where the system has to assemble them, their first touch takes longer.
  public enum HugePages: Sendable {
    /// Beyond the first 4 MiB of the heap, until free memory there goes back in parts; where the system takes more than
    /// 2 ms to supply one, beyond the first 64 MiB. An object larger than a huge page that is used here and there only
    /// holds more memory with it than without.
    case automatic
    /// Everywhere. Free memory then goes back in whole chunks of 2 MiB only.
    case always
    /// Nowhere.
    case off
  }

  /// What is printed about each cycle on standard error.
  public enum Trace: UInt32, Sendable {
    /// Nothing.
    case off = 0
    /// One line per cycle.
    case cycles = 1
    /// The line, and a whole second stop-the-world mark and sweep in the same pause: what the first one freed must
    /// not be needed by the second. For hunting bugs; pauses grow with the live heap.
    case collectTwice = 2
  }

  /// What the heap, the collector's own tables and external bytes should not exceed together. Near it cycles come more
  /// often; where that would take more than half of the CPU time the heap grows past it, and `Heap.onEvent` is told.
  public enum SoftLimit: Sendable, Equatable {
    /// Nine tenths of the smallest memory limit of the container this process runs in, read again every ten seconds
    /// while cycles run; none where there is no such limit.
    case automatic
    /// None.
    case off
    /// This many; 1 or more, and not above the hard limit.
    case bytes(UInt64)
  }

  /// Which words in reference slots are immediates that the collector skips.
  public struct Tag: Sendable {
    /// The bits that tell.
    public var mask: UInt64
    /// What they are in an immediate; not 0, and no bits outside `mask`.
    public var value: UInt64
    /// A word is an immediate if `word & mask == value`.
    public init(mask: UInt64, value: UInt64) {
      self.mask = mask
      self.value = value
    }
  }

  /// Percent by which the heap may grow beyond what was live before the next cycle should be over. 25...100000; nil
  /// never collects by itself. Default 100: memory at most doubles, and each byte allocated pays for marking about
  /// one. Environment `TRICOLOR_GC`.
  public var growthPercent: UInt32? = 100
  /// Bytes; no cycle starts by itself below. Default 4 MiB: of cache size, so that memory just freed is reused warm.
  public var minimumHeapBytes: UInt64 = 4 << 20
  /// The hard limit, in bytes of heap pages and external bytes; allocation fails with `.limitReached` rather than hold
  /// more. Default nil: only the reservation limits. Environment `TRICOLOR_LIMIT`.
  public var limitBytes: UInt64?
  /// Default `.automatic`: what the container allows. Environment `TRICOLOR_SOFT_LIMIT`: bytes, `auto` or `off`.
  public var softLimit: SoftLimit = .automatic
  /// The longest that one allocation marks for the collector; what it owes beyond that it owes to the next one. 1 us to
  /// 1 s, default 200 us: long enough to pay, short enough for nobody to notice.
  public var longestAssist: Duration = .microseconds(200)
  /// A full background cycle runs when none ran for this long and something was allocated since. At most a year, default
  /// two minutes; nil is off. Only once a heap has had its first cycle.
  public var periodicCycle: Duration? = .seconds(120)
  /// Bytes of address space set aside, at most 2^46; memory is used only as the heap grows. Default nil: 64 GiB, or
  /// eight times physical memory if that is larger, but at most a 32nd part of what the heaps of this process have
  /// left of half the address space; at least 4 GiB (1 GiB from some eight thousand heaps on). So there may be
  /// thousands, and only the first few hundred can grow beyond 4 GiB: give a number to one that has to. When the system
  /// grants less, a quarter of what it grants, and less the more heaps there are.
  public var reservationBytes: UInt64?
  /// Default `.hybrid`: the shortest final stop.
  public var barrier: Barrier = .hybrid
  /// Default `.automatic`. Ignored under `.stopTheWorld` and from the first custom layout on: both allow stores that the
  /// barrier does not see. Environment `TRICOLOR_GENERATIONS`: `auto`, `off` or `always`.
  public var generations: Generations = .automatic
  /// Threads that mark in a stopped world, the calling one included; 1 or more. Default nil: as many as the CPUs this
  /// process may use.
  public var markWorkers: UInt32?
  /// Threads that mark beside the others, the collector's included; 1 or more. Default nil: a quarter of the CPUs this
  /// process may use, at least one.
  public var backgroundWorkers: UInt32?
  /// Default `.off`. Environment `TRICOLOR_TRACE`.
  public var trace: Trace = .off
  /// Proves after every concurrent mark, by a second, simple one in the stop, that nothing was missed; a miss stops
  /// the process. Default off: the pause grows with the live heap. Environment `TRICOLOR_CHECKMARK`.
  public var checksMarks = false
  /// Walks the heap's own structures at every edge of a cycle. Default off, for the same reason. Environment
  /// `TRICOLOR_VERIFY`.
  public var verifiesStructures = false
  /// Collects at every Nth allocation that leaves the fast path; 0 (the default) does not. For hunting references
  /// that the collector cannot see. Environment `TRICOLOR_STRESS`.
  public var stressInterval: UInt32 = 0
  /// Default nil: every reference slot holds a reference or nothing. A `Ref` never is an immediate; this is for
  /// objects that C code fills.
  public var tag: Tag?
  /// Whether cleanups run only in `Heap.runCleanups`. Default off: a thread of the heap's own runs them, started when
  /// the first is due.
  public var runsCleanupsWhenAsked = false
  /// Where the heap asks the system for huge pages. Default `.automatic`. Environment `TRICOLOR_HUGE_PAGES`: `auto`,
  /// `always` or `off`.
  public var hugePages: HugePages = .automatic
  /// How long memory stays free before the collector thread gives it back to the system, in whole milliseconds up to
  /// 49 days, at about 1 % of one CPU. Default 2 s: shorter gives back what the next cycle wants again, longer keeps what
  /// nobody does.
  /// nil: never by itself; `Heap.trim()` still does. Environment `TRICOLOR_SCAVENGE`.
  public var scavengesAfter: Duration? = .seconds(2)
  /// Whether `TRICOLOR_...` variables override the fields they name. Default on, so that a program can be traced and
  /// limited without a new build.
  public var readsEnvironment = true

  /// The defaults.
  public init() {}
}

extension HeapOptions {
  /// The same in C's terms.
  var converted: tri_options {
    var options = tri_options()
    tri_options_init(&options)
    options.growth_percent = growthPercent ?? UInt32.max
    options.minimum_heap_bytes = minimumHeapBytes
    options.limit_bytes = limitBytes ?? 0
    options.soft_limit_bytes = softLimit.raw
    options.assist_ns_max = longestAssist.clampedNanoseconds
    options.periodic_cycle_ms = periodicCycle.map { max(1, $0.clampedNanoseconds / 1_000_000) } ?? 0
    options.reservation_bytes = reservationBytes ?? 0
    options.barrier = barrier.policy
    options.generations = generations.policy
    options.mark_workers = markWorkers ?? 0
    options.background_workers = backgroundWorkers ?? 0
    options.trace = trace.rawValue
    options.checkmark = checksMarks ? 1 : 0
    options.verify = verifiesStructures ? 1 : 0
    options.stress_interval = stressInterval
    options.tag_mask = tag?.mask ?? 0
    options.tag_value = tag?.value ?? 0
    options.manual_cleanups = runsCleanupsWhenAsked ? 1 : 0
    options.huge_pages = hugePages.policy.rawValue
    options.scavenge_after_ms = scavengesAfter.map(milliseconds) ?? 0
    options.read_environment = readsEnvironment ? 1 : 0
    return options
  }
}

/// At least 1, as 0 means never; what is out of range means as long as can be said.
private func milliseconds(_ duration: Duration) -> UInt32 {
  let (seconds, attoseconds) = duration.components
  if seconds < 0 { return 1 }
  let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1000)
  return overflow ? UInt32.max : max(1, UInt32(clamping: whole + attoseconds / 1_000_000_000_000_000))
}

extension HeapOptions.Barrier {
  fileprivate var policy: tri_barrier_policy {
    switch self {
    case .hybrid: .hybrid
    case .dijkstra: .dijkstra
    case .stopTheWorld: .stopTheWorld
    }
  }
}

extension HeapOptions.Generations {
  fileprivate var policy: tri_generations {
    switch self {
    case .automatic: .automatic
    case .off: .off
    case .always: .always
    }
  }
}

extension HeapOptions.HugePages {
  fileprivate var policy: tri_huge_pages {
    switch self {
    case .automatic: .automatic
    case .always: .always
    case .off: .off
    }
  }
}

extension HeapOptions.SoftLimit {
  var raw: UInt64 {
    switch self {
    case .automatic: 0
    case .off: UInt64.max
    case .bytes(let bytes): max(1, min(bytes, UInt64.max - 1))
    }
  }
}

extension Duration {
  /// Negative ones are 0, those of centuries the longest there is.
  fileprivate var clampedNanoseconds: UInt64 {
    let (seconds, attoseconds) = components
    if seconds < 0 || attoseconds < 0 { return 0 }
    let (whole, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
    return overflow ? .max : whole &+ UInt64(attoseconds / 1_000_000_000)
  }
}
