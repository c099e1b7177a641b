// MagazineTests: what a thread freed last is what it allocates next, and nobody else gets it as well. Double frees:
// CrashTests.

import CTricolor
import CTricolor.Testing
import Glibc
import Testing
import TricolorCore

private let magazineSlots = 62
/// Frees of a class between two of its refills, from which on a refill fills the magazine.
private let churned = 32
private let classesBetweenCollisions: UInt32 = 128

/// Objects in groups that are in no window of this thread any more, and nothing waiting in the window they came from.
/// This thread has just told the heap what it allocated; when it next does, an allocation takes the long way.
private func settled(_ mutator: TestMutator, _ layout: OpaquePointer, _ bytes: Int, _ count: Int) -> [Object] {
  func told() -> UInt64 {
    var statistics = tri_statistics()
    tri_statistics_read(mutator.heap, &statistics)
    return statistics.allocated_since_cycle_bytes
  }
  let objects = (0..<count).map { _ in mutator.object(layout, bytes) }
  var before: UInt64
  repeat {
    mutator.drain(layout, bytes)
    before = told()
    _ = mutator.object(layout, bytes)
  } while told() == before
  mutator.drain(layout, bytes)
  return objects
}

private func slotsOfSpan(_ bytes: Int) -> Int {
  let sizeClass = tri_size_class(bytes)
  return Int(tri_testing_span_bytes(sizeClass) / tri_size_class_bytes(sizeClass))
}

/// Allocates until every slot of `among` was handed out that is not one of `besides`, each once and before the heap has
/// grown by much.
private func expectEachOnce(
  _ mutator: TestMutator, _ layout: OpaquePointer, _ bytes: Int, besides: Set<UInt>, among: Set<UInt>
) {
  var all = besides
  var left = among.subtracting(besides)
  for _ in 0..<(4 << 20) / bytes where !left.isEmpty {
    let object = address(mutator.object(layout, bytes))
    left.remove(object)
    if !all.insert(object).inserted {
      Issue.record("a slot of \(bytes) bytes was handed out twice")
      return
    }
  }
  if !left.isEmpty { Issue.record("\(left.count) slots of \(bytes) bytes are lost") }
}

// Of one test, in a process of its own.
nonisolated(unsafe) private var forgettingHeap: OpaquePointer?

@Suite struct MagazineTests {
  // MARK: Between cycles that keep their marks

  @Test("what old objects leave comes back young, freed alone and beside another thread", arguments: [false, true])
  func oldSlots(_ isBeside: Bool) throws {
    let heap = try TestHeap.keepingMarks()
    try heap.attached { mutator in
      let head = mutator.list(300)
      heap.collect(.background)
      var old: [Object] = []
      for node in sequence(first: head.pointee!, next: { reference($0) }) { old.append(node) }
      head.pointee = nil
      let companion = isBeside ? Companion(heap) : nil
      // A group is a thread's own once it has loaded it: for what was freed of it.
      for index in stride(from: 0, to: old.count, by: 3) { tri_free(mutator.pointer, old[index]) }
      for _ in 0..<300 { #expect(!heap.isOld(mutator.node())) }
      let left = old.indices.filter { $0 % 3 != 0 }.map { old[$0] }.prefix(50)
      #expect(left.allSatisfy { heap.isOld($0) && tri_testing_is_allocated(heap.heap, $0) })
      for object in left {
        tri_free(mutator.pointer, object)
        #expect(!heap.isOld(object))
        #expect(!tri_testing_is_allocated(heap.heap, object))
      }
      var missing = Set(left)
      for _ in 0..<2000 where !missing.isEmpty {
        let young = mutator.node()
        #expect(!heap.isOld(young) && tri_testing_is_allocated(heap.heap, young))
        missing.remove(young)
      }
      #expect(missing.isEmpty)
      companion?.end()
      mutator.root(left[0])
      heap.collectMinor()
      #expect(heap.isOld(left[0]) && !heap.isOld(left[1]))
    }
  }

  @Test(
    "a free of an old object puts no bits back that a full cycle is just clearing",
    .enabled(if: tri_testing_has_steps()))
  func marksForgottenMeanwhile() async {
    await #expect(processExitsWith: .success) {
      let heap = try TestHeap.keepingMarks()
      try heap.attached { mutator in
        let head = mutator.list(300)
        heap.collect(.background)
        let old = Array(sequence(first: head.pointee!, next: { reference($0) }))
        #expect(old.allSatisfy { heap.isOld($0) })
        forgettingHeap = heap.heap
        tri_testing_set_step_hook { if $0 == .forget { tri_testing_forget_marks(forgettingHeap!) } }
        // The last one: nobody refers to it from then on.
        mutator.store(nil, in: old[298], at: 0)
        tri_free(mutator.pointer, old[299])
        tri_testing_set_step_hook(nil)
        #expect(!old[..<299].contains { heap.isOld($0) })
        heap.collect(.background)
        #expect(listLength(head.pointee) == 299)
      }
    }
  }

