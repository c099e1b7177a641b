// EphemeronTests: a value is alive as long as its key is, through chains and circles, in every kind of cycle, and the
// final stop does not look at many of them.

import CTricolor
import CTricolor.Testing
import Testing
import TricolorCore

extension TestMutator {
  func ephemeron(_ key: Object, _ value: Object?) throws -> OpaquePointer {
    var made: OpaquePointer?
    let status = tri_ephemeron_make(pointer, key, value, &made)
    try #require(status == .ok)
    return made!
  }
  func value(_ ephemeron: OpaquePointer) -> Object? { tri_ephemeron_value(pointer, ephemeron) }
  func key(_ ephemeron: OpaquePointer) -> Object? { tri_ephemeron_key(pointer, ephemeron) }
}

private enum Rounds {
  static let count = Counter()
}

@Suite struct EphemeronTests {
  @Test("the value lives as long as the key", arguments: [UInt32(0), 1, 2], [UInt32(0), 1, 2])
  func lives(_ mode: UInt32, _ policy: UInt32) throws {
    let heap = try TestHeap { $0.barrier = tri_barrier_policy(rawValue: policy)! }
    try heap.attached { m in
      let key = m.root(m.node())
      let value = m.node()
      let inner = m.leaf(64)
      m.store(inner, in: value)
      let ephemeron = try m.ephemeron(key.pointee!, value)
      heap.collect(tri_mode(rawValue: mode)!)
      #expect(m.value(ephemeron) == value && m.key(ephemeron) == key.pointee && reference(value) == inner)
      #expect(heap.liveObjects() == 3)
      key.pointee = nil
      heap.collect(tri_mode(rawValue: mode)!)
      #expect(m.value(ephemeron) == nil && m.key(ephemeron) == nil)
      #expect(heap.liveObjects() == 0)
      tri_ephemeron_free(heap.heap, ephemeron)
    }
  }

  @Test("a value that refers to its key does not keep it")
  func circle() throws {
    let heap = try TestHeap()
    try heap.attached { m in
      let keys = (0..<100).map { _ in m.root(m.node()) }
      let ephemerons = try keys.map { key in
        let value = m.node()
        m.store(key.pointee, in: value)
        return try m.ephemeron(key.pointee!, value)
      }
      #expect(heap.liveObjects() == 200)
      for key in keys.prefix(50) { key.pointee = nil }
      #expect(heap.liveObjects() == 100)
      #expect(ephemerons.filter { m.value($0) != nil }.count == 50)
    }
  }

  @Test("a key that is reached by nothing but values, and a value that is its own key")
  func onlyValues() throws {
    let heap = try TestHeap()
    try heap.attached { m in
      let first = m.root(m.node())
      let second = m.node()
      let third = m.node()
      _ = try m.ephemeron(second, third)
      _ = try m.ephemeron(first.pointee!, second)
      let own = m.node()
      let itself = try m.ephemeron(own, own)
      #expect(heap.liveObjects() == 3)
      #expect(m.value(itself) == nil)
      first.pointee = nil
      #expect(heap.liveObjects() == 0)
    }
  }

  @Test("the empty object is a key that never ends, and a value like another")
  func empty() throws {
    let heap = try TestHeap()
    try heap.attached { m in
      let forever = try m.ephemeron(tri_empty_object(), m.node())
      let key = m.root(m.node())
      let nothing = try m.ephemeron(key.pointee!, tri_empty_object())
      let none = try m.ephemeron(key.pointee!, nil)
      #expect(heap.liveObjects() == 2)
      #expect(m.value(forever) != nil && m.value(nothing) == tri_empty_object() && m.value(none) == nil)
      tri_ephemeron_free(heap.heap, forever)
      #expect(heap.liveObjects() == 1)
    }
  }

