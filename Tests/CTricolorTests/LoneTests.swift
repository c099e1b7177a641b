// LoneTests: the only mutator of a heap frees without locked instructions; others come and go beside it, free in the
// same words, and nothing is lost or given twice.

import CTricolor
import CTricolor.Testing
import Glibc
import Testing
import TricolorCore

private let slotBytes = 48

/// Objects with a number written in them, and the roots that keep those of one thread.
private final class Herd: @unchecked Sendable {
  let roots: UnsafeMutablePointer<Object?>
  private let capacity: Int
  private let first: UInt64
  private var stamps: [UInt64]
  private var next: UInt64 = 0
  private(set) var isSound = true

  init(_ capacity: Int, owner: UInt64) {
    self.capacity = capacity
    first = owner << 40
    stamps = Array(repeating: 0, count: capacity)
    roots = .allocate(capacity: capacity)
    roots.initialize(repeating: nil, count: capacity)
  }
  deinit { roots.deallocate() }

  var objects: [Object] { (0..<capacity).compactMap { roots[$0] } }
  func takeAll() { for index in 0..<capacity { _ = take(index) } }

  func allocate(_ mutator: TestMutator, at index: Int) {
    let object = mutator.leaf(slotBytes)
    next += 1
    stamps[index] = first + next
    for word in 0..<slotBytes / 8 { object.storeBytes(of: stamps[index], toByteOffset: word * 8, as: UInt64.self) }
    roots[index] = object
  }

  /// Takes one out; its memory has to be what it was left as.
  func take(_ index: Int) -> Object? {
    guard let object = roots[index] else { return nil }
    roots[index] = nil
    for word in 0..<slotBytes / 8 where object.load(fromByteOffset: word * 8, as: UInt64.self) != stamps[index] {
      isSound = false
    }
    return object
  }

  func fill(_ mutator: TestMutator) {
    for index in 0..<capacity where roots[index] == nil { allocate(mutator, at: index) }
  }

  /// Frees and allocates at random.
  func churn(_ mutator: TestMutator, _ steps: Int, _ random: inout Random) {
    for _ in 0..<steps {
      let index = random.below(capacity)
      if let object = take(index) { tri_free(mutator.pointer, object) } else { allocate(mutator, at: index) }
    }
  }
}

/// Objects that threads use one after another.
private final class Shared: @unchecked Sendable {
  var objects: [Object]
  init(_ objects: [Object]) { self.objects = objects }
}

/// Addresses that one thread leaves for another.
private final class Box: @unchecked Sendable {
  private var lock = pthread_mutex_t()
  private var objects: [Object] = []
  init() { pthread_mutex_init(&lock, nil) }
  func put(_ some: [Object]) {
    pthread_mutex_lock(&lock)
    objects += some
    pthread_mutex_unlock(&lock)
  }
  func takeAll() -> [Object] {
    pthread_mutex_lock(&lock)
    defer { pthread_mutex_unlock(&lock) }
    defer { objects = [] }
    return objects
  }
}

@Suite struct LoneTests {
  /// Every object of every herd is distinct, alive and what its owner wrote; nothing else is alive.
  private func expectAllAccounted(_ heap: TestHeap, _ herds: [Herd]) throws {
    var all = Set<UInt>()
    for herd in herds { all.formUnion(herd.objects.map { address($0) }) }
    tri_testing_verify(heap.heap)
    #expect(all.count == herds.reduce(0) { $0 + $1.objects.count }, "a slot belongs to two")
    #expect(heap.liveObjects() == UInt64(all.count))
    for herd in herds {
      herd.takeAll()
      #expect(herd.isSound)
    }
    #expect(heap.liveObjects() == 0)
  }

  private func root(_ heap: TestHeap, _ herd: Herd, _ capacity: Int) {
    #expect(tri_root_add_range(heap.heap, herd.roots, capacity, UInt32(TRI_ROOT_PLAIN)) == .ok)
    heap.keep(herd)
  }

