// BarrierTests: which values a store shades, by policy and by the colour of the stack. The cycle is taken step by step
// on the test's own thread, so nothing here depends on timing.

import CTricolor
import CTricolor.Testing
import Testing

@Suite struct BarrierTests {
  private func isMarked(_ heap: TestHeap, _ object: Object) -> Bool { tri_testing_is_marked(heap.heap, object) }

  // MARK: Hybrid

  @Test("a deleted reference is shaded")
  func deletion() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let object = mutator.node()
      let child = mutator.node()
      let grandchild = mutator.leaf(16)
      mutator.root(object)
      mutator.store(child, in: object)
      mutator.store(grandchild, in: child)
      let cycle = HandCycle(heap)
      cycle.begin()
      mutator.store(nil, in: object)
      #expect(mutator.barrierWords == 1)
      #expect(!isMarked(heap, child))
      cycle.scan()
      cycle.mark()
      #expect(mutator.barrierWords == 0)
      #expect(isMarked(heap, child) && isMarked(heap, grandchild))
      cycle.finish()
      #expect(heap.statistics.live_objects == 3)
      #expect(heap.liveObjects() == 1)
    }
  }

  @Test("a white object stored into a black one is shaded, if the storing stack is grey")
  func intoBlack() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let black = mutator.node()
      let white = mutator.node()
      let below = mutator.leaf(16)
      mutator.root(black)
      mutator.store(below, in: white)
      let blackAddress = address(black)
      let whiteAddress = address(white)
      let cycle = HandCycle(heap)
      cycle.begin()
      cycle.scan()
      cycle.mark()
      #expect(isMarked(heap, black) && !isMarked(heap, white))
      tri_blocking_begin(mutator.pointer)
      TestThread {
        // Attached while marking: grey.
        try! heap.attached { other in
          other.store(Object(bitPattern: whiteAddress), in: Object(bitPattern: blackAddress)!)
          #expect(other.barrierWords == 1)
        }
      }.join()
      tri_blocking_end(mutator.pointer)
      cycle.mark()
      #expect(isMarked(heap, white) && isMarked(heap, below))
      cycle.finish()
      #expect(heap.liveObjects() == 3)
    }
  }

  @Test("a new value is shaded while the stack is grey, though its object is not yet black")
  func insertionWhileGrey() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let object = mutator.node()
      let white = mutator.node()
      let below = mutator.leaf(16)
      mutator.store(below, in: white)
      // A barriered root makes the object black before this mutator's stack is looked at.
      let handle = tri_handle_make(mutator.pointer, object)!
      let cycle = HandCycle(heap)
      cycle.begin()
      #expect(mutator.stackIsGrey)
      mutator.store(white, in: object)
      #expect(mutator.barrierWords == 1)
      cycle.scan()
      cycle.mark()
      #expect(isMarked(heap, white) && isMarked(heap, below))
      cycle.finish()
      #expect(heap.liveObjects() == 3)
      tri_handle_free(mutator.pointer, handle)
    }
  }

  @Test("once the stack is scanned a new value is not shaded: what a black stack can load is protected otherwise")
  func insertionWhileBlack() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let black = mutator.node()
      let holder = mutator.node()
      let child = mutator.leaf(16)
      mutator.root(black)
      mutator.root(holder)
      mutator.store(child, in: holder)
      let cycle = HandCycle(heap)
      cycle.begin()
      cycle.scan()
      #expect(!mutator.stackIsGrey)
      // Moved from one object to another, with the source deleted last.
      mutator.store(child, in: black)
      #expect(mutator.barrierWords == 0)
      mutator.store(nil, in: holder)
      #expect(mutator.barrierWords == 1)
      cycle.mark()
      #expect(isMarked(heap, child))
      cycle.finish()
      #expect(heap.liveObjects() == 3)
    }
  }

  @Test("a value moved from a grey object into a black one survives the deletion of its only path")
  func moved() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let black = mutator.node()
      let grey = mutator.node()
      mutator.root(black)
      mutator.root(grey)
      let child = mutator.list(50).pointee!
      let cycle = HandCycle(heap)
      mutator.store(child, in: grey)
      cycle.begin()
      cycle.scan()
      cycle.mark()
      // All is black: what follows must not upset that.
      mutator.store(tri_swap(mutator.pointer, grey, grey, nil), in: black)
      cycle.finish()
      #expect(reference(black) == child && listLength(child) == 50)
    }
  }

  @Test("an object allocated while marking is black, small or large")
  func allocateBlack() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      // Windows that were loaded before the barrier went on, and others.
      for bytes in [16, 200] { _ = mutator.leaf(bytes) }
      let cycle = HandCycle(heap)
      cycle.begin()
      for bytes in [16, 48, 200, 5000, 32_768, 32_769, 3 << 20] {
        for _ in 0..<70 where bytes < 1 << 20 { #expect(isMarked(heap, mutator.leaf(bytes))) }
        #expect(isMarked(heap, mutator.leaf(bytes)))
      }
      cycle.scan()
      cycle.mark()
      #expect(isMarked(heap, mutator.leaf(200)) && isMarked(heap, mutator.leaf(40_000)))
      cycle.finish()
      #expect(heap.liveObjects() == 0)
    }
  }

  @Test("the first store into a new object shades its value while the stack is grey")
  func initialisingStore() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let white = mutator.leaf(16)
      let later = mutator.leaf(16)
      let holder = mutator.node()
      mutator.root(holder)
      mutator.store(later, in: holder)
      let cycle = HandCycle(heap)
      cycle.begin()
      let object = mutator.node()
      mutator.root(object)
      tri_init(mutator.pointer, object, object, white)
      #expect(mutator.barrierWords == 1)
      cycle.scan()
      let other = mutator.node()
      tri_init(mutator.pointer, other, other, later)
      mutator.store(other, in: object, at: 1)
      cycle.mark()
      #expect(isMarked(heap, white) && isMarked(heap, later))
      cycle.finish()
      #expect(reference(object) == white)
      #expect(heap.liveObjects() == 5)
    }
  }

  @Test("a swap answers the old value and shades it")
  func swap() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let object = mutator.node()
      let old = mutator.leaf(16)
      let new = mutator.leaf(16)
      mutator.root(object)
      mutator.store(old, in: object)
      #expect(tri_swap(mutator.pointer, object, object, old) == old)
      let cycle = HandCycle(heap)
      cycle.begin()
      #expect(tri_swap(mutator.pointer, object, object, new) == old)
      #expect(mutator.barrierWords == 2)
      cycle.scan()
      cycle.mark()
      #expect(isMarked(heap, old) && isMarked(heap, new))
      cycle.finish()
      #expect(reference(object) == new)
    }
  }

  // MARK: Bulk

  @Test("a copy shades what it overwrites, and what it stores while the stack is grey")
  func copy() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let source = mutator.node(20)
      let destination = mutator.node(20)
      mutator.root(destination)
      let old = (0..<20).map { _ in mutator.leaf(16) }
      let new = (0..<20).map { _ in mutator.leaf(16) }
      for word in 0..<20 {
        mutator.store(old[word], in: destination, at: word)
        mutator.store(new[word], in: source, at: word)
      }
      let cycle = HandCycle(heap)
      cycle.begin()
      tri_copy(mutator.pointer, destination, destination + 8, source + 8, 18)
      #expect(mutator.barrierWords == 36)
      cycle.scan()
      cycle.mark()
      for word in 1..<19 { #expect(isMarked(heap, old[word]) && isMarked(heap, new[word])) }
      #expect(isMarked(heap, old[0]) && !isMarked(heap, new[0]))
      cycle.finish()
      for word in 0..<20 {
        #expect(reference(destination, at: word) == ((1..<19).contains(word) ? new[word] : old[word]))
      }
      #expect(heap.liveObjects() == 21)
    }
  }

  @Test("overlapping copies move words as memmove does, barrier on or off", arguments: [false, true], [0, 3, 7])
  func overlap(_ marking: Bool, _ distance: Int) throws {
    for backwards in [false, true] {
      let heap = try TestHeap()
      try heap.attached { mutator in
        let object = mutator.node(64)
        mutator.root(object)
        let leaves = (0..<64).map { _ in mutator.leaf(16) }
        for word in 0..<64 { mutator.store(leaves[word], in: object, at: word) }
        var expected = leaves
        let from = backwards ? distance : 0
        let to = backwards ? 0 : distance
        for word in 0..<50 { expected[to + word] = leaves[from + word] }
        let cycle = HandCycle(heap)
        if marking { cycle.begin() }
        tri_copy(mutator.pointer, object, object + to * 8, object + from * 8, 50)
        if marking {
          cycle.scan()
          cycle.mark()
          cycle.finish()
        }
        for word in 0..<64 { #expect(reference(object, at: word) == expected[word]) }
        #expect(heap.liveObjects() == UInt64(Set(expected).count + 1))
      }
    }
  }

  @Test("clearing shades every old value")
  func clear() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let object = mutator.node(600)
      mutator.root(object)
      let leaves = (0..<600).map { _ in mutator.leaf(16) }
      for word in 0..<600 { mutator.store(leaves[word], in: object, at: word) }
      let cycle = HandCycle(heap)
      cycle.begin()
      tri_clear(mutator.pointer, object, object + 8, 598)
      cycle.scan()
      cycle.mark()
      #expect(leaves.allSatisfy { isMarked(heap, $0) })
      cycle.finish()
      for word in 0..<600 { #expect(reference(object, at: word) == (word == 0 || word == 599 ? leaves[word] : nil)) }
      #expect(heap.liveObjects() == 3)
    }
  }

  @Test("a full buffer is flushed and nothing of it is lost")
  func overflow() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let object = mutator.node(5000)
      mutator.root(object)
      let old = (0..<5000).map { _ in mutator.leaf(16) }
      for word in 0..<5000 { mutator.store(old[word], in: object, at: word) }
      let cycle = HandCycle(heap)
      cycle.begin()
      for word in 0..<5000 { mutator.store(nil, in: object, at: word) }
      #expect(mutator.barrierWords > 0 && mutator.barrierWords <= 512)
      cycle.scan()
      cycle.mark()
      #expect(old.allSatisfy { isMarked(heap, $0) })
      cycle.finish()
    }
  }

  @Test("a conservative object may be stored any word while marking; an address inside an object keeps that")
  func conservativeWords() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let object = mutator.object(heap.conservative, 64)
      mutator.root(object)
      let inside = mutator.leaf(100)
      let overwritten = mutator.leaf(1000)
      mutator.store(overwritten + 504, in: object, at: 1)
      let cycle = HandCycle(heap)
      cycle.begin()
      mutator.store(inside + 24, in: object, at: 0)
      mutator.store(nil, in: object, at: 1)
      mutator.store(object + (8 << 20), in: object, at: 2)  // nothing lives there
      tri_copy(mutator.pointer, object, object + 24, object, 3)
      tri_clear(mutator.pointer, object, object, 3)
      cycle.scan()
      cycle.mark()
      #expect(isMarked(heap, inside) && isMarked(heap, overwritten))
      cycle.finish()
      #expect(reference(object, at: 3) == inside + 24)
      #expect(heap.liveObjects() == 2)
    }
  }

  @Test("null, immediates, foreign addresses and the empty object are not shaded")
  func nothingToShade() throws {
    let heap = try TestHeap {
      $0.tag_mask = 1
      $0.tag_value = 1
    }
    try heap.attached { mutator in
      let object = mutator.node(8)
      mutator.root(object)
      let cycle = HandCycle(heap)
      cycle.begin()
      for value in [nil, Object(bitPattern: 17), tri_empty_object(), Object(bitPattern: 0x10)] {
        mutator.store(value, in: object)
        mutator.store(nil, in: object)
      }
      #expect(mutator.barrierWords == 0)
      mutator.store(object + 1, in: object)  // an immediate that looks like an address
      mutator.store(nil, in: object)
      cycle.scan()
      cycle.mark()
      cycle.finish()
      #expect(heap.liveObjects() == 1)
    }
  }

  // MARK: Roots

  @Test("a store into a registered range shades as a store into an object does")
  func rootStore() throws {
    let heap = try TestHeap()
    let range = Slot.allocate(capacity: 4)
    range.initialize(repeating: nil, count: 4)
    defer { range.deallocate() }
    try heap.attached { mutator in
      #expect(tri_root_add_range(heap.heap, range, 4, 0) == .ok)
      let old = mutator.leaf(16)
      let new = mutator.leaf(16)
      tri_root_store(mutator.pointer, range, old)
      let cycle = HandCycle(heap)
      cycle.begin()
      tri_root_store(mutator.pointer, range, new)
      #expect(mutator.barrierWords == 2)
      cycle.scan()
      cycle.mark()
      #expect(isMarked(heap, old) && isMarked(heap, new))
      cycle.finish()
      #expect(heap.liveObjects() == 1)
      #expect(tri_root_remove_range(heap.heap, range) == .ok)
    }
  }

  @Test("setting and freeing a handle shades what it held")
  func handles() throws {
    let heap = try TestHeap()
    try heap.attached { mutator in
      let one = mutator.leaf(16)
      let two = mutator.leaf(16)
      let first = tri_handle_make(mutator.pointer, one)!
      let second = tri_handle_make(mutator.pointer, two)!
      let cycle = HandCycle(heap)
      cycle.begin()
      tri_handle_set(mutator.pointer, first, nil)
      tri_handle_free(mutator.pointer, second)
      #expect(mutator.barrierWords == 2)
      cycle.scan()
      cycle.mark()
      #expect(isMarked(heap, one) && isMarked(heap, two))
      cycle.finish()
      #expect(heap.liveObjects() == 0)
      tri_handle_free(mutator.pointer, first)
    }
  }

  // MARK: Dijkstra

  @Test("Dijkstra's barrier shades the new value, scanned stack or not, and never the old one")
  func dijkstra() throws {
    let heap = try TestHeap { $0.barrier = .dijkstra }
    try heap.attached { mutator in
      let object = mutator.node()
      let old = mutator.leaf(16)
      let new = mutator.leaf(16)
      let newer = mutator.leaf(16)
      mutator.root(object)
      mutator.store(old, in: object)
      let cycle = HandCycle(heap)
      cycle.begin()
      mutator.store(new, in: object)
      #expect(mutator.barrierWords == 1)
      cycle.scan()
      cycle.mark()
      #expect(isMarked(heap, new) && !isMarked(heap, old))
      mutator.store(newer, in: object)
      #expect(mutator.barrierWords == 1)
      cycle.mark()
      #expect(isMarked(heap, newer) && !isMarked(heap, old))
      cycle.finish()
      #expect(heap.statistics.live_objects == 3)
    }
  }

  @Test("under Dijkstra a stack that changed after its scan is scanned again in the final stop")
  func dijkstraRescans() throws {
    let heap = try TestHeap { $0.barrier = .dijkstra }
    try heap.attached { mutator in
      let object = mutator.node()
      let child = mutator.leaf(16)
      mutator.root(object)
      mutator.store(child, in: object)
      let slot = mutator.root(nil)
      let cycle = HandCycle(heap)
      cycle.begin()
      cycle.scan()
      // The only reference moves to the stack before marking gets there.
      slot.pointee = reference(object)
      mutator.store(nil, in: object)
      #expect(mutator.barrierWords == 0)
      cycle.mark()
      #expect(!isMarked(heap, child))
      cycle.finish()
      #expect(tri_testing_is_allocated(heap.heap, child))
      #expect(heap.liveObjects() == 2)
    }
  }

  @Test("a plain root turns the next cycle into Dijkstra's, with a second look at the end")
  func plainRoots() throws {
    let heap = try TestHeap()
    let range = Slot.allocate(capacity: 2)
    range.initialize(repeating: nil, count: 2)
    defer { range.deallocate() }
    try heap.attached { mutator in
      #expect(tri_root_add_range(heap.heap, range, 2, UInt32(TRI_ROOT_PLAIN)) == .ok)
      let object = mutator.node()
      let child = mutator.leaf(16)
      mutator.root(object)
      mutator.store(child, in: object)
      let cycle = HandCycle(heap)
      cycle.begin()
      cycle.scan()
      range[1] = child  // plainly
      mutator.store(nil, in: object)
      #expect(mutator.barrierWords == 0)
      cycle.mark()
      cycle.finish()
      #expect(tri_testing_is_allocated(heap.heap, child))
      #expect(tri_root_remove_range(heap.heap, range) == .ok)
      // And back to hybrid.
      mutator.store(mutator.leaf(16), in: object)
      cycle.begin()
      mutator.store(nil, in: object)
      #expect(mutator.barrierWords == 1)
      cycle.scan()
      cycle.mark()
      cycle.finish()
      #expect(heap.liveObjects() == 1)
    }
  }

  @Test("the stop-the-world policy needs no barrier: every cycle is forced")
  func stopTheWorld() throws {
    let heap = try TestHeap { $0.barrier = .stopTheWorld }
    try heap.attached { mutator in
      mutator.root(mutator.list(10).pointee)
      heap.collector.gc(.background)
      #expect(!mutator.barrierIsOn)
      #expect(heap.statistics.marked_objects_at_last_cycle == 10)
    }
  }

  @Test("a mutator that attaches while marking has the barrier on and a grey stack, and is scanned before the end")
  func attachWhileMarking() throws {
    let heap = try TestHeap()
    let attached = Flag()
    let scanned = Flag()
    let cycle = HandCycle(heap)
    cycle.begin()
    cycle.scan()
    cycle.mark()
    let thread = TestThread {
      try! heap.attached { mutator in
        #expect(mutator.barrierIsOn && mutator.stackIsGrey)
        let slot = mutator.root(mutator.list(20).pointee)
        attached.set()
        while !scanned.isSet { tri_safepoint(mutator.pointer) }
        #expect(!mutator.barrierIsOn && !mutator.stackIsGrey)
        #expect(listLength(slot.pointee) == 20)
      }
    }
    #expect(attached.wait())
    cycle.finish()
    #expect(heap.statistics.live_objects == 20)
    scanned.set()
    thread.join()
    #expect(heap.liveObjects() == 0)
  }
}
