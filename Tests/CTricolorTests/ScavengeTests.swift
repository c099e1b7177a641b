// ScavengeTests: free memory goes back to the system, by the clock and when asked, and nothing is lost on the way.
//
// What is resident is read in processes of their own, as a difference.

import CTricolor
import CTricolor.Testing
import Glibc
import Testing

@Suite struct ScavengeTests {
  // MARK: How much goes back

  @Test(
    "after dropping nine tenths, no more is resident than a quarter above what lives, and 16 MiB: at once after a trim",
    arguments: [48, 600, 100_000])
  func contractOfTrim(_ bytes: Int) async {
    await #expect(processExitsWith: .success) { [bytes = bytes as Int] in
      let heap = try contractHeap { $0.scavenge_after_ms = 0 }
      try heap.attached { mutator in
        let filled = fill(mutator, bytes)
        heap.collect(.background)
        filled.drop()
        heap.collect()
        #expect(!filled.isInContract(heap), "what is to be given back is there")
        let before = heap.statistics
        let given = tri_trim(heap.heap)
        #expect(filled.isInContract(heap), "\(filled.residentBytes >> 20) MiB of \(heap.statistics.live_bytes >> 20)")
        let after = heap.statistics
        #expect(given > 150 << 20)
        #expect(after.mapped_bytes == before.mapped_bytes - given)
        #expect(after.scavenged_bytes == before.scavenged_bytes + given)
        #expect(after.goal_bytes < before.goal_bytes, "the goal counts on memory that is there")
        #expect(tri_trim(heap.heap) == 0)
        tri_testing_verify(heap.heap)
      }
    }
  }

  @Test("the same after the documented time without one; then nobody is woken any more", arguments: [48, 100_000])
  func contractOfTheClock(_ bytes: Int) async {
    await #expect(processExitsWith: .success) { [bytes = bytes as Int] in
      let heap = try contractHeap { $0.scavenge_after_ms = 100 }
      try heap.attached { mutator in
        let filled = fill(mutator, bytes)
        heap.collect(.background)
        filled.drop()
        heap.collect()
        let goal = heap.statistics.goal_bytes
        tri_blocking_begin(mutator.pointer)
        #expect(eventually { filled.isInContract(heap) })
        #expect(eventually { heap.statistics.goal_bytes < goal })
        // Until nothing is left that will ever be old enough; and from then on nothing happens.
        let rest = eventually {
          let ticks = tri_testing_scavenger_ticks(heap.heap)
          pause(milliseconds: 400)
          return tri_testing_scavenger_ticks(heap.heap) == ticks
        }
        tri_blocking_end(mutator.pointer)
        #expect(rest, "an idle heap goes on waking up")
        #expect(heap.statistics.scavenged_bytes > 150 << 20)
        tri_testing_verify(heap.heap)
      }
    }
  }

  @Test("the tables that describe free memory go back with it")
  func tables() async {
    await #expect(processExitsWith: .success) {
      let heap = try contractHeap { $0.scavenge_after_ms = 0 }
      try heap.attached { mutator in
        let resident = residentBytes()
        let head = mutator.list((192 << 20) / 16)
        heap.collect(.background)
        head.pointee = nil
        heap.collect()
        tri_trim(heap.heap)
        // Of A and M alone there were 3 MiB, of the others as much again.
        let left = residentBytes() - resident
        #expect(left < 2 << 20, "\(left >> 10) KiB")
        tri_testing_verify(heap.heap)
      }
    }
  }

  @Test("buffers that a wide graph needed go back", arguments: [false, true])
  func buffers(_ byClock: Bool) async {
    await #expect(processExitsWith: .success) { [byClock = byClock as Bool] in
      let heap = try contractHeap { $0.scavenge_after_ms = byClock ? 50 : 0 }
      try heap.attached { mutator in
        // Roots are all grey before the first of them is scanned: 8 MiB.
        let count = 1 << 20
        let roots = Slot.allocate(capacity: count)
        roots.initialize(repeating: nil, count: count)
        #expect(tri_root_add_range(heap.heap, roots, count, 0) == .ok)
        for index in 0..<count { tri_root_store(mutator.pointer, roots + index, mutator.node()) }
        let before = heap.statistics.metadata_bytes
        for round in 0..<3 {
          heap.collect(round == 1 ? .background : .forceBlock)
          #expect(heap.statistics.live_objects == UInt64(count))
          if !byClock {
            #expect(heap.statistics.metadata_bytes > before + 7 << 20, "\(heap.statistics.metadata_bytes)")
            tri_trim(heap.heap)
          }
          #expect(
            eventually { heap.statistics.metadata_bytes <= before + 1 << 20 },
            "\(heap.statistics.metadata_bytes), before \(before)")
        }
      }
    }
  }

  @Test("what was in use a moment ago stays")
  func age() async {
    await #expect(processExitsWith: .success) {
      let heap = try contractHeap { $0.scavenge_after_ms = 600_000 }
      try heap.attached { mutator in
        fill(mutator, 600).drop()
        heap.collect()
        pause(milliseconds: 300)
        #expect(heap.statistics.scavenged_bytes == 0)
        #expect(tri_testing_scavenger_ticks(heap.heap) == 0)
        #expect(tri_trim(heap.heap) > 150 << 20)
      }
    }
  }

  @Test("a small heap has no thread started to give it back")
  func small() async {
    await #expect(processExitsWith: .success) {
      let heap = try contractHeap { $0.scavenge_after_ms = 1 }
      try heap.attached { mutator in
        for _ in 0..<20 {
          mutator.list(1000).pointee = nil
          heap.collect()
        }
        pause(milliseconds: 50)
        #expect(tri_testing_scavenger_ticks(heap.heap) == 0)
        #expect(tri_trim(heap.heap) > 0)
      }
    }
  }

  @Test("with huge pages chunks go back whole: one that is used in part stays")
  func hugePages() throws {
    let heap = try TestHeap {
      $0.huge_pages = 1
      $0.scavenge_after_ms = 0
    }
    try heap.attached { mutator in
      let kept = mutator.node(64)
      mutator.root(kept)
      // Of each chunk of the first sixteen a quarter stays, of the next sixteen nothing.
      for round in 0..<128 {
        let large = mutator.leaf(512 << 10)
        if round < 64 && round % 4 == 0 { mutator.store(large, in: kept, at: round) }
      }
      heap.collect()
      let given = tri_trim(heap.heap)
      #expect(given > 24 << 20, "\(given)")
      // 8 MiB are alive.
      #expect(heap.statistics.mapped_bytes > 28 << 20, "\(heap.statistics.mapped_bytes)")
      tri_testing_verify(heap.heap)
    }
  }

  @Test("by itself a heap asks for huge pages beyond 4 MiB, and until parts of them go back")
  func hugePagesAutomatically() async {
    await #expect(processExitsWith: .success) {
      let heap = try TestHeap { $0.scavenge_after_ms = 0 }
      tri_testing_set_huge_page_patience_ns(heap.heap, .max)
      try heap.attached { mutator in
        let start = UInt(mutator.pointer.pointee.heap_start)
        let (small, arena) = (UInt(4 << 20), UInt(64 << 20))
        let table = mutator.node(400)
        mutator.root(table)
        for index in 0..<6 { mutator.store(mutator.leaf(512 << 10), in: table, at: index) }
        #expect(wishes(start, 4 * arena) == 0)
        for index in 6..<100 { mutator.store(mutator.leaf(512 << 10), in: table, at: index) }
        #expect(wishes(start, 4 * arena) == arena - small)
        for index in 100..<400 { mutator.store(mutator.leaf(512 << 10), in: table, at: index) }
        // 200 MiB are in use, so four arenas of 64 MiB are there.
        #expect(wishes(start, small) == 0)
        #expect(wishes(start + small, 4 * arena - small) == 4 * arena - small)

        // Of every chunk of the first 150 MiB a quarter stays.
        for index in 0..<300 where index % 4 != 0 { mutator.store(nil, in: table, at: index) }
        heap.collect()
        #expect(tri_trim(heap.heap) > 110 << 20)
        #expect(heap.statistics.mapped_bytes < 90 << 20)
        #expect(wishes(start, 3 * arena) == 0)
        #expect(wishes(start + 3 * arena, arena) == arena)
        tri_testing_verify(heap.heap)

        for index in 0..<400 { mutator.store(nil, in: table, at: index) }
        heap.collect()
        #expect(tri_trim(heap.heap) > 0)
        #expect(wishes(start, small) == 0)
        // The first arena is not empty: the table is there.
        #expect(wishes(start + arena, 3 * arena) == 3 * arena)
        tri_testing_verify(heap.heap)
      }
    }
  }

  @Test("where a huge page is slow to come a heap goes on with small ones up to 64 MiB")
  func hugePagesLate() async {
    await #expect(processExitsWith: .success) {
      let heap = try TestHeap { $0.scavenge_after_ms = 0 }
      try heap.attached { mutator in
        let start = UInt(mutator.pointer.pointee.heap_start)
        let arena = UInt(64 << 20)
        tri_testing_set_huge_page_patience_ns(heap.heap, .max)
        let table = mutator.node(400)
        mutator.root(table)
        for index in 0..<20 { mutator.store(mutator.leaf(512 << 10), in: table, at: index) }
        #expect(wishes(start, 2 * arena) == arena - (4 << 20))
        // No system is that quick.
        tri_testing_set_huge_page_patience_ns(heap.heap, 0)
        for index in 20..<100 { mutator.store(mutator.leaf(512 << 10), in: table, at: index) }
        #expect(wishes(start, 2 * arena) == 0)
        for index in 100..<200 { mutator.store(mutator.leaf(512 << 10), in: table, at: index) }
        #expect(wishes(start, 2 * arena) == arena && wishes(start, arena) == 0)
        // What came before is still there to be taken back in parts.
        for index in 0..<20 where index % 4 != 0 { mutator.store(nil, in: table, at: index) }
        heap.collect()
        #expect(tri_trim(heap.heap) >= 7 << 20)
        for index in 0..<20 where index % 4 != 0 { mutator.store(mutator.leaf(512 << 10), in: table, at: index) }
        tri_testing_verify(heap.heap)
      }
    }
  }

  @Test("a large object of many chunks is asked for as a whole, and touched by who uses it")
  func hugePagesOfOneObject() async {
    await #expect(processExitsWith: .success) {
      let heap = try TestHeap()
      tri_testing_set_huge_page_patience_ns(heap.heap, .max)
      try heap.attached { mutator in
        let before = residentBytes()
        mutator.root(tri_alloc_uninitialized(mutator.pointer, heap.leaf, 40 << 20)!)
        let start = UInt(mutator.pointer.pointee.heap_start)
        #expect(wishes(start, 64 << 20) == 60 << 20)
        #expect(residentBytes() < before + (16 << 20))
      }
    }
  }

  @Test("who does not want huge pages gets none asked for")
  func noHugePages() async {
    await #expect(processExitsWith: .success) {
      let heap = try TestHeap { $0.huge_pages = tri_huge_pages.off.rawValue }
      try heap.attached { mutator in
        let table = mutator.node(200)
        mutator.root(table)
        for index in 0..<200 { mutator.store(mutator.leaf(512 << 10), in: table, at: index) }
        #expect(wishes(UInt(mutator.pointer.pointee.heap_start), 128 << 20) == 0)
      }
    }
  }

  // MARK: What comes of it

  @Test("memory given back reads as zero and is used again", arguments: [16, 200, 5000, 30_000, 100_000, 5 << 20])
  func reuse(_ bytes: Int) throws {
    let heap = try TestHeap { $0.scavenge_after_ms = 0 }
    try heap.attached { mutator in
      let count = (16 << 20) / bytes + 1
      for round in 0..<3 {
        let table = mutator.node(count)
        let root = mutator.root(table)
        for word in 0..<count {
          let zeroed = (word + round).isMultiple(of: 2)
          let object = zeroed ? mutator.leaf(bytes) : tri_alloc_uninitialized(mutator.pointer, heap.leaf, bytes)!
          if zeroed && !isZero(object, bytes) { Issue.record("object \(word) of round \(round) is not zero") }
          memset(object, 0xff, bytes)
          mutator.store(object, in: table, at: word)
        }
        heap.collect(round == 1 ? .background : .forceBlock)
        #expect(heap.statistics.live_objects == UInt64(count + 1))
        // A part first, then the rest.
        let dropped = count - (count + 7) / 8
        for word in 0..<dropped { mutator.store(nil, in: table, at: word) }
        heap.collect()
        #expect(tri_trim(heap.heap) > 0)
        tri_testing_verify(heap.heap)
        for word in dropped..<count {
          let object = reference(table, at: word)!
          let last = object.load(fromByteOffset: bytes - 8, as: UInt64.self)
          #expect(object.load(as: UInt64.self) == .max && last == .max)
        }
        root.pointee = nil
        heap.collect()
        #expect(tri_trim(heap.heap) > 0)
        #expect(heap.statistics.mapped_bytes == 0)
        #expect(heap.statistics.spans == 0)
        tri_testing_verify(heap.heap)
      }
    }
  }

  @Test("a trim finishes the sweep, and destroys what it finds, once")
  func finishesTheSweep() throws {
    let heap = try TestHeap { $0.scavenge_after_ms = 0 }
    let destroyed = Counter()
    heap.keep(destroyed)
    let layout = try heap.layout {
      $0.context = Unmanaged.passUnretained(destroyed).toOpaque()
      $0.destroy = { _, _, context in Unmanaged<Counter>.fromOpaque(context!).takeUnretainedValue().add() }
    }
    try heap.attached { mutator in
      for _ in 0..<100_000 { _ = mutator.object(layout, 64) }
      HandCycle(heap).forceWithoutSweeping()
      #expect(tri_testing_sweep_is_running(heap.heap))
      let given = tri_trim(heap.heap)
      #expect(!tri_testing_sweep_is_running(heap.heap))
      #expect(destroyed.count == 100_000)
      #expect(given >= 6 << 20, "\(given)")
      heap.collect()
      #expect(destroyed.count == 100_000)
    }
  }

  @Test("empty spans that classes keep go back; those with an object, or a slot that was freed a moment ago, stay")
  func keptSpans() throws {
    let heap = try TestHeap { $0.scavenge_after_ms = 0 }
    try heap.attached { mutator in
      for _ in 0..<20_000 { _ = mutator.leaf(64) }
      heap.collect(.background)
      #expect(heap.statistics.live_objects == 0)
      #expect(heap.statistics.spans > 4)
      #expect(tri_trim(heap.heap) > 0)
      #expect(heap.statistics.spans == 0)

      // Spans that were empty at the sweep and are not any more.
      for _ in 0..<20_000 { _ = mutator.leaf(64) }
      heap.collect(.background)
      let kept = mutator.node(6000)
      mutator.root(kept)
      for word in 0..<6000 {
        let object = mutator.leaf(64)
        memset(object, 0x5a, 64)
        mutator.store(object, in: kept, at: word)
      }
      for word in 0..<6000 where word % 1000 != 0 {
        tri_free(mutator.pointer, reference(kept, at: word)!)
        mutator.store(nil, in: kept, at: word)
      }
      tri_trim(heap.heap)
      tri_testing_verify(heap.heap)
      for word in stride(from: 0, to: 6000, by: 1000) {
        #expect(reference(kept, at: word)!.load(as: UInt64.self) == 0x5a5a_5a5a_5a5a_5a5a)
      }
      for _ in 0..<6000 { #expect(isZero(mutator.leaf(64), 64)) }
      #expect(heap.liveObjects() == 7)
    }
  }

  // MARK: Who may call, and when

  @Test("any thread may trim: one that is not attached, one that is, one in a blocking region")
  func callers() throws {
    let heap = try TestHeap { $0.scavenge_after_ms = 0 }
    try heap.attached { mutator in
      let callers: [() -> UInt64] = [
        { tri_trim(heap.heap) },
        {
          let given = Counter()
          TestThread { given.add(Int(tri_trim(heap.heap))) }.join()
          return UInt64(given.count)
        },
        {
          tri_blocking_begin(mutator.pointer)
          defer { tri_blocking_end(mutator.pointer) }
          return tri_trim(heap.heap)
        },
      ]
      for trim in callers {
        for _ in 0..<100 { _ = mutator.leaf(100_000) }
        heap.collect()
        #expect(trim() >= 9 << 20)
      }
    }
  }

  @Test("a trim waits for a cycle under way, and the caller does not keep the cycle waiting")
  func duringACycle() throws {
    let heap = try TestHeap { $0.scavenge_after_ms = 0 }
    try heap.attached { mutator in
      mutator.root(mutator.list(1000).pointee)
      for _ in 0..<100 { _ = mutator.leaf(100_000) }
      let cycle = HandCycle(heap)
      cycle.begin()
      let began = Flag()
      let attached = Flag()
      let unattached = Flag()
      let given = Counter()
      let threads = [
        TestThread {
          try! heap.attached { own in
            _ = own.leaf(16)
            began.set()
            given.add(Int(tri_trim(heap.heap)))
            attached.set()
            _ = own.leaf(16)
          }
        },
        TestThread {
          given.add(Int(tri_trim(heap.heap)))
          unattached.set()
        },
      ]
      tri_blocking_begin(mutator.pointer)
      #expect(began.wait())
      pause(milliseconds: 50)
      tri_blocking_end(mutator.pointer)
      #expect(!attached.isSet && !unattached.isSet)
      // Handshakes and the stop meet a thread that waits in its trim.
      cycle.scan()
      cycle.mark()
      cycle.finish()
      #expect(attached.wait() && unattached.wait())
      tri_blocking_begin(mutator.pointer)
      for thread in threads { thread.join() }
      tri_blocking_end(mutator.pointer)
      #expect(given.count >= 9 << 20, "\(given.count)")
      #expect(heap.liveObjects() == 1000)
    }
  }

  @Test("threads allocate, free, collect and trim at once, and the scavenger waits no time")
  func storm() throws {
    let heap = try TestHeap {
      $0.scavenge_after_ms = 1
      $0.growth_percent = 50
      $0.minimum_heap_bytes = 1 << 20
    }
    let stop = Flag()
    let threads = (0..<3).map { index in
      TestThread {
        try! heap.attached { mutator in
          var random = Random(UInt64(index + 1))
          let kept = mutator.node(64)
          mutator.root(kept)
          while !stop.isSet {
            let bytes = random.below(20) == 0 ? 40_000 + random.below(3 << 20) : 16 + random.below(2000)
            let object = mutator.leaf(bytes)
            #expect(isZero(object, min(bytes, 4096)) && isZero(object + bytes / 16 * 16 - 16, 16))
            memset(object, 0xab, bytes)
            mutator.store(object, in: kept, at: random.below(64))
            switch random.below(2000) {
            case 0: heap.collector.gc(.forceBlock)
            case 1: heap.collector.gc(.background)
            case 2..<10: tri_trim(heap.heap)
            case 10..<200:
              let word = random.below(64)
              if let freed = reference(kept, at: word) {
                mutator.store(nil, in: kept, at: word)
                tri_free(mutator.pointer, freed)
              }
            default: break
            }
          }
        }
      }
    }
    for _ in 0..<30 {
      pause(milliseconds: 50)
      tri_trim(heap.heap)
    }
    stop.set()
    for thread in threads { thread.join() }
    #expect(heap.liveObjects() == 0)
    #expect(heap.statistics.scavenged_bytes > 0)
    tri_trim(heap.heap)
    #expect(heap.statistics.mapped_bytes == 0)
    tri_testing_verify(heap.heap)
  }

  // MARK: Pages on their way

  @Test("an allocation takes other pages while some are on their way to the system, or grows the heap")
  func heldAndGrowing() async {
    await #expect(processExitsWith: .success) {
      try #require(tri_testing_has_steps())
      let heap = try contractHeap { $0.scavenge_after_ms = 0 }
      Seen.heap = heap.heap
      try heap.attached { mutator in
        _ = mutator.leaf(1 << 20)
        heap.collect()
        tri_testing_set_step_hook { point in
          if point != .scavenge || Seen.flag.isSet { return }
          Seen.flag.set()
          // The chunk that was in use is held. The allocation ends before the trim does; the counts hold meanwhile.
          let done = Flag()
          let other = TestThread {
            tri_testing_verify(Seen.heap)
            var mutator: MutatorPointer?
            _ = tri_attach(Seen.heap, UInt32(TRI_ATTACH_PRECISE), &mutator)
            for _ in 0..<10 where tri_alloc(mutator!, tri_layout_leaf(Seen.heap), 1 << 20) != nil { Seen.count.add() }
            _ = tri_detach(mutator!)
            done.set()
          }
          if done.wait() { other.join() }
        }
        #expect(tri_trim(heap.heap) > 0)
        tri_testing_set_step_hook(nil)
        #expect(Seen.flag.isSet)
        #expect(Seen.count.count == 10)
        tri_testing_verify(heap.heap)
      }
    }
  }

  @Test("where the heap cannot grow, an allocation waits for the pages on their way")
  func heldAndFull() async {
    await #expect(processExitsWith: .success) {
      try #require(tri_testing_has_steps())
      let heap = try contractHeap {
        $0.scavenge_after_ms = 0
        $0.reservation_bytes = 16 << 20
      }
      Seen.heap = heap.heap
      try heap.attached { mutator in
        let kept = mutator.node(16)
        mutator.root(kept)
        for word in 0..<7 { mutator.store(mutator.leaf(2 << 20), in: kept, at: word) }
        mutator.store(nil, in: kept, at: 3)
        heap.collect()
        tri_testing_set_step_hook { point in
          if point != .scavenge || Seen.flag.isSet { return }
          Seen.flag.set()
          let thread = TestThread {
            var mutator: MutatorPointer?
            _ = tri_attach(Seen.heap, UInt32(TRI_ATTACH_PRECISE), &mutator)
            Seen.ticks.add()
            // Only the chunk that is held is large enough.
            if tri_alloc(mutator!, tri_layout_leaf(Seen.heap), 2 << 20) != nil { Seen.count.add() }
            _ = tri_detach(mutator!)
            Seen.progressed.add()
          }
          _ = eventually { Seen.ticks.count > 0 }
          pause(milliseconds: 50)
          if Seen.progressed.count > 0 { Seen.expectsProgress = true }  // it did not wait
          withExtendedLifetime(thread) {}
        }
        #expect(tri_trim(heap.heap) > 0)
        tri_blocking_begin(mutator.pointer)
        #expect(eventually { Seen.progressed.count > 0 })
        tri_blocking_end(mutator.pointer)
        tri_testing_set_step_hook(nil)
        #expect(Seen.flag.isSet && !Seen.expectsProgress)
        #expect(Seen.count.count == 1)
        tri_testing_verify(heap.heap)
      }
    }
  }

  @Test("the number of mappings does not grow, however often a fragmented heap gives memory back")
  func mappings() async {
    await #expect(processExitsWith: .success) {
      let heap = try contractHeap { $0.scavenge_after_ms = 0 }
      try heap.attached { mutator in
        var random = Random(1)
        let count = 512
        let kept = mutator.node(count)
        mutator.root(kept)
        func fillHoles() {
          for word in 0..<count where reference(kept, at: word) == nil {
            mutator.store(mutator.leaf(40_960 + 8192 * random.below(8)), in: kept, at: word)
          }
        }
        fillHoles()
        tri_trim(heap.heap)
        let before = readLines("/proc/self/maps").count
        let given = heap.statistics.scavenged_bytes
        for _ in 0..<1000 {
          for _ in 0..<20 {
            let word = random.below(count)
            if let object = reference(kept, at: word) {
              mutator.store(nil, in: kept, at: word)
              tri_free(mutator.pointer, object)
            }
          }
          tri_trim(heap.heap)
          fillHoles()
        }
        let more = readLines("/proc/self/maps").count - before
        #expect(more <= 4, "\(more) more mappings")
        #expect(heap.statistics.scavenged_bytes - given > 500 << 20)
        tri_testing_verify(heap.heap)
      }
    }
  }

  // MARK: Refused

  @Test("where the system refuses to take memory, nothing is lost, and it goes back later")
  func refused() async {
    await #expect(processExitsWith: .success) {
      try #require(tri_testing_has_steps())
      for skip in 0..<UInt32(20) {
        let heap = try TestHeap { $0.scavenge_after_ms = 0 }
        try heap.attached { mutator in
          let kept = mutator.node(4)
          mutator.root(kept)
          for word in 0..<80 {
            let object = mutator.leaf(100_000)
            memset(object, 1, 100_000)
            if word % 20 == 0 { mutator.store(object, in: kept, at: word / 20) }
          }
          heap.collect()
          let before = heap.statistics.mapped_bytes
          tri_testing_refuse_give_back(skip, .max)
          let some = tri_trim(heap.heap)
          tri_testing_verify(heap.heap)
          #expect(heap.statistics.mapped_bytes == before - some, "\(skip)")
          tri_testing_refuse_give_back(0, 0)
          let rest = tri_trim(heap.heap)
          #expect(some + rest >= 70 * 100_000, "\(skip): \(some), \(rest)")
          #expect(tri_trim(heap.heap) == 0)
          for _ in 0..<80 { #expect(isZero(mutator.leaf(100_000), 100_000)) }
          for word in 0..<4 { #expect(reference(kept, at: word)!.load(as: UInt8.self) == 1) }
          tri_testing_verify(heap.heap)
        }
      }
    }
  }

  @Test("refused by the clock, it is not asked again before something changes; then it works")
  func refusedByTheClock() async {
    await #expect(processExitsWith: .success) {
      try #require(tri_testing_has_steps())
      let heap = try contractHeap { $0.scavenge_after_ms = 20 }
      try heap.attached { mutator in
        func useAndDrop() {
          for _ in 0..<200 { _ = mutator.leaf(100_000) }
          heap.collect()
        }
        tri_testing_refuse_give_back(0, .max)
        useAndDrop()
        #expect(eventually { tri_testing_scavenger_ticks(heap.heap) > 0 })
        pause(milliseconds: 300)
        let ticks = tri_testing_scavenger_ticks(heap.heap)
        pause(milliseconds: 300)
        #expect(tri_testing_scavenger_ticks(heap.heap) == ticks)
        #expect(heap.statistics.scavenged_bytes == 0)
        tri_testing_refuse_give_back(0, 0)
        useAndDrop()
        #expect(eventually { heap.statistics.scavenged_bytes > 15 << 20 })
        tri_testing_verify(heap.heap)
      }
    }
  }
}