  @Test(
    "one thread frees in a loop while others attach, free neighbours of what it frees, and detach",
    arguments: [false, true])
  func comingAndGoing(_ isCollecting: Bool) throws {
    let heap = try TestHeap { $0.checkmark = 0 }
    let capacity = 4000
    let herd = Herd(capacity, owner: 1)
    root(heap, herd, capacity)
    let box = Box()
    let done = Flag()
    let guests = Counter()
    let visitors = TestThread {
      var round = 0
      while !done.isSet {
        // One, two or three at a time; between two rounds the heap has one mutator only.
        let threads = (0...round % 3).map { _ in
          TestThread {
            try! heap.attached { mutator in
              for object in box.takeAll() { tri_free(mutator.pointer, object) }
              // In the scope: a cycle may come between two of them.
              let own = (0..<20).map { _ in mutator.root(mutator.leaf(slotBytes)).pointee! }
              for object in own {
                memset(object, 0x7f, slotBytes)
                tri_free(mutator.pointer, object)
              }
            }
            guests.add()
          }
        }
        for thread in threads { thread.join() }
        round += 1
      }
    }
    try heap.attached { mutator in
      var random = Random(3)
      herd.fill(mutator)
      for step in 0..<400 {
        herd.churn(mutator, 250, &random)
        // Every fourth slot of a stretch goes to whoever comes: their bits lie among those that stay.
        let start = random.below(capacity - 256)
        box.put(stride(from: start, to: start + 256, by: 4).compactMap { herd.take($0) })
        tri_safepoint(mutator.pointer)
        if isCollecting && step % 40 == 0 {
          // What waits for others has no root.
          for object in box.takeAll() { tri_free(mutator.pointer, object) }
          heap.collector.gc([Mode.background, .force][step / 40 % 2])
        }
      }
      #expect(eventually { guests.count > 20 })
      done.set()
      tri_blocking_begin(mutator.pointer)
      visitors.join()
      tri_blocking_end(mutator.pointer)
      for object in box.takeAll() { tri_free(mutator.pointer, object) }
      herd.fill(mutator)
      try expectAllAccounted(heap, [herd])
    }
  }

  /// Frees each of the objects and allocates in its place, over and over; a slot that is not this thread's shows
  /// at once. What is allocated in the end.
  private func replace(_ objects: [Object], _ mutator: TestMutator, rounds: Int, stamp: UInt64) -> [Object] {
    var objects = objects
    for object in objects { object.storeBytes(of: stamp, toByteOffset: 16, as: UInt64.self) }
    for round in 0..<rounds {
      for index in objects.indices {
        if objects[index].load(fromByteOffset: 16, as: UInt64.self) != stamp {
          Issue.record("\(objects[index]) was given to another in round \(round)")
          return []
        }
        tri_free(mutator.pointer, objects[index])
        // Out of the magazine: the same slot, by two changes of one word of the bitmap.
        objects[index] = tri_alloc_uninitialized(mutator.pointer, tri_layout_leaf(mutator.heap), slotBytes)!
        objects[index].storeBytes(of: stamp, toByteOffset: 16, as: UInt64.self)
      }
    }
    return objects
  }