  @Test(
    "a chain of objects without references is followed in as few rounds as another",
    .enabled(if: tri_testing_has_steps()), arguments: [UInt32(0), 2])
  func leafChain(_ mode: UInt32) async {
    await #expect(processExitsWith: .success) { [mode = mode as UInt32] in
      let heap = try TestHeap { $0.checkmark = 1 }
      try heap.attached { m in
        let outer = tri_scope_begin(m.pointer)
        let first = m.root(m.leaf(16)).pointee!
        var last = first
        for _ in 0..<20_000 {
          let next = m.root(m.leaf(16)).pointee!
          _ = try m.ephemeron(last, next)
          last = next
        }
        tri_scope_end(m.pointer, outer)
        m.root(first)
        tri_testing_set_step_hook { if $0 == .ephemerons { Rounds.count.add() } }
        heap.collect(Mode(rawValue: mode)!)
        tri_testing_set_step_hook(nil)
        #expect(heap.statistics.live_objects == 20_001)
        #expect(Rounds.count.count <= 12)
      }
    }
  }

  @Test(
    "a chain of 100 000 is followed in a time that grows with its length", arguments: [0, 1], [false, true])
  func longChain(_ steps: Int, _ backwards: Bool) throws {
    let heap = try TestHeap { $0.checkmark = 1 }
    try heap.attached { m in
      let length = 100_000
      let outer = tri_scope_begin(m.pointer)
      let head = try chain(m, length, steps: steps, backwards: backwards)
      let first = head.pointee
      tri_scope_end(m.pointer, outer)
      let kept = m.root(first)
      for mode: Mode in [.background, .forceBlock] {
        heap.collect(mode)
        #expect(heap.statistics.live_objects == UInt64(length * (1 + steps) + 1))
      }
      kept.pointee = nil
      heap.collect()
      #expect(heap.statistics.live_objects == 0)
    }
  }

  @Test("a value that is stored, or made, while marking survives although all were looked at")
  func storedWhileMarking() throws {
    let heap = try TestHeap()
    try heap.attached { m in
      let key = m.root(m.node())
      let spare = m.root(m.node())
      let second = m.root(m.node())
      let ephemeron = try m.ephemeron(key.pointee!, nil)
      let weakly = try m.weak(spare.pointee!)
      let cycle = HandCycle(heap)
      spare.pointee = nil
      let hidden = second.pointee!
      let hiddenWeak = try m.weak(hidden)
      second.pointee = nil
      cycle.begin()
      cycle.scan()
      cycle.mark()
      tri_ephemeron_set_value(m.pointer, ephemeron, m.get(weakly))
      let made = try m.ephemeron(key.pointee!, m.get(hiddenWeak))
      cycle.finish()
      #expect(m.value(ephemeron) != nil && m.value(made) == hidden)
      #expect(heap.liveObjects() == 3)
    }
  }

  @Test("a value that is loaded while marking is kept, although its key is not")
  func loadedWhileMarking() throws {
    let heap = try TestHeap()
    try heap.attached { m in
      let ephemeron = try m.ephemeron(m.node(), m.node())
      let loaded = m.root(nil)
      let cycle = HandCycle(heap)
      cycle.begin()
      cycle.scan()
      cycle.mark()
      loaded.pointee = m.value(ephemeron)
      #expect(loaded.pointee != nil && m.barrierWords > 0)
      cycle.finish()
      #expect(m.value(ephemeron) == nil)
      #expect(heap.liveObjects() == 1)
    }
  }

  @Test("a key that is found in the final stop takes its value along", arguments: [1, 5000])
  func keyFoundInTheStop(_ others: Int) throws {
    let heap = try TestHeap()
    try heap.attached { m in
      let holder = m.root(m.node())
      for _ in 0..<others { _ = try m.ephemeron(holder.pointee!, nil) }
      let inner = tri_scope_begin(m.pointer)
      let key = m.root(m.leaf(32)).pointee!
      let weak = try m.weak(key)
      let ephemeron = try m.ephemeron(key, m.list(100).pointee)
      tri_scope_end(m.pointer, inner)
      let again = m.root(nil)
      let cycle = HandCycle(heap)
      cycle.begin()
      cycle.scan()
      cycle.mark()
      again.pointee = m.get(weak)
      #expect(again.pointee == key)
      cycle.finish()
      #expect(listLength(m.value(ephemeron)) == 100)
      #expect(heap.liveObjects() == 102)
    }
  }

  @Test("the final stop does not look at many ephemerons, unless it marks to the end")
  func stopIsShort() throws {
    let heap = try TestHeap {
      $0.verify = 0
      $0.checkmark = 0
    }
    try heap.attached { m in
      let holder = m.root(m.node())
      for _ in 0..<100_000 { _ = try m.ephemeron(holder.pointee!, nil) }
      let weak = try m.weak(m.leaf(64))
      let cycle = HandCycle(heap)
      cycle.begin()
      cycle.scan()
      cycle.mark()
      #expect(m.get(weak) != nil)
      tri_cycle_stop_world(heap.heap)
      let marked = tri_cycle_try_finish_marking(heap.heap, 0)
      #expect(!marked, "what was marked in the stop could have been a key: it must be looked at, and not here")
      tri_cycle_start_world(heap.heap)
      cycle.mark()
      tri_cycle_stop_world(heap.heap)
      #expect(tri_cycle_try_finish_marking(heap.heap, 1))
      tri_cycle_set_phase(heap.heap, .markTermination)
      cycle.leaveTermination()
      tri_cycle_sweep_all(heap.heap)
      tri_cycle_end(heap.heap)
    }
  }

  @Test("in a minor cycle an old key keeps its young value")
  func minor() throws {
    let heap = try TestHeap { $0.generations = .always }
    try heap.attached { m in
      var pacing = tri_pacing()
      pacing.trigger_bytes = .max
      pacing.urgent_bytes = .max
      pacing.hold_bytes = .max
      pacing.account_bytes = 32 << 10
      pacing.minor = true
      pacing.keep_marks = true
      let key = m.root(m.node())
      let ephemeron = try m.ephemeron(key.pointee!, nil)
      tri_pacing_set(heap.heap, &pacing)
      heap.collector.gc(.forceBlock)
      tri_pacing_set(heap.heap, &pacing)
      let value = m.node()
      m.store(m.leaf(32), in: value)
      tri_ephemeron_set_value(m.pointer, ephemeron, value)
      let dead = try m.ephemeron(m.node(), m.node())
      let cycle = HandCycle(heap)
      cycle.begin(triggered: true)
      cycle.scan()
      cycle.mark()
      cycle.finish()
      #expect(heap.statistics.cycles_minor == 1)
      #expect(m.value(ephemeron) == value && m.value(dead) == nil)
      #expect(heap.liveObjects() == 3)
    }
  }

  @Test("between the last stop and the sweep the value of a dead key is not handed out")
  func unswept() throws {
    let heap = try TestHeap()
    try heap.attached { m in
      let key = m.root(m.node())
      let value = m.root(m.node())
      let live = try m.ephemeron(key.pointee!, value.pointee)
      let dead = try m.ephemeron(m.node(), value.pointee)
      HandCycle(heap).forceWithoutSweeping()
      #expect(m.value(live) == value.pointee && m.value(dead) == nil && m.key(dead) == nil)
      tri_ephemeron_set_value(m.pointer, dead, value.pointee)
      heap.collect()
      #expect(m.value(dead) == nil)
    }
  }

  @Test("freeing the key clears, freeing the ephemeron lets go of the value")
  func freed() throws {
    let heap = try TestHeap()
    try heap.attached { m in
      let key = m.root(m.node())
      let one = try m.ephemeron(key.pointee!, m.node())
      let two = try m.ephemeron(key.pointee!, m.node())
      #expect(heap.liveObjects() == 3)
      tri_ephemeron_free(heap.heap, one)
      #expect(heap.liveObjects() == 2)
      tri_free(m.pointer, key.pointee)
      key.pointee = nil
      #expect(m.value(two) == nil && m.key(two) == nil)
      #expect(heap.liveObjects() == 0)
      tri_ephemeron_free(heap.heap, two)
    }
  }

  @Test("a second pass, and memory refused for grey objects")
  func recovered() async {
    await #expect(processExitsWith: .success) {
      endAfter(seconds: 20)
      let heap = try TestHeap { $0.trace = 2 }
      try heap.attached { m in
        let outer = tri_scope_begin(m.pointer)
        let first = try chain(m, 2000, steps: 1, backwards: true).pointee
        tri_scope_end(m.pointer, outer)
        m.root(first)
        tri_testing_refuse_memory(0, 1000)
        heap.collector.gc(.background)
        tri_testing_refuse_memory(0, 0)
        #expect(heap.liveObjects() == 4001)
      }
    }
  }

  @Test("when memory is refused nothing is made and nothing is lost")
  func refused() async {
    await #expect(processExitsWith: .success) {
      endAfter(seconds: 20)
      let heap = try TestHeap()
      try heap.attached { m in
        let keys = (0..<5000).map { _ in m.root(m.leaf(16)).pointee! }
        var refusals = 0
        let made = try keys.map { key in
          tri_testing_refuse_memory(0, 1)
          var ephemeron: OpaquePointer?
          let status = tri_ephemeron_make(m.pointer, key, key, &ephemeron)
          tri_testing_refuse_memory(0, 0)
          if status == .ok { return ephemeron! }
          refusals += 1
          return try m.ephemeron(key, key)
        }
        #expect(refusals > 0)
        heap.collect()
        #expect(zip(made, keys).allSatisfy { m.value($0) == $1 })
        for ephemeron in made { tri_ephemeron_free(heap.heap, ephemeron) }
        tri_testing_verify(heap.heap)
      }
    }
  }
}

/// A chain from one key on; between value and next key lie `steps` objects.
private func chain(_ m: TestMutator, _ length: Int, steps: Int, backwards: Bool) throws -> Slot {
  var nodes: [Object] = []
  for _ in 0...length { nodes.append(m.root(m.node()).pointee!) }
  for index in 0..<length {
    let at = backwards ? length - 1 - index : index
    var value = nodes[at + 1]
    for _ in 0..<steps {
      let between = m.node()
      m.store(value, in: between)
      value = between
    }
    _ = try m.ephemeron(nodes[at], value)
  }
  return m.root(nodes[0])
}