  // MARK: One thread

  @Test(
    "slots come back in the opposite order, zeroed where that is asked for",
    arguments: [16, 32, 48, 64, 80, 96, 112, 128, 129, 600, 4096])
  func lastInFirstOut(_ bytes: Int) throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let objects = settled(mutator, heap.leaf, bytes, 200)
      let type = try heap.type(heap.leaf, bytes: bytes)
      let spans = heap.statistics.spans
      let usable = tri_object_bytes(heap.heap, objects[0])
      func expectBack(_ freed: [Object], zero: Bool, _ allocate: () -> Object?) {
        for object in freed {
          memset(object, 0xff, usable)
          tri_free(mutator.pointer, object)
          #expect(!tri_testing_is_allocated(heap.heap, object))
        }
        for object in freed.reversed() {
          let again = allocate()
          #expect(again == object)
          #expect(tri_testing_is_allocated(heap.heap, object))
          if zero { #expect(isZero(object, usable)) }
        }
      }
      let some = [objects[3], objects[0], objects[20], objects[7]]
      expectBack(some, zero: true) { tri_alloc(mutator.pointer, heap.leaf, bytes) }
      expectBack(some, zero: true) { tri_alloc_leaf(mutator.pointer, bytes) }
      if bytes <= 128 {
        // The other window of the pair is empty too: it was never loaded.
        expectBack(some, zero: false) { tri_alloc_leaf_uninitialized(mutator.pointer, bytes) }
        expectBack(some, zero: false) { tri_alloc_uninitialized(mutator.pointer, heap.leaf, bytes) }
        expectBack(some, zero: false) { tri_refill_type(mutator.pointer, type) }
      }
      #expect(heap.statistics.spans == spans)
      tri_testing_verify(heap.heap)
    }
  }

  @Test(
    "a slot that goes back into a window of zeroed ones is zero",
    arguments: Array(stride(from: 16, through: 128, by: 16)))
  func putBack(_ bytes: Int) throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let before = mutator.leaf(bytes)
      let object = mutator.leaf(bytes)
      let behind = mutator.leaf(bytes)
      for neighbour in [before, behind] { memset(neighbour, 0x55, bytes) }
      for _ in 0..<3 {
        memset(object, 0xff, bytes)
        tri_free(mutator.pointer, object)
        #expect(mutator.leaf(bytes) == object && isZero(object, bytes))
      }
      for neighbour in [before, behind] {
        #expect(neighbour.load(fromByteOffset: bytes - 8, as: UInt64.self) & 0xff == 0x55)
      }
      for neighbour in [before, behind] { #expect(neighbour.load(as: UInt64.self) & 0xff == 0x55) }
    }
  }

  @Test("objects with references come back as zero, and can be used at once")
  func references() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let objects = settled(mutator, heap.references, 64, 200)
      for object in objects[0..<20] {
        memset(object, 0xff, 64)
        tri_free(mutator.pointer, object)
      }
      let head = mutator.root(nil)
      for object in objects[0..<20].reversed() {
        let node = mutator.node(8)
        #expect(node == object && isZero(node, 64))
        tri_init(mutator.pointer, node, node, head.pointee)
        head.pointee = node
      }
      for mode in [Mode.background, .force, .forceBlock] { #expect(heap.liveObjects(after: mode) == 20) }
      #expect(listLength(head.pointee) == 20)
    }
  }

  @Test("more frees than a magazine holds: the last ones come first, and none is lost", arguments: [16, 64, 200, 2048])
  func overflow(_ bytes: Int) throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let slots = slotsOfSpan(bytes)
      let objects = settled(mutator, heap.leaf, bytes, 4 * slots)
      let spans = heap.statistics.spans
      // All of the first two spans.
      let freed = Array(objects[0..<2 * slots])
      for object in freed { tri_free(mutator.pointer, object) }
      for object in freed.suffix(magazineSlots / 2).reversed() { #expect(mutator.object(heap.leaf, bytes) == object) }
      var again = Set(freed.suffix(magazineSlots / 2).map { address($0) })
      while again.count < 2 * slots {
        if !again.insert(address(mutator.object(heap.leaf, bytes))).inserted {
          Issue.record("a slot was handed out twice")
          return
        }
        if heap.statistics.spans > spans { break }
      }
      #expect(heap.statistics.spans == spans)
      tri_testing_verify(heap.heap)
    }
  }

  /// Two types whose classes share a magazine.
  private func colliding(_ heap: TestHeap) throws -> (OpaquePointer, OpaquePointer) {
    var layoutOfClass: [UInt32: OpaquePointer] = [:]
    for number in 0..<UInt64(classesBetweenCollisions + 1) {
      let layout = try heap.layout {
        $0.form = .mask
        $0.prefix_words = 8
        $0.prefix_mask = number
      }
      layoutOfClass[try heap.type(layout, bytes: 64).window / 2] = layout
    }
    let low = try #require(layoutOfClass.keys.min())
    return (layoutOfClass[low]!, try #require(layoutOfClass[low + classesBetweenCollisions]))
  }

  @Test("classes that share a magazine never get each other's slots")
  func collisions() throws {
    let heap = try TestHeap()
    let (one, other) = try colliding(heap)
    try heap.attached { mutator in
      let ones = settled(mutator, one, 64, 300)
      let others = settled(mutator, other, 64, 300)
      for object in ones[0..<10] { tri_free(mutator.pointer, object) }
      // Not a free slot of the other class among these, nor lost with them.
      let fresh = mutator.object(other, 64)
      #expect(tri_object_layout(heap.heap, fresh) == other)
      mutator.drain(other, 64)
      for object in others[0..<5] { tri_free(mutator.pointer, object) }
      for object in others[0..<5].reversed() { #expect(mutator.object(other, 64) == object) }
      var random = Random(5)
      var held = [one: Array(ones[10...]), other: others]
      var all = Set((held[one]! + held[other]!).map { address($0) })
      for _ in 0..<4000 {
        let layout = random.below(2) == 0 ? one : other
        if random.below(2) == 0 || held[layout]!.isEmpty {
          let object = mutator.object(layout, 64)
          guard all.insert(address(object)).inserted, tri_object_layout(heap.heap, object) == layout else {
            Issue.record("\(object) is another object's slot")
            return
          }
          held[layout]!.append(object)
        } else {
          let object = held[layout]!.remove(at: random.below(held[layout]!.count))
          all.remove(address(object))
          tri_free(mutator.pointer, object)
        }
      }
      tri_testing_verify(heap.heap)
      for layout in [one, other] { for object in held[layout]! { mutator.root(object) } }
      #expect(heap.liveObjects() == UInt64(all.count))
    }
  }

  @Test("pairs of free and allocate beyond a window count as allocated and freed")
  func statistics() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let kept = settled(mutator, heap.leaf, 64, 200)
      for object in kept { mutator.root(object) }
      heap.collect()
      let before = heap.statistics
      for _ in 0..<1000 {
        tri_free(mutator.pointer, kept[0])
        #expect(mutator.drain(heap.leaf, 64).isEmpty)
        #expect(mutator.leaf(64) == kept[0])
      }
      heap.collect()
      #expect(heap.statistics.explicitly_freed_bytes - before.explicitly_freed_bytes == 64_000)
      #expect(heap.statistics.allocated_bytes - before.allocated_bytes == 64_000)
      #expect(heap.statistics.live_objects == before.live_objects)
    }
  }

  @Test("what large objects and slots of windows leave in the counters", arguments: [40_000, 100_000, 1_000_001])
  func accounts(_ bytes: Int) throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      mutator.root(mutator.leaf(64))
      heap.collect()
      let before = heap.statistics
      let usable = UInt64(bytes + 15) / 16 * 16
      for _ in 0..<3 { tri_free(mutator.pointer, mutator.leaf(bytes)) }
      for _ in 0..<10 { tri_free(mutator.pointer, mutator.leaf(64)) }
      #expect(heap.statistics.explicitly_freed_bytes - before.explicitly_freed_bytes == 3 * usable + 640)
      tri_free(mutator.pointer, mutator.leaf(bytes))
      tri_external_bytes_add(mutator.pointer, 1)
      tri_external_bytes_add(mutator.pointer, -1)
      // All that is left is the window.
      #expect(heap.statistics.allocated_since_cycle_bytes < before.allocated_since_cycle_bytes + 64 * 64 + 16)
    }
  }

  // MARK: Freed alone

  /// A class of which many were freed since its last refill, and whose window and magazine are empty.
  private func churn(_ mutator: TestMutator, _ layout: OpaquePointer, _ bytes: Int) -> [Object] {
    let objects = settled(mutator, layout, bytes, 200)
    for object in objects[0..<churned] { tri_free(mutator.pointer, object) }
    for object in objects[0..<churned].reversed() { #expect(mutator.object(layout, bytes) == object) }
    return objects
  }

  @Test("a refill of a class that is churned fills its magazine", arguments: [16, 64, 200])
  func refilled(_ bytes: Int) throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      var all = Set(churn(mutator, heap.leaf, bytes).map { address($0) })
      let usable = tri_object_bytes(heap.heap, Object(bitPattern: all.first!)!)
      let group = 64 * usable
      let window = mutator.window(heap.leaf, bytes, zeroed: bytes <= 128)
      let first = mutator.object(heap.leaf, bytes)
      let base = window.pointee.base
      #expect(address(first) == base && tri_testing_waiting_slots(window) == 1)
      for slot in stride(from: base + UInt(usable), to: base + UInt(group), by: Int(usable)) {
        // Free, but for the one that waits.
        let waits = window.pointee.free_slots >> UInt64((slot - base) / UInt(usable)) & 1 == 1
        #expect(tri_testing_is_allocated(heap.heap, Object(bitPattern: slot)!) == waits)
      }
      tri_testing_verify(heap.heap)
      all.insert(address(first))
      for _ in 0..<63 {
        let object = mutator.object(heap.leaf, bytes)
        #expect(address(object) - base < UInt(group) && all.insert(address(object)).inserted)
        #expect(isZero(object, usable))
        memset(object, 0xff, usable)
      }
      // Nothing was freed since: the next refill fills the window.
      #expect(all.insert(address(mutator.object(heap.leaf, bytes))).inserted)
      #expect(tri_testing_waiting_slots(window) == 63)
      tri_testing_verify(heap.heap)
    }
  }

  @Test("what a refill left in a magazine is free for others, and for all after a cycle")
  func refilledForOthers() throws {
    let heap = try TestHeap()
    let companion = Companion(heap)
    companion.end()
    try heap.attached { mutator in
      var all = Set(churn(mutator, heap.leaf, 64).map { address($0) })
      let first = mutator.leaf(64)
      all.insert(address(first))
      let base = address(first)
      for object in all { mutator.root(Object(bitPattern: object)!) }
      let other = Companion(heap)
      // No more alone: nothing comes out of the magazine, nor does anything twice.
      for _ in 0..<100 {
        let own = mutator.leaf(64)
        let theirs = other.run { address($0.leaf(64)) }
        #expect(all.insert(address(own)).inserted && all.insert(theirs).inserted)
      }
      other.end()
      tri_testing_verify(heap.heap)
      heap.collect()
      expectEachOnce(
        mutator, heap.leaf, 64, besides: [base], among: Set((0..<64).map { base + UInt(64 * $0) }))
    }
  }

  @Test("a span that has slots in a magazine is not given back before a cycle empties it", arguments: [64, 1024])
  func lent(_ bytes: Int) throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let slots = slotsOfSpan(bytes)
      let objects = settled(mutator, heap.leaf, bytes, 3 * slots)
      for object in objects { tri_free(mutator.pointer, object) }
      tri_trim(heap.heap)
      tri_testing_verify(heap.heap)
      let again = (0..<magazineSlots / 2).map { _ in mutator.object(heap.leaf, bytes) }
      #expect(again == objects.suffix(magazineSlots / 2).reversed())
      for object in again { memset(object, 0xff, bytes) }
      tri_testing_verify(heap.heap)
      for object in again { tri_free(mutator.pointer, object) }
      let spans = heap.statistics.spans
      heap.collect()
      tri_trim(heap.heap)
      #expect(heap.statistics.spans + 2 <= spans)
      tri_testing_verify(heap.heap)
    }
  }

  // MARK: Cycles

  @Test(
    "a cycle forgets magazines: afterwards each slot is free once", arguments: [Mode.background, .force, .forceBlock])
  func forgotten(_ mode: Mode) throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      for bytes in [16, 64, 200, 1024] {
        let slots = slotsOfSpan(bytes)
        let objects = settled(mutator, heap.leaf, bytes, 2 * slots)
        // Every second one stays.
        for (index, object) in objects.enumerated() where index % 2 == 0 { mutator.root(object) }
        for (index, object) in objects.enumerated() where index % 2 == 1 { tri_free(mutator.pointer, object) }
        heap.collect(mode)
        expectEachOnce(
          mutator, heap.leaf, bytes,
          besides: Set(stride(from: 0, to: objects.count, by: 2).map { address(objects[$0]) }),
          among: Set(objects.map { address($0) }))
        tri_testing_verify(heap.heap)
      }
    }
  }

  @Test("while a cycle marks nothing comes out of a magazine, and nothing is lost")
  func whileMarking() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let objects = settled(mutator, heap.references, 64, 2 * 1024)
      for object in objects[22...] + [objects[20]] { mutator.root(object) }
      let slot = mutator.root(objects[21])
      for object in objects[0..<20] { tri_free(mutator.pointer, object) }
      let freed = Set(objects[0..<20].map { address($0) })
      let cycle = HandCycle(heap)
      cycle.begin()
      let born = (0..<100).map { _ in mutator.node(8) }
      #expect(freed.isDisjoint(with: born.map { address($0) }))
      for object in born { mutator.root(object) }
      cycle.scan()
      cycle.mark()
      // Freed now, it waits for the end of the cycle too.
      slot.pointee = nil
      tri_free(mutator.pointer, objects[21])
      #expect(address(mutator.node(8)) != address(objects[21]))
      cycle.finish()
      expectEachOnce(
        mutator, heap.references, 64, besides: Set((objects[22...] + [objects[20]] + born).map { address($0) }),
        among: freed.union([address(objects[21])]))
    }
  }

  @Test("an object in an old one's slot is young: what is stored into it survives a minor cycle")
  func young() throws {
    let heap = try TestHeap {
      $0.generations = .always
      $0.growth_percent = 100
      $0.minimum_heap_bytes = 64 << 20
    }
    try heap.attached { mutator in
      let slots = settled(mutator, heap.references, 64, 300).map { mutator.root($0) }
      heap.collector.gc(.background, triggered: true)
      heap.collector.gc(.background, triggered: true)
      _ = mutator.drain(heap.references, 64)
      let head = mutator.root(nil)
      for index in 0..<10 {
        let old = slots[index].pointee!
        #expect(tri_testing_is_marked(heap.heap, old))
        slots[index].pointee = nil
        tri_free(mutator.pointer, old)
        let node = mutator.node(8)
        #expect(node == old && !tri_testing_is_marked(heap.heap, node))
        mutator.store(head.pointee, in: node)
        mutator.store(mutator.node(2), in: node, at: 1)
        head.pointee = node
      }
      let minor = heap.statistics.cycles_minor
      heap.collector.gc(.background, triggered: true)
      #expect(heap.statistics.cycles_minor > minor)
      #expect(listLength(head.pointee) == 10)
      #expect(heap.liveObjects() == 290 + 20)
    }
  }

  // MARK: Two threads

  @Test("what a thread freed of another's objects is what it allocates next")
  func ofAnother() throws {
    let heap = try TestHeap()
    let companion = Companion(heap)
    try heap.attached { mutator in
      let objects = settled(mutator, heap.leaf, 64, 200)
      // In a group that is loaded, and in one that is not.
      let own = mutator.leaf(64)
      let freed = [objects[0], own, objects[70], objects[1]]
      let got = companion.run { other in
        for object in freed { tri_free(other.pointer, object) }
        return (0..<4).map { _ in other.leaf(64) }
      }
      #expect(got == freed.reversed())
      // And back again.
      for object in got { tri_free(mutator.pointer, object) }
      var again = Set<UInt>()
      for _ in 0..<300 where !again.insert(address(mutator.leaf(64))).inserted { Issue.record("handed out twice") }
      let others = companion.run { other in (0..<300).map { _ in address(other.leaf(64)) } }
      #expect(again.isDisjoint(with: others))
      #expect(
        again.union(others).isDisjoint(with: objects.dropFirst(2).filter { $0 != objects[70] }.map { address($0) }))
      tri_testing_verify(heap.heap)
    }
    companion.end()
  }

  @Test("a thread that detaches gives back what its magazines hold", arguments: [1024, 2048, 4096])
  func detached(_ bytes: Int) throws {
    let heap = try TestHeap()
    let slots = slotsOfSpan(bytes)
    let freedCount = min(magazineSlots, slots) - 1
    let companion = Companion(heap)
    try heap.attached { mutator in
      let objects = settled(mutator, heap.leaf, bytes, 4 * slots)
      for object in objects { mutator.root(object) }
      let freed = Set(objects[0..<freedCount].map { address($0) })
      companion.run { other in for object in freed { tri_free(other.pointer, Object(bitPattern: object)) } }
      // The other thread has them.
      let before = Set((0..<2 * slots).map { _ in address(mutator.leaf(bytes)) })
      #expect(before.isDisjoint(with: freed))
      companion.end()
      mutator.drain(heap.leaf, bytes)
      let spans = heap.statistics.spans
      let after = (0..<freedCount).map { _ in address(mutator.leaf(bytes)) }
      #expect(Set(after) == freed)
      #expect(heap.statistics.spans == spans)
      tri_testing_verify(heap.heap)
    }
  }

  @Test("a slot that a refill took is not in the magazine any more", arguments: [16, 64, 200])
  func takenOver(_ bytes: Int) throws {
    let heap = try TestHeap()
    let companion = Companion(heap)
    try heap.attached { mutator in
      let slots = slotsOfSpan(bytes)
      let objects = settled(mutator, heap.leaf, bytes, 3 * slots)
      // Last the first group's: the other thread's magazine holds what a walk of the span finds first.
      let freed = Array(objects[0..<slots / 2].reversed())
      companion.run { other in for object in freed { tri_free(other.pointer, object) } }
      let kept = Set(freed.suffix(magazineSlots / 2).map { address($0) })
      let taken = Set((0..<slots / 2).map { _ in address(mutator.leaf(bytes)) })
      #expect(taken.count == slots / 2)
      #expect(!taken.isDisjoint(with: kept), "the refill did not take the slots of the magazine")
      let others = companion.run { other in (0..<2 * slots).map { _ in address(other.leaf(bytes)) } }
      #expect(Set(others).count == others.count)
      #expect(taken.isDisjoint(with: others))
      #expect(Set(objects[(slots / 2)...].map { address($0) }).isDisjoint(with: others))
      tri_testing_verify(heap.heap)
    }
    companion.end()
  }

  @Test("a slot taken over and freed again is in two magazines, and comes out of one")
  func takenOverAndFreed() throws {
    let heap = try TestHeap()
    let companion = Companion(heap)
    try heap.attached { mutator in
      let objects = settled(mutator, heap.leaf, 64, 3 * 1024)
      let freed = Array(objects[0..<512].reversed())
      companion.run { other in for object in freed { tri_free(other.pointer, object) } }
      let taken = (0..<512).map { _ in mutator.leaf(64) }
      mutator.drain(heap.leaf, 64)
      _ = mutator.leaf(64)
      mutator.drain(heap.leaf, 64)
      // Freed by the one who took them: the entries of the other's magazine are true again.
      let known = Set(freed.suffix(magazineSlots / 2).map { address($0) })
      let both = taken.filter { known.contains(address($0)) }
      #expect(!both.isEmpty)
      for object in both { tri_free(mutator.pointer, object) }
      var all = Set(taken.map { address($0) }).subtracting(both.map { address($0) })
      for _ in 0..<200 {
        let one = mutator.leaf(64)
        let other = companion.run { $0.leaf(64) }
        guard all.insert(address(one)).inserted, all.insert(address(other)).inserted else {
          Issue.record("a slot was handed out twice")
          break
        }
      }
      #expect(all.isSuperset(of: both.map { address($0) }))
      tri_testing_verify(heap.heap)
    }
    companion.end()
  }

  @Test("threads that free each other's objects at random hand out each slot once")
  func exchange() throws {
    let heap = try TestHeap()
    let bag = Bag()
    let threads = (0..<3).map { number in
      TestThread {
        try! heap.attached { mutator in
          var random = Random(UInt64(number))
          for step in 0..<20_000 {
            if random.below(2) == 0 {
              let object = mutator.leaf(48)
              let stamp = UInt64(number) << 32 | UInt64(step)
              bag.put(object, stamp)
            } else if let (object, stamp) = bag.take(random.next()) {
              if object.load(fromByteOffset: 16, as: UInt64.self) != stamp
                || object.load(fromByteOffset: 40, as: UInt64.self) != stamp
              {
                Issue.record("\(object) was handed out twice")
                return
              }
              tri_free(mutator.pointer, object)
            }
          }
        }
      }
    }
    for thread in threads { thread.join() }
    try heap.attached { mutator in
      for object in bag.objects { mutator.root(object) }
      #expect(heap.liveObjects() == UInt64(bag.objects.count))
    }
  }
}

/// Objects that any thread may take, each with what is written in it.
private final class Bag: @unchecked Sendable {
  private var lock = pthread_mutex_t()
  private var held: [(Object, UInt64)] = []
  init() { pthread_mutex_init(&lock, nil) }

  var objects: [Object] { held.map(\.0) }

  func put(_ object: Object, _ stamp: UInt64) {
    for offset in [16, 40] { object.storeBytes(of: stamp, toByteOffset: offset, as: UInt64.self) }
    pthread_mutex_lock(&lock)
    held.append((object, stamp))
    pthread_mutex_unlock(&lock)
  }

  func take(_ random: UInt64) -> (Object, UInt64)? {
    pthread_mutex_lock(&lock)
    defer { pthread_mutex_unlock(&lock) }
    if held.isEmpty { return nil }
    held.swapAt(Int(random % UInt64(held.count)), held.count - 1)
    return held.removeLast()
  }
}