  @Test("bits of one word are changed by one thread alone, then by two, thousands of times: no change is lost")
  func oneWord() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      // Twenty of these have their bits in one word. Every second one is the guests'.
      let objects = (0..<1000).map { _ in tri_alloc_uninitialized(mutator.pointer, heap.leaf, slotBytes)! }
      let window = mutator.window(heap.leaf, slotBytes, zeroed: false)
      while tri_testing_waiting_slots(window) != 0 {
        _ = tri_alloc_uninitialized(mutator.pointer, heap.leaf, slotBytes)
      }
      let theirs = Shared(stride(from: 1, to: 40, by: 2).map { objects[$0] })
      var own = stride(from: 0, to: 40, by: 2).map { objects[$0] }
      let done = Flag()
      let visitors = TestThread {
        for visit in 0..<1500 {
          try! heap.attached { guest in
            theirs.objects = self.replace(theirs.objects, guest, rounds: 2, stamp: UInt64(visit + 2))
          }
        }
        done.set()
      }
      while !done.isSet {
        own = replace(own, mutator, rounds: 20, stamp: 1)
        tri_safepoint(mutator.pointer)
      }
      visitors.join()
      // So much that the span is walked again; a change that was lost is a slot that is not free.
      for object in own + theirs.objects + objects[40...] { tri_free(mutator.pointer, object) }
      var left = Set(objects.map { address($0) })
      for _ in 0..<20_000 where !left.isEmpty {
        left.remove(address(tri_alloc_uninitialized(mutator.pointer, heap.leaf, slotBytes)))
      }
      #expect(left.isEmpty)
      tri_testing_verify(heap.heap)
    }
  }

  @Test("the one that stays may be the one that came: each in turn is alone")
  func relay() throws {
    let heap = try TestHeap { $0.checkmark = 0 }
    let capacity = 1000
    let herds = (0..<6).map { Herd(capacity, owner: UInt64($0 + 1)) }
    for herd in herds { root(heap, herd, capacity) }
    let box = Box()
    let attached = (0..<6).map { _ in Flag() }
    let threads = herds.indices.map { number in
      TestThread {
        if number > 0 { _ = attached[number - 1].wait() }
        try! heap.attached { mutator in
          var random = Random(UInt64(number))
          let herd = herds[number]
          herd.fill(mutator)
          herd.churn(mutator, 20_000, &random)
          // The next one attaches here, and is alone when this one is gone.
          attached[number].set()
          for step in 0..<100 {
            herd.churn(mutator, 200, &random)
            box.put((0..<5).compactMap { herd.take((step * 7 + $0) % capacity) })
            for object in box.takeAll() { tri_free(mutator.pointer, object) }
          }
        }
      }
    }
    for thread in threads { thread.join() }
    try heap.attached { mutator in
      for herd in herds { herd.fill(mutator) }
      try expectAllAccounted(heap, herds)
    }
  }

  @Test(
    "threads beside each other free and allocate in groups of their own, in others', and in those they take over",
    arguments: [false, true])
  func ownGroups(_ isCollecting: Bool) throws {
    let heap = try TestHeap { $0.checkmark = 0 }
    let capacity = 3000
    let herds = (0..<4).map { Herd(capacity, owner: UInt64($0 + 1)) }
    for herd in herds { root(heap, herd, capacity) }
    let box = Box()
    let threads = herds.indices.map { number in
      TestThread {
        try! heap.attached { mutator in
          var random = Random(UInt64(number) + 7)
          let herd = herds[number]
          herd.fill(mutator)
          for step in 0..<120 {
            herd.churn(mutator, 500, &random)
            // By turns each thread drops most of what it has, so that its groups are worth a walk of others', and some
            // objects are freed by others than made them.
            if step % 30 == number * 7 {
              for index in 0..<capacity where index % 8 != 0 {
                if let object = herd.take(index) { tri_free(mutator.pointer, object) }
              }
            }
            box.put((0..<20).compactMap { herd.take((step * 31 + $0 * 7) % capacity) })
            for object in box.takeAll() { tri_free(mutator.pointer, object) }
            herd.fill(mutator)
            if isCollecting && step % 40 == 10 * number { heap.collector.gc(step % 80 < 40 ? .background : .force) }
          }
        }
      }
    }
    for thread in threads { thread.join() }
    try heap.attached { mutator in
      for object in box.takeAll() { tri_free(mutator.pointer, object) }
      for herd in herds { herd.fill(mutator) }
      try expectAllAccounted(heap, herds)
    }
  }

  @Test("who takes a group over waits for its owner, who may be changing a word of it")
  func takeOver() async {
    await #expect(processExitsWith: .success) {
      guard tri_testing_has_steps() else { return }
      endAfter(seconds: 60)
      let heap = try TestHeap { $0.checkmark = 0 }
      // The owner's thread, held between finding out that the group is its own and clearing the object's bit.
      Seen.heap = heap.heap
      let leaving = Flag()
      let ready = Flag()
      let beside = Flag()
      let owner = TestThread {
        try! heap.attached { mutator in
          // Alone it need not ask whose a group is.
          _ = beside.wait()
          // A whole span and more, of which nearly all is freed: it is worth another walk, by this thread.
          let objects = (0..<4000).map { _ in mutator.leaf(slotBytes) }
          let last = objects[200]
          for object in objects[0..<3900] where object != last { tri_free(mutator.pointer, object) }
          Seen.threads = [pthread_self()]
          tri_testing_set_step_hook { point in
            let isOwner = pthread_equal(pthread_self(), Seen.threads[0]) != 0
            if point == .owned && isOwner && !Seen.flag.isSet {
              Seen.flag.set()
              // Until another has taken a group over, and is about to wait.
              _ = eventually { Seen.count.count > 0 }
              pause(milliseconds: 50)
              Seen.progressed.add()
            }
            if point == .takeOver && !isOwner { Seen.count.add() }
          }
          ready.set()
          tri_free(mutator.pointer, last)
          _ = leaving.wait()
        }
      }
      try heap.attached { mutator in
        beside.set()
        _ = ready.wait()
        _ = eventually { Seen.flag.isSet }
        // More than there is in its own groups, and in new spans it does not look first.
        for _ in 0..<6000 {
          _ = mutator.leaf(slotBytes)
          if Seen.count.count > 0 { break }
        }
        precondition(Seen.count.count > 0, "no group was taken over")
        precondition(Seen.progressed.count > 0, "who took a group over did not wait for its owner")
        leaving.set()
        tri_blocking_begin(mutator.pointer)
        owner.join()
        tri_blocking_end(mutator.pointer)
        tri_testing_set_step_hook(nil)
        tri_testing_verify(heap.heap)
      }
    }
  }

  @Test("who frees in a span that is being swept puts it on no list: the sweep is about to", arguments: [false, true])
  func freesBesideTheSweep(_ isMinor: Bool) async {
    await #expect(processExitsWith: .success) { [isMinor] in
      guard tri_testing_has_steps() else { return }
      endAfter(seconds: 60)
      let heap = try TestHeap {
        $0.checkmark = 0
        $0.generations = isMinor ? .always : .off
      }
      let herd = Herd(5000, owner: 1)
      #expect(tri_root_add_range(heap.heap, herd.roots, 5000, 0) == .ok)
      try heap.attached { mutator in
        // Full spans, which are on no list.
        herd.fill(mutator)
        let span = address(herd.objects[0]) >> 16
        let first = (0..<5000).filter { address(herd.roots[$0]!) >> 16 == span }
        precondition(first.count > 1000, "the objects of a span do not lie together")
        // One dies: a full cycle finds that out.
        heap.collect(.background)
        _ = herd.take(first[0])
        tri_testing_set_step_hook { point in
          guard point == .sweepSpan && !Seen.flag.isSet else { return }
          Seen.flag.set()
          // Until the other has freed so much that the span would be worth another walk.
          _ = eventually { Seen.count.count > 0 }
        }
        let cycle = TestThread { heap.collector.gc(.background, triggered: true) }
        tri_blocking_begin(mutator.pointer)
        precondition(eventually { Seen.flag.isSet }, "no span is swept")
        tri_blocking_end(mutator.pointer)
        for index in first[1...800] { tri_free(mutator.pointer, herd.take(index)!) }
        Seen.count.add()
        tri_blocking_begin(mutator.pointer)
        cycle.join()
        tri_blocking_end(mutator.pointer)
        tri_testing_set_step_hook(nil)
        tri_testing_verify(heap.heap)
        herd.fill(mutator)
        precondition(Set(herd.objects.map { address($0) }).count == 5000, "a slot belongs to two")
        herd.takeAll()
        precondition(herd.isSound, "an object was written to by another")
      }
    }
  }

  @Test("a thread in a blocking region may be alone: who attaches does not wait for it")
  func blocked() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let objects = (0..<500).map { _ in address(mutator.leaf(slotBytes)) }
      for object in objects.prefix(100) { tri_free(mutator.pointer, Object(bitPattern: object)!) }
      tri_blocking_begin(mutator.pointer)
      TestThread {
        try! heap.attached { other in
          for object in objects[100..<400] { tri_free(other.pointer, Object(bitPattern: object)!) }
        }
      }.join()
      tri_blocking_end(mutator.pointer)
      for object in objects[400...] { tri_free(mutator.pointer, Object(bitPattern: object)!) }
      tri_testing_verify(heap.heap)
      #expect(heap.statistics.explicitly_freed_bytes == UInt64(500 * slotBytes))
      #expect(Set((0..<1500).map { _ in address(mutator.leaf(slotBytes)) }).count == 1500)
    }
  }
}
