// MinorCycleTests: cycles that mark only what is new since the last one (collect/remember.h).

import CTricolor
import CTricolor.Testing
import Testing
import TricolorCore

@Suite struct MinorCycleTests {
  @Test("an immediate that looks like an address beyond what is committed is stored into an old object")
  func immediateStored() throws {
    let heap = try TestHeap.keepingMarks {
      $0.tag_mask = 1
      $0.tag_value = 1
    }
    try heap.attached { mutator in
      let object = mutator.node(8)
      mutator.root(object)
      heap.collect(.background)
      let end = mutator.pointer.pointee.heap_start + mutator.pointer.pointee.heap_bytes
      let immediate = Object(bitPattern: end - 15)!
      mutator.store(immediate, in: object, at: 0)
      tri_copy(mutator.pointer, object, object + 8, object, 1)
      #expect(heap.isOld(object))
      heap.collectMinor()
      #expect(reference(object, at: 1) == immediate)
    }
  }

  // MARK: What is written down

  @Test("a young object that only an old one refers to survives, and the old one is old again")
  func rememberedStore() throws {
    let heap = try TestHeap.keepingMarks()
    try heap.attached { mutator in
      let old = mutator.list(100)
      heap.collect(.background)
      #expect(heap.isOld(old.pointee!))
      let young = mutator.node()
      #expect(!heap.isOld(young))
      mutator.store(young, in: old.pointee!, at: 1)
      #expect(!heap.isOld(old.pointee!))
      for _ in 0..<1000 { _ = mutator.node() }
      heap.collectMinor()
      #expect(heap.isOld(old.pointee!) && heap.isOld(young))
      #expect(heap.statistics.live_objects == 101)
      // The list but its head was not marked again.
      #expect(heap.statistics.marked_objects_at_last_cycle == 2)
    }
  }

