// SpaceTests: growth, many heaps, memory returned, and every request for memory refused once.

import CTricolor
import CTricolor.Testing
import Glibc
import Testing
import TricolorCore

@Suite struct SpaceTests {
  @Test("a heap grows over many arenas, and reuses what it has before it grows again")
  func growth() throws {
    let heap = try TestHeap {
      $0.reservation_bytes = 1 << 30
      $0.verify = 0
      $0.checkmark = 0
    }
    try heap.attached { mutator in
      var mapped: UInt64 = 0
      for round in 0..<3 {
        let kept = mutator.root(nil)
        for _ in 0..<150 {
          let large = mutator.node((1 << 20) / 8)
          mutator.store(kept.pointee, in: large)
          kept.pointee = large
          for _ in 0..<100 { _ = mutator.leaf(1000) }
        }
        heap.collect()
        #expect(heap.statistics.live_objects == 150)
        if round == 0 { mapped = heap.statistics.mapped_bytes }
        #expect(heap.statistics.mapped_bytes <= mapped)
        kept.pointee = nil
        heap.collect()
      }
      #expect(mapped >= 150 << 20)
      tri_testing_verify(heap.heap)
    }
  }

  @Test("the first object of a heap takes one span")
  func firstSpan() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      mutator.root(mutator.leaf(16))
      #expect(heap.statistics.spans == 1)
      #expect(heap.statistics.mapped_bytes == UInt64(tri_testing_span_bytes(0)))
    }
  }

  @Test("heaps are independent of each other")
  func several() throws {
    let heaps = try (0..<10).map { _ in try TestHeap() }
    for (index, heap) in heaps.enumerated() {
      try heap.attached { mutator in
        mutator.root(mutator.list(index * 100).pointee)
        let handle = tri_handle_make(mutator.pointer, mutator.leaf(16))!
        _ = handle
        for other in heaps where other !== heap {
          #expect(!tri_is_mine(mutator.pointer, Object(bitPattern: try! address(other))))
        }
      }
    }
    for (index, heap) in heaps.enumerated() where index % 2 == 0 { heap.close() }
    for (index, heap) in heaps.enumerated() where index % 2 == 1 { #expect(heap.liveObjects() == 1) }
  }

  /// Where a heap's memory starts.
  private func address(_ heap: TestHeap) throws -> UInt {
    try heap.attached { UInt($0.pointer.pointee.heap_start) }
  }

  @Test("an address of another heap, or of none, is no object")
  func foreignAddresses() throws {
    let heap = try TestHeap()
    let other = try TestHeap()
    try heap.attached { mutator in
      let object = mutator.leaf(100)
      try other.attached { foreign in
        let stranger = foreign.leaf(100)
        #expect(tri_object_start(heap.heap, object) == object)
        #expect(tri_object_start(heap.heap, object + 99) == object)
        #expect(tri_object_start(heap.heap, stranger) == nil)
        #expect(tri_object_start(other.heap, object) == nil)
        for word in [UInt(0), 1, 8, .max, .max - 7, mutator.pointer.pointee.heap_start - 1] {
          #expect(tri_object_start(heap.heap, Object(bitPattern: word) ?? Object(bitPattern: 8)!) == nil)
        }
        let beyond = mutator.pointer.pointee.heap_start + mutator.pointer.pointee.heap_bytes
        #expect(tri_object_start(heap.heap, Object(bitPattern: beyond)!) == nil)
        #expect(tri_object_start(heap.heap, Object(bitPattern: beyond - 1)!) == nil)
      }
    }
  }

  // MARK: Memory is returned

  @Test("a hundred heaps leave no mapping and no address space behind")
  func returned() async {
    await #expect(processExitsWith: .success) {
      try useHeaps(20)  // what the process itself sets up once, malloc's arenas for instance
      let mappings = countMappings()
      let space = addressSpaceKiB()
      let threads = countThreads()
      try useHeaps(100)
      // The system library keeps the stacks of a few ended threads. A heap that left anything would leave a hundred.
      let more = countMappings() - mappings
      let grown = addressSpaceKiB() - space
      #expect(more <= 24, "\(more) more mappings")
      #expect(grown <= 64 << 10, "\(grown) KiB more address space")
      #expect(countThreads() <= threads + 4, "\(countThreads()) threads, before \(threads)")
    }
  }

  @Test("the number of mappings does not grow with use")
  func mappings() async {
    await #expect(processExitsWith: .success) {
      let heap = try TestHeap {
        $0.reservation_bytes = 1 << 30
        $0.verify = 0
        $0.checkmark = 0
      }
      try heap.attached { mutator in
        mutator.root(mutator.list(10_000).pointee)
        let before = countMappings()
        for _ in 0..<200_000 { _ = mutator.leaf(2000) }
        for _ in 0..<100 { _ = mutator.leaf(1 << 20) }
        heap.collect()
        #expect(countMappings() <= before + 16)
      }
    }
  }

  // MARK: Many heaps

  @Test("two thousand heaps fit in a process, all of them in use", arguments: [UInt64(0), 1 << 30])
  func thousands(_ reservation: UInt64) async {
    await #expect(processExitsWith: .success) { [reservation = reservation as UInt64] in
      try useHeapsAtOnce(20) { $0.reservation_bytes = reservation }
      let mappings = countMappings()
      try useHeapsAtOnce(2000) { $0.reservation_bytes = reservation }
      let more = countMappings() - mappings
      #expect(more <= 24, "\(more) more mappings")
    }
  }

  @Test("a default heap reserves all it could use, and less when other heaps hold much of the address space")
  func defaultReservations() async {
    await #expect(processExitsWith: .success) {
      let gib: UInt64 = 1 << 30
      let wanted = max(64 * gib, 8 * UInt64(sysconf(Int32(_SC_PHYS_PAGES))) * 4096)
      var left = 65536 * gib  // of half the address space
      var heaps: [TestHeap] = []
      for _ in 0..<600 {
        let heap = try TestHeap { $0.reservation_bytes = 0 }
        heaps.append(heap)
        let bytes = try reserved(heap)
        let expected = max(4 * gib, min(wanted, left / 32))
        #expect(bytes >= expected && bytes < expected + 2 << 20)
        left -= min(left, bytes)
      }
      #expect(try reserved(heaps[599]) == 4 * gib)
      // What they held can be had again when they are gone.
      heaps.removeAll()
      #expect(try reserved(TestHeap { $0.reservation_bytes = 0 }) >= min(wanted, 2048 * gib))
    }
  }

  // MARK: Little address space

  @Test("where the system grants little address space, a hundred heaps share it")
  func littleForMany() async {
    await #expect(processExitsWith: .success) {
      let limit = rlim_t((addressSpaceKiB() << 10) + 16 << 30)
      var limits = rlimit(rlim_cur: limit, rlim_max: limit)
      #expect(setrlimit(__rlimit_resource_t(9), &limits) == 0)  // RLIMIT_AS
      let first = try TestHeap { $0.reservation_bytes = 0 }
      #expect(try reserved(first) >= 1 << 31)
      try useHeapsAtOnce(100) { $0.reservation_bytes = 0 }
    }
  }

  @Test(
    "under a small limit of address space a heap is smaller, or refused, and works", arguments: [20, 60, 200, 1000])
  func addressSpaceLimit(_ mebibytes: Int) async {
    await #expect(processExitsWith: .success) { [mebibytes = mebibytes as Int] in
      let limit = rlim_t((addressSpaceKiB() << 10) + mebibytes << 20)
      var limits = rlimit(rlim_cur: limit, rlim_max: limit)
      #expect(setrlimit(__rlimit_resource_t(9), &limits) == 0)  // RLIMIT_AS
      for reservation in [UInt64(0), 64 << 30, 256 << 20] {
        var options = testOptions { $0.reservation_bytes = reservation }
        var status = tri_status.ok
        guard let collector = Collector.open(&options, status: &status) else {
          #expect(status == .outOfMemory)
          #expect(mebibytes < 200)
          continue
        }
        var mutator: MutatorPointer?
        let attached = tri_attach(collector.heap, UInt32(TRI_ATTACH_PRECISE), &mutator)
        #expect(attached == .ok || attached == .outOfMemory)
        if let mutator {
          var bytes = 0
          while bytes < 200 << 20, tri_alloc(mutator, tri_layout_leaf(collector.heap), 4000) != nil { bytes += 4000 }
          collector.gc(.background)
          collector.gc(.forceBlock)
          #expect(mebibytes < 200 || bytes > 1 << 20)
          #expect(tri_detach(mutator) == .ok)
        }
        #expect(collector.close() == .ok)
      }
    }
  }

  // MARK: Memory refused

  @Test(
    "every request for memory refused, one after another: a status, or success, and nothing is lost",
    arguments: [UInt32(1), 1000])
  func refused(_ count: UInt32) async {
    await #expect(processExitsWith: .success) { [count = count as UInt32] in
      var succeeded = 0
      for skip in 0..<UInt32(200) where useHeapRefusing(skip: skip, count: count) { succeeded += 1 }
      // Far enough out nothing is refused any more.
      #expect(succeeded > 50)
      #expect(succeeded < 200)
    }
  }

  @Test("memory refused for everything while marking: the mark is complete all the same", arguments: [UInt32(0), 1, 2])
  func refusedMarking(_ mode: UInt32) async {
    await #expect(processExitsWith: .success) { [mode = mode as UInt32] in
      let heap = try TestHeap { $0.mark_workers = 2 }
      try heap.attached { mutator in
        // Wide, so that the grey objects are many, and each with something of its own behind it.
        let count = 100_000
        let table = mutator.node(count)
        mutator.root(table)
        for word in 0..<count {
          let node = mutator.node()
          mutator.store(node, in: table, at: word)
          mutator.store(mutator.node(), in: node)
        }
        for _ in 0..<3 {
          tri_testing_refuse_memory(0, .max)
          heap.collect(Mode(rawValue: mode)!)
          tri_testing_refuse_memory(0, 0)
          #expect(heap.statistics.live_objects == UInt64(2 * count + 1), "\(heap.statistics.live_objects)")
          tri_testing_verify(heap.heap)
        }
        #expect((0..<count).allSatisfy { reference(reference(table, at: $0)!) != nil })
      }
    }
  }

  // The tables of the smaller heap are committed whole, those of the larger one with each arena.
  @Test(
    "memory refused in the middle of growth leaves what there is intact", arguments: [UInt64(256) << 20, 8 << 30])
  func refusedGrowth(_ reservation: UInt64) async {
    await #expect(processExitsWith: .success) { [reservation = reservation as UInt64] in
      for skip in 0..<UInt32(24) {
        let heap = try TestHeap {
          $0.reservation_bytes = reservation
          $0.verify = 0
          $0.checkmark = 0
        }
        // One reference, and nothing else to look at.
        let layout = try heap.layout {
          $0.form = .custom
          $0.trace = { object, _, visitor, _ in tri_visit(visitor, object.load(as: UnsafeRawPointer?.self)) }
        }
        try heap.attached { mutator in
          let kept = mutator.list(1000)
          heap.collect()
          heap.collect(.background)
          tri_testing_refuse_memory(skip, 1000)
          var refused = 0
          for _ in 0..<40 {
            let (status, object) = mutator.allocate(layout, 5 << 20)
            if let object {
              mutator.store(kept.pointee, in: object)
              kept.pointee = object
            } else {
              refused += 1
            }
            #expect(status == .ok || status == .outOfMemory || status == .limitReached)
          }
          tri_testing_refuse_memory(0, 0)
          #expect(refused > 0 || skip > (reservation > 4 << 30 ? 10 : 2), "\(skip): \(refused)")
          let length = 1000 + 40 - refused
          #expect(listLength(kept.pointee) == length, "\(skip): \(refused)")
          #expect(mutator.allocate(layout, 5 << 20).status == .ok, "\(skip): \(refused)")
          #expect(heap.liveObjects() == UInt64(length), "\(skip): \(refused)")
        }
      }
    }
  }
}

