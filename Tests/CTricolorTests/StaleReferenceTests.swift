// StaleReferenceTests: garbage that is kept, by a stale word or because it is old, and refers to what was freed
// explicitly. That is no bug of the program: nobody told it that the garbage is still there.

import CTricolor
import CTricolor.Testing
import Testing
import TricolorCore

/// What becomes of the memory of a freed object.
private enum Fate: Int { case free, sameClass, otherClass, large }

private func occupy(_ mutator: TestMutator, _ fate: Fate) {
  switch fate {
  case .free: break
  case .sameClass: for _ in 0..<5000 { mutator.root(mutator.node(8)) }
  case .otherClass: for _ in 0..<5000 { mutator.root(mutator.leaf(112)) }
  case .large: for _ in 0..<40 { mutator.root(mutator.node(5000)) }
  }
}

@Suite struct StaleReferenceTests {
  @Test("a stale word keeps an object that refers to a freed one", arguments: 0..<4)
  func conservative(_ fate: Int) async {
    await #expect(processExitsWith: .success) { [fate = fate as Int] in
      let heap = try TestHeap { $0.generations = .off }
      try heap.attached { mutator in
        let stale = Slot.allocate(capacity: 1)
        stale.initialize(to: nil)
        #expect(tri_root_add_range(heap.heap, stale, 1, UInt32(TRI_ROOT_CONSERVATIVE)) == .ok)
        let holder = mutator.node(2)
        stale.pointee = holder
        // The last of some, so that it lies where nothing of another class begins.
        for _ in 0..<3 { tri_free(mutator.pointer, mutator.node(8)) }
        let others = (0..<3).map { _ in mutator.node(8) }
        let freed = mutator.node(8)
        mutator.store(freed, in: holder)
        for object in others + [freed] { tri_free(mutator.pointer, object) }
        for round in 0..<3 {
          heap.collect(round == 1 ? .background : .forceBlock)
          if round == 0 { occupy(mutator, Fate(rawValue: fate)!) }
          tri_testing_verify(heap.heap)
        }
        #expect(tri_root_remove_range(heap.heap, stale) == .ok)
        for _ in 0..<2 { heap.collect() }
        tri_testing_verify(heap.heap)
      }
    }
  }

  @Test("an old object that is dead, and was written to, refers to a freed one", arguments: 0..<4)
  func remembered(_ fate: Int) async {
    await #expect(processExitsWith: .success) { [fate = fate as Int] in
      let heap = try TestHeap.keepingMarks()
      try heap.attached { mutator in
        let holder = mutator.root(mutator.node(2))
        for _ in 0..<4 {
          heap.collect(.background)
          let others = (0..<4).map { _ in mutator.node(8) }
          mutator.store(others[3], in: holder.pointee!)
          let dropped = holder.pointee!
          holder.pointee = mutator.node(2)
          _ = dropped
          for object in others { tri_free(mutator.pointer, object) }
          heap.collectMinor()
          occupy(mutator, Fate(rawValue: fate)!)
          heap.collectMinor()
          tri_testing_verify(heap.heap)
        }
        for _ in 0..<2 { heap.collect() }
        tri_testing_verify(heap.heap)
      }
    }
  }
}