  @Test("swaps and copies into old objects are written down; clearing, old values, young objects and roots are not")
  func whatIsLogged() throws {
    let heap = try TestHeap.keepingMarks()
    try heap.attached { mutator in
      let old = (0..<6).map { _ in mutator.root(mutator.node(8)).pointee! }
      let range = Slot.allocate(capacity: 1)
      range.initialize(to: nil)
      defer { range.deallocate() }
      #expect(tri_root_add_range(heap.heap, range, 1, 0) == .ok)
      heap.collect(.background)
      let m = mutator.pointer
      let young = mutator.root(mutator.node(8)).pointee!
      mutator.store(young, in: young, at: 1)
      _ = tri_swap(m, old[0], old[0], young)
      tri_copy(m, old[1], old[1] + 16, young, 3)
      #expect(!heap.isOld(old[0]) && !heap.isOld(old[1]))
      tri_clear(m, old[2], old[2], 8)
      mutator.store(old[5], in: old[3])
      _ = tri_swap(m, old[3], old[3], nil)
      tri_copy(m, old[4], old[4], old[5], 8)
      tri_copy(m, young, young, old[5], 1)
      tri_root_store(m, range, young)
      let handle = tri_handle_make(m, young)!
      for index in 2...5 { #expect(heap.isOld(old[index])) }
      tri_handle_free(m, handle)
      heap.collectMinor()
      #expect(heap.statistics.marked_objects_at_last_cycle == 3)
      #expect(tri_root_remove_range(heap.heap, range) == .ok)
    }
  }

  @Test("an old object is written down once, from whatever thread, and many are")
  func manyRemembered() throws {
    let heap = try TestHeap.keepingMarks()
    let count = 5000
    try heap.attached { mutator in
      let table = mutator.node(count)
      mutator.root(table)
      for word in 0..<count { mutator.store(mutator.node(), in: table, at: word) }
      heap.collect(.background)
      tri_blocking_begin(mutator.pointer)
      // One that is gone before the cycle, with what it wrote down.
      nonisolated(unsafe) let shared = table
      TestThread {
        try! heap.attached { other in
          for word in 0..<count { other.store(other.leaf(16), in: reference(shared, at: word)!) }
        }
      }.join()
      tri_blocking_end(mutator.pointer)
      for word in 0..<count { mutator.store(mutator.leaf(16), in: reference(table, at: word)!, at: 1) }
      heap.collectMinor()
      #expect(heap.statistics.live_objects == UInt64(3 * count + 1))
      #expect(heap.statistics.marked_objects_at_last_cycle == UInt64(3 * count))
    }
  }

  @Test("an address inside a young object, stored into an old conservative one, keeps it")
  func interiorYoung() throws {
    let heap = try TestHeap.keepingMarks()
    try heap.attached { mutator in
      let old = mutator.object(heap.conservative, 64)
      mutator.root(old)
      heap.collect(.background)
      let young = mutator.leaf(200)
      let large = mutator.leaf(100_000)
      mutator.store(young + 136, in: old, at: 3)
      mutator.store(large + 70_000, in: old, at: 4)
      heap.collectMinor()
      #expect(heap.isOld(young) && heap.isOld(large) && heap.isOld(old))
      #expect(heap.statistics.live_objects == 3)
    }
  }

  @Test("young objects live by scopes, operand stacks, handles, ranges and native stacks")
  func youngRoots() throws {
    let heap = try TestHeap.keepingMarks()
    try heap.attached { mutator in
      heap.collect(.background)
      let words = Slot.allocate(capacity: 3)
      words.initialize(repeating: nil, count: 3)
      let top = UnsafeMutablePointer<UnsafeMutableRawPointer?>.allocate(capacity: 1)
      top.initialize(to: UnsafeMutableRawPointer(words + 1))
      defer {
        words.deallocate()
        top.deallocate()
      }
      #expect(tri_operand_stack_add(mutator.pointer, words, top) == .ok)
      #expect(tri_root_add_range(heap.heap, words + 2, 1, 0) == .ok)
      for _ in 0..<3 {
        mutator.root(mutator.list(10).pointee)
        words[0] = mutator.node()
        tri_root_store(mutator.pointer, words + 2, mutator.node())
        let handle = tri_handle_make(mutator.pointer, mutator.node())!
        let before = heap.statistics.live_objects
        heap.collectMinor()
        #expect(heap.statistics.live_objects == before + 13)
        tri_handle_free(mutator.pointer, handle)
      }
      #expect(tri_operand_stack_remove(mutator.pointer, words) == .ok)
      #expect(tri_root_remove_range(heap.heap, words + 2) == .ok)
      #expect(heap.liveObjects() == 30)
    }
  }

  // MARK: While a minor cycle marks

  @Test(
    "a young object moved into an old one at any step of a minor cycle is not lost",
    arguments: [tri_barrier_policy.hybrid.rawValue, tri_barrier_policy.dijkstra.rawValue], [false, true])
  func movedAtEveryStep(_ policy: UInt32, _ plainRoots: Bool) throws {
    let heap = try TestHeap.keepingMarks { $0.barrier = tri_barrier_policy(rawValue: policy)! }
    let range = Slot.allocate(capacity: 1)
    range.initialize(to: nil)
    defer { range.deallocate() }
    if plainRoots { #expect(tri_root_add_range(heap.heap, range, 1, UInt32(TRI_ROOT_PLAIN)) == .ok) }
    try heap.attached { mutator in
      let steps = 4
      for copies in [false, true] {
        let old = mutator.node(2 * steps)
        mutator.root(old)
        let remembered = mutator.node(2 * steps)
        mutator.root(remembered)
        heap.collect(.background)
        let young = (0..<steps).map { _ in mutator.list(20) }
        let holder = mutator.node(steps)
        mutator.root(holder)
        for step in 0..<steps {
          mutator.store(mutator.list(20).pointee, in: holder, at: step)
          mutator.store(mutator.leaf(16), in: remembered, at: step)
        }
        func move(_ step: Int) {
          mutator.store(young[step].pointee, in: old, at: 2 * step)
          young[step].pointee = nil
          if copies {
            tri_copy(mutator.pointer, old, old + 8 * (2 * step + 1), holder + 8 * step, 1)
          } else {
            mutator.store(reference(holder, at: step), in: old, at: 2 * step + 1)
          }
          mutator.store(nil, in: holder, at: step)
          // Out of one that is written down, by a word that only the stack holds for a moment.
          mutator.store(reference(remembered, at: step), in: old, at: 2 * step)
          mutator.store(nil, in: remembered, at: step)
          mutator.store(reference(old, at: 2 * step), in: remembered, at: steps + step)
        }
        let before = heap.statistics.cycles_minor
        let cycle = HandCycle(heap)
        move(0)
        cycle.begin(triggered: true)
        move(1)
        cycle.scan()
        move(2)
        cycle.mark()
        move(3)
        cycle.finish()
        #expect(heap.statistics.cycles_minor == before + 1)
        for step in 0..<steps {
          #expect(listLength(reference(old, at: 2 * step + 1)) >= 20)
          #expect(heap.isOld(reference(remembered, at: steps + step)!))
        }
        heap.collectMinor()
        for step in 0..<steps { #expect(heap.isOld(reference(old, at: 2 * step + 1)!)) }
      }
    }
    if plainRoots { #expect(tri_root_remove_range(heap.heap, range) == .ok) }
  }

  @Test("what is allocated while a minor cycle marks is old after it, and remembers like any other")
  func bornWhileMarking() throws {
    let heap = try TestHeap.keepingMarks()
    try heap.attached { mutator in
      heap.collect(.background)
      let cycle = HandCycle(heap)
      cycle.begin(triggered: true)
      let born = mutator.root(mutator.node()).pointee!
      let large = mutator.root(mutator.node(5000)).pointee!
      cycle.scan()
      cycle.mark()
      cycle.finish()
      #expect(heap.isOld(born) && heap.isOld(large))
      mutator.store(mutator.leaf(16), in: born)
      mutator.store(mutator.leaf(16), in: large, at: 4999)
      heap.collectMinor()
      #expect(heap.statistics.live_objects == 4)
    }
  }

  // MARK: Explicit free

  @Test(
    "a slot that was written down, freed and used again holds a young object like any other", arguments: [16, 3000])
  func freedRememberedSlot(_ bytes: Int) throws {
    let heap = try TestHeap.keepingMarks()
    try heap.attached { mutator in
      let words = bytes / 8
      let olds = (0..<100).map { _ in mutator.root(mutator.node(words)) }
      heap.collect(.background)
      let young = mutator.root(mutator.node())
      for old in olds { mutator.store(young.pointee, in: old.pointee!) }
      young.pointee = nil
      // All of the span, so that refills take the slots up.
      var freed = Set<Object>()
      for old in olds {
        freed.insert(old.pointee!)
        tri_free(mutator.pointer, old.pointee)
        old.pointee = nil
      }
      var reused = 0
      for (index, old) in olds.enumerated() {
        let node = mutator.node(words)
        if freed.contains(node) { reused += 1 }
        #expect(!heap.isOld(node) && isZero(node, bytes))
        if index % 2 == 0 {
          old.pointee = node
          mutator.store(mutator.leaf(16), in: node)
        }
      }
      #expect(reused > 0)
      heap.collectMinor()
      // Some of the dead ones are taken for alive, as they are in the place of one that was written down; no more.
      #expect((100...151).contains(heap.statistics.live_objects), "\(heap.statistics.live_objects)")
      for old in olds where old.pointee != nil {
        #expect(heap.isOld(old.pointee!) && heap.isOld(reference(old.pointee!)!))
      }
      #expect(heap.liveObjects() == 100)
    }
  }

  @Test("the pages of a large object that was written down and freed may be anything when a minor cycle begins")
  func freedRememberedLarge() throws {
    let heap = try TestHeap.keepingMarks()
    try heap.attached { mutator in
      for filler in [48, 3000, 40_000] {
        let large = (0..<4).map { _ in mutator.root(mutator.node(5000)) }
        heap.collect(.background)
        for object in large {
          mutator.store(mutator.leaf(16), in: object.pointee!)
          tri_free(mutator.pointer, object.pointee)
          object.pointee = nil
        }
        let kept = mutator.root(nil)
        for _ in 0..<1_000_000 / filler {
          let node = mutator.node(filler / 8)
          mutator.store(kept.pointee, in: node)
          kept.pointee = node
        }
        heap.collectMinor()
        #expect(listLength(kept.pointee) == 1_000_000 / filler)
      }
    }
  }

  @Test("old objects freed while a minor cycle marks are gone after it; those with a destroy callback once")
  func freedWhileMarking() throws {
    let heap = try TestHeap.keepingMarks()
    let destroyed = Counter()
    heap.keep(destroyed)
    let owner = try heap.layout {
      $0.form = .mask
      $0.prefix_words = 2
      $0.prefix_mask = 1
      $0.context = Unmanaged.passUnretained(destroyed).toOpaque()
      $0.destroy = { _, _, context in Unmanaged<Counter>.fromOpaque(context!).takeUnretainedValue().add() }
    }
    try heap.attached { mutator in
      let slots = (0..<8).map { index in mutator.root(mutator.object(owner, index < 4 ? 16 : 60_000)) }
      heap.collect(.background)
      for slot in slots { mutator.store(mutator.leaf(16), in: slot.pointee!) }
      let objects = slots.map { $0.pointee! }
      let cycle = HandCycle(heap)
      func drop(_ index: Int) {
        for each in [index, index + 4] {
          slots[each].pointee = nil
          tri_free(mutator.pointer, objects[each])
        }
      }
      drop(0)
      cycle.begin(triggered: true)
      drop(1)
      cycle.scan()
      cycle.mark()
      drop(2)
      cycle.finish()
      #expect(destroyed.count == 6)
      for index in 0..<8 { #expect(tri_testing_is_allocated(heap.heap, objects[index]) == (index % 4 == 3)) }
      slots[3].pointee = nil
      slots[7].pointee = nil
      heap.collectMinor()
      #expect(destroyed.count == 6)
      #expect(heap.liveObjects() == 0)
      #expect(destroyed.count == 8)
    }
  }

  // MARK: Full cycles

  @Test(
    "garbage that was old is kept by minor cycles and reclaimed by one that was asked for",
    arguments: [tri_mode.background, .force, .forceBlock])
  func fullCycleForgets(_ mode: tri_mode) throws {
    let heap = try TestHeap.keepingMarks()
    try heap.attached { mutator in
      let list = mutator.list(1000)
      let kept = mutator.root(mutator.node())
      heap.collect(.background)
      // Written down before it is dropped, and never looked at.
      mutator.store(mutator.leaf(16), in: list.pointee!, at: 1)
      list.pointee = nil
      heap.collectMinor()
      #expect(heap.statistics.live_objects == 1002)
      mutator.store(mutator.leaf(16), in: kept.pointee!)
      heap.collect(mode)
      #expect(heap.statistics.live_objects == 2 && heap.statistics.marked_objects_at_last_cycle == 2)
      #expect(heap.isOld(kept.pointee!))
      // What was written down before it is not marked in the next one.
      heap.collectMinor()
      #expect(heap.statistics.marked_objects_at_last_cycle == 0 && heap.statistics.live_objects == 2)
    }
  }

  @Test(
    "a span that nobody took a slot of is passed over by a minor sweep: counted as it was, and its free slots are used",
    arguments: [16, 64, 1024, 5120])
  func untouched(bytes: Int) throws {
    let heap = try TestHeap.keepingMarks()
    try heap.attached { mutator in
      // Every other object of a span, and one of another class to keep the cycles busy.
      var kept: [Object] = []
      for index in 0..<128 {
        let object = mutator.leaf(bytes)
        if index % 2 == 0 { kept.append(mutator.root(object).pointee!) }
      }
      heap.collector.gc(.background)
      let old = heap.statistics
      for round in 1...3 {
        _ = mutator.root(mutator.leaf(32))
        heap.collectMinor()
        #expect(heap.statistics.live_objects == old.live_objects + UInt64(round))
        #expect(heap.statistics.live_bytes == old.live_bytes + 32 * UInt64(round))
        #expect(kept.allSatisfy { heap.isOld($0) })
        tri_testing_verify(heap.heap)
      }
      let spans = heap.statistics.spans
      for _ in 0..<64 { _ = mutator.root(mutator.leaf(bytes)) }
      #expect(heap.statistics.spans == spans, "free slots before new spans")
      heap.collector.gc(.forceBlock)
      #expect(heap.statistics.live_objects == old.live_objects + 3 + 64)
      tri_testing_verify(heap.heap)
    }
  }

  @Test("pools are kept by minor cycles and emptied by full ones", arguments: [0, UInt32(TRI_POOL_VICTIM)])
  func pools(_ flags: UInt32) throws {
    let heap = try TestHeap.keepingMarks()
    var made: OpaquePointer?
    #expect(tri_pool_make(heap.heap, flags, &made) == .ok)
    let pool = made!
    try heap.attached { mutator in
      heap.collect(.background)
      for _ in 0..<10 { tri_pool_put(mutator.pointer, pool, mutator.node()) }
      heap.collectMinor()
      #expect(tri_pool_count(pool) == 10 && heap.statistics.live_objects == 10)
      mutator.store(mutator.node(), in: tri_pool_take(mutator.pointer, pool)!)
      heap.collectMinor()
      #expect(tri_pool_count(pool) == 9)
      heap.collect(.background)
      #expect(tri_pool_count(pool) == (flags == 0 ? 0 : 9))
      heap.collectMinor()
      #expect(tri_pool_count(pool) == (flags == 0 ? 0 : 9))
      heap.collect(.force)
      #expect(tri_pool_count(pool) == 0 && heap.statistics.live_objects == 0)
    }
    tri_pool_free(heap.heap, pool)
  }

  @Test("under stop-the-world, with a custom layout, and where minor cycles are off, nothing is written down")
  func neverLogs() throws {
    func logs(_ mutator: TestMutator) -> Bool { mutator.pointer.pointee.barrier & UInt32(TRI_LOGS_OLD) != 0 }
    for change: (inout tri_options) -> Void in [
      { $0.barrier = .stopTheWorld }, { $0.generations = .off },
    ] {
      let heap = try TestHeap.keepingMarks(change)
      try heap.attached { mutator in
        let object = mutator.root(mutator.node()).pointee!
        for _ in 0..<3 {
          heap.collector.gc(.background, triggered: true)
          #expect(eventually { !tri_testing_sweep_is_running(heap.heap) })
          #expect(!logs(mutator) && !heap.isOld(object))
        }
        #expect(heap.statistics.cycles_minor == 0)
      }
    }
    let heap = try TestHeap.keepingMarks()
    try heap.attached { mutator in
      let object = mutator.root(mutator.node()).pointee!
      heap.collect(.background)
      #expect(logs(mutator) && heap.isOld(object))
      // In the middle of an epoch.
      let custom = try heap.layout {
        $0.form = .custom
        $0.trace = { object, _, visitor, _ in tri_visit(visitor, object.load(as: UnsafeRawPointer?.self)) }
      }
      #expect(logs(mutator))
      let traced = mutator.root(mutator.object(custom, 16)).pointee!
      mutator.store(mutator.leaf(16), in: traced)
      mutator.store(mutator.leaf(16), in: object)
      heap.collector.gc(.background, triggered: true)
      #expect(heap.statistics.cycles_minor == 0 && heap.statistics.live_objects == 4)
      #expect(!logs(mutator) && !heap.isOld(object))
    }
  }

  @Test("a freed old object is not scanned again when memory for grey objects was refused")
  func freedBeforeRecovery() async {
    await #expect(processExitsWith: .success) {
      let heap = try TestHeap.keepingMarks()
      let rare = try heap.layout {
        $0.form = .mask
        $0.prefix_words = 5
        $0.prefix_mask = 1
      }
      try heap.attached { mutator in
        // Large objects side by side, so that one of them starts in the middle of what takes their place.
        let large = (0..<4).map { _ in mutator.node(5000) }
        let holders = large.map { object in
          let holder = mutator.root(mutator.object(rare, 40))
          mutator.store(object, in: holder.pointee!)
          return holder
        }
        let count = 200_000
        let table = mutator.node(count)
        mutator.root(table)
        for word in 0..<count { mutator.store(mutator.node(), in: table, at: word) }
        heap.collect(.background)
        for (holder, object) in zip(holders, large) {
          tri_free(mutator.pointer, holder.pointee)
          tri_free(mutator.pointer, object)
          holder.pointee = nil
        }
        let kept = mutator.root(nil)
        for _ in 0..<20_000 { kept.pointee = mutator.leaf(48) }
        // More old objects are written down than there is memory for.
        let young = mutator.root(mutator.node())
        tri_testing_refuse_memory(0, .max)
        for word in 0..<count { mutator.store(young.pointee, in: reference(table, at: word)!) }
        tri_testing_refuse_memory(0, 0)
        #expect((0..<count).contains { heap.isOld(reference(table, at: $0)!) })
        young.pointee = nil
        heap.collectMinor()
        tri_testing_verify(heap.heap)
        #expect(heap.liveObjects() == UInt64(count + 3))
      }
    }
  }

  @Test("a reference that comes into the source of a copy while it is copied is not lost")
  func copiedWhileStored() async {
    await #expect(processExitsWith: .success) {
      endAfter(seconds: 60)
      let heap = try TestHeap.keepingMarks()
      let count = 300_000
      try heap.attached { mutator in
        let source = mutator.root(mutator.node(count))
        let copy = mutator.root(mutator.node(count))
        var isDone = false
        for round in 0..<100 where !isDone {
          heap.collect(.background)
          Seen.object = source.pointee
          let writer = storingWhenTold(heap, after: Seen.count.count)
          // The writer's object must be there, and be young.
          tri_blocking_begin(mutator.pointer)
          #expect(eventually { Seen.progressed.count > round })
          tri_blocking_end(mutator.pointer)
          tri_testing_set_step_hook { if $0 == .store { Seen.count.add() } }
          tri_copy(mutator.pointer, copy.pointee!, copy.pointee!, source.pointee!, count)
          tri_testing_set_step_hook(nil)
          isDone = reference(copy.pointee!) != nil && reference(source.pointee!) != nil
          if isDone { #expect(!heap.isOld(copy.pointee!)) }
          while Seen.ticks.count <= round { tri_safepoint(mutator.pointer) }
          tri_blocking_begin(mutator.pointer)
          writer.join()
          tri_blocking_end(mutator.pointer)
          mutator.store(nil, in: source.pointee!)
          if isDone { heap.collectMinor() }
          mutator.store(nil, in: copy.pointee!)
        }
        #expect(isDone)
      }
    }
  }
}

/// A thread that stores a young object into the first word of `Seen.object` as soon as somebody has begun to copy.
private func storingWhenTold(_ heap: TestHeap, after before: Int) -> TestThread {
  TestThread {
    try! heap.attached { mutator in
      let young = mutator.root(mutator.leaf(16))
      Seen.progressed.add()
      while Seen.count.count == before { tri_safepoint(mutator.pointer) }
      mutator.store(young.pointee, in: Seen.object)
      Seen.ticks.add()
    }
  }
}

extension TestHeap {
  /// From the first cycle on, what survives is old until the next full one; three minor cycles follow each.
  static func keepingMarks(_ change: (inout tri_options) -> Void = { _ in }) throws -> TestHeap {
    try TestHeap {
      $0.generations = .always
      change(&$0)
    }
  }

  /// A minor cycle: as if allocation had triggered it.
  func collectMinor() {
    let before = statistics.cycles_minor
    collector.gc(.background, triggered: true)
    if statistics.cycles_minor != before + 1 { Issue.record("the cycle was not minor") }
  }

  /// Survived, and not written down since. Between cycles.
  func isOld(_ object: Object) -> Bool { tri_testing_is_marked(heap, object) }
}