// MARK: Helpers of the exit tests

private func useHeaps(_ count: Int) throws {
  for index in 0..<count {
    let heap = try TestHeap { $0.mark_workers = 2 }
    let pool = UnsafeMutablePointer<OpaquePointer?>.allocate(capacity: 1)
    defer { pool.deallocate() }
    try heap.attached { mutator in
      mutator.root(mutator.list(index % 10 == 0 ? 100_000 : 500).pointee)
      for _ in 0..<100 { _ = tri_handle_make(mutator.pointer, mutator.leaf(50_000)) }
      #expect(tri_pool_make(heap.heap, 0, pool) == .ok)
      tri_pool_put(mutator.pointer, pool.pointee!, mutator.leaf(16))
      heap.collector.gc(.background)
      heap.collector.gc(.force)
    }
    heap.close()
  }
}

private func reserved(_ heap: TestHeap) throws -> UInt64 {
  try heap.attached { UInt64($0.pointer.pointee.heap_bytes) }
}

/// This thread stays attached to all of them, and a few collect.
private func useHeapsAtOnce(_ count: Int, _ change: (inout tri_options) -> Void) throws {
  let heaps = try (0..<count).map { _ in try TestHeap(change) }
  let mutators = try heaps.map { heap in
    var mutator: MutatorPointer?
    try #require(tri_attach(heap.heap, UInt32(TRI_ATTACH_PRECISE), &mutator) == .ok)
    return TestMutator(pointer: mutator!, heap: heap.heap)
  }
  for mutator in mutators { _ = tri_handle_make(mutator.pointer, mutator.node()) }
  for index in stride(from: 0, to: count, by: 100) { #expect(heaps[index].liveObjects() == 1) }
  // From both ends: a thread finds its heaps in any order.
  for index in 0..<count {
    let mutator = mutators[index % 2 == 0 ? index / 2 : count - 1 - index / 2]
    #expect(tri_current_mutator(mutator.heap) == mutator.pointer)
    #expect(tri_detach(mutator.pointer) == .ok)
    #expect(tri_current_mutator(mutator.heap) == nil)
  }
}

func readLines(_ path: String) -> [String] {
  guard let file = fopen(path, "r") else { return [] }
  defer { fclose(file) }
  var lines: [String] = []
  var buffer = [CChar](repeating: 0, count: 4096)
  while fgets(&buffer, Int32(buffer.count), file) != nil {
    lines.append(String(decoding: buffer.prefix { $0 != 0 && $0 != 10 }.map(UInt8.init(bitPattern:)), as: UTF8.self))
  }
  return lines
}

private func countMappings() -> Int { readLines("/proc/self/maps").count }

private func statusNumber(_ name: String) -> Int {
  let line = readLines("/proc/self/status").first { $0.hasPrefix(name + ":") } ?? ""
  return Int(line.split(whereSeparator: { !$0.isNumber }).first ?? "") ?? 0
}
private func addressSpaceKiB() -> Int { statusNumber("VmSize") }
private func countThreads() -> Int { statusNumber("Threads") }

/// A whole life of a heap with `count` requests refused after `skip`. True if nothing was refused.
private func useHeapRefusing(skip: UInt32, count: UInt32) -> Bool {
  tri_testing_refuse_memory(skip, count)
  defer { tri_testing_refuse_memory(0, 0) }
  var options = testOptions()
  var status = tri_status.ok
  var all = true
  func note(_ status: tri_status) -> Bool {
    if status == .ok { return true }
    #expect(status == .outOfMemory || status == .limitReached, "\(status)")
    all = false
    return false
  }
  guard let collector = Collector.open(&options, status: &status) else {
    _ = note(status)
    return false
  }
  let heap = collector.heap
  var mutator: MutatorPointer?
  if note(tri_attach(heap, UInt32(TRI_ATTACH_PRECISE), &mutator)), let mutator {
    let scope = tri_scope_begin(mutator)
    var description = tri_layout_description()
    description.form = .mask
    var kept: UInt64 = 0
    for words in UInt32(1)...12 {
      description.prefix_words = words
      description.prefix_mask = 1
      var layout: OpaquePointer?
      guard note(tri_layout_make(heap, &description, &layout)) else { continue }
      for bytes in [16, 200, 3000, 20_000, 60_000] {
        var object: Object?
        if note(tri_allocate(mutator, layout!, bytes, 16, &object)) {
          if tri_scope_slot(mutator, object) != nil { kept += 1 } else { all = false }
        }
      }
    }
    var handles: [OpaquePointer] = []
    for _ in 0..<600 {
      if let handle = tri_handle_make(mutator, nil) { handles.append(handle) } else { all = false }
    }
    let words = Slot.allocate(capacity: 64)
    words.initialize(repeating: nil, count: 64)
    var ranges: [Slot] = []
    for index in 0..<64 {
      if note(tri_root_add_range(heap, words + index, 1, 0)) { ranges.append(words + index) }
    }
    var pool: OpaquePointer?
    if note(tri_pool_make(heap, 0, &pool)) {
      for _ in 0..<100 { tri_pool_put(mutator, pool!, tri_empty_object()) }
      if tri_pool_count(pool!) < 100 { all = false }
    }
    _ = note(tri_operand_stack_add(mutator, words, words))
    _ = tri_operand_stack_remove(mutator, words)
    collector.gc(.background)
    collector.gc(.forceBlock)
    collector.gc(.forceBlock)
    // What was allocated while marking is gone as well now.
    tri_testing_refuse_memory(0, 0)
    var statistics = tri_statistics()
    tri_statistics_read(heap, &statistics)
    #expect(statistics.live_objects == kept)
    for handle in handles { tri_handle_free(mutator, handle) }
    for range in ranges { #expect(tri_root_remove_range(heap, range) == .ok) }
    if let pool { tri_pool_free(heap, pool) }
    tri_scope_end(mutator, scope)
    #expect(tri_detach(mutator) == .ok)
    words.deallocate()
  }
  tri_testing_refuse_memory(0, 0)
  #expect(collector.close() == .ok)
  return all
}