// MARK: Helpers

private func contractHeap(_ change: (inout tri_options) -> Void) throws -> TestHeap {
  try TestHeap {
    $0.reservation_bytes = 1 << 30
    $0.verify = 0
    $0.checkmark = 0
    change(&$0)
  }
}

private func residentBytes() -> Int {
  let fields = readLines("/proc/self/statm")[0].split(separator: " ")
  return Int(fields[1])! * sysconf(Int32(_SC_PAGESIZE))
}

/// 256 MiB of objects in a table; whatever of them is dropped, what lives is known.
private struct Filled {
  let mutator: TestMutator
  let table: Object
  let count: Int
  let residentAtStart: Int

  /// Nine tenths in the order of allocation, so that whole spans die.
  func drop() {
    for word in 0..<(count - count / 10) { mutator.store(nil, in: table, at: word) }
  }
  var residentBytes: Int { CTricolorTests.residentBytes() - residentAtStart }
  func isInContract(_ heap: TestHeap) -> Bool {
    Double(residentBytes) <= Double(heap.statistics.live_bytes) * 1.25 + Double(16 << 20)
  }
}

private func fill(_ mutator: TestMutator, _ bytes: Int) -> Filled {
  let start = residentBytes()
  let count = (256 << 20) / bytes
  let table = mutator.node(count)
  mutator.root(table)
  for word in 0..<count {
    let object = tri_alloc_uninitialized(mutator.pointer, tri_layout_leaf(mutator.heap), bytes)!
    memset(object, 1, bytes)
    mutator.store(object, in: table, at: word)
  }
  return Filled(mutator: mutator, table: table, count: count, residentAtStart: start)
}

/// Of these addresses, how many bytes are in mappings that ask for huge pages.
private func wishes(_ start: UInt, _ bytes: UInt) -> UInt {
  var (low, high, found) = (UInt(0), UInt(0), UInt(0))
  for line in readLines("/proc/self/smaps") {
    let words = line.split(separator: " ")
    let range = words.first?.split(separator: "-") ?? []
    if range.count == 2, let first = UInt(range[0], radix: 16), let end = UInt(range[1], radix: 16) {
      (low, high) = (max(first, start), min(end, start + bytes))
    } else if words.first == "VmFlags:" && words.contains("hg") && low < high {
      found += high - low
    }
  }
  return found
}
