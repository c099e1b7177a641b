// WeakCrashTests: what may not have a weak reference, an ephemeron or a cleanup, and steps in the wrong phase, end with
// a sentence.

import CTricolor
import CTricolor.Testing
import Glibc
import Testing

@testable import TricolorCore

extension CrashHeap {
  func weak(_ object: Object) -> OpaquePointer {
    var weak: OpaquePointer?
    precondition(tri_weak_make(mutator, object, &weak) == .ok)
    return weak!
  }
  func ephemeron(_ key: Object, _ value: Object? = nil) -> OpaquePointer {
    var ephemeron: OpaquePointer?
    precondition(tri_ephemeron_make(mutator, key, value, &ephemeron) == .ok)
    return ephemeron!
  }
  func tie(_ what: String, to object: Object) {
    switch what {
    case "a weak reference": _ = weak(object)
    case "an ephemeron": _ = ephemeron(object)
    case "a cleanup": _ = tri_cleanup_add(mutator, object, { _ in }, nil, nil)
    default: fatalError(what)
    }
  }
}

@Suite struct WeakCrashTests {
  static let kinds = ["a weak reference", "an ephemeron", "a cleanup"]
  static let wrongs = ["foreign", "interior", "freed", "freed before", "freed large", "another heap's", "dead"]

  static func wrong(_ what: String, _ crash: CrashHeap) -> Object {
    let object = crash.leaf(64)
    switch what {
    case "foreign": return Object(bitPattern: 0x1000)!
    case "interior": return object + 16
    case "freed": tri_free(crash.mutator, object)
    case "freed before":
      for _ in 0..<200 { _ = crash.leaf(64) }
      tri_free(crash.mutator, object)
    case "freed large":
      let large = crash.leaf(100_000)
      tri_free(crash.mutator, large)
      return large
    case "another heap's": return CrashHeap().leaf(64)
    case "dead":
      crash.collector.gc(.forceBlock)
    default: fatalError(what)
    }
    return object
  }

  @Test("made for what is no live object of the heap", arguments: WeakCrashTests.kinds, WeakCrashTests.wrongs)
  func notAnObject(_ kind: String, _ what: String) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [kind = kind as String, what = what as String] in
      let crash = CrashHeap()
      crash.tie(kind, to: WeakCrashTests.wrong(what, crash))
    }
    expect(result, says: "\(kind) is made for 0x", "which is not the start of a live object of this heap")
  }

  @Test("made in mark termination", arguments: WeakCrashTests.kinds, [false, true])
  func inTermination(_ kind: String, _ forced: Bool) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [kind = kind as String, forced = forced as Bool] in
      let crash = CrashHeap()
      let object = crash.leaf()
      crash.terminate(forced: forced)
      crash.tie(kind, to: object)
    }
    expect(result, says: "\(kind) is made for 0x", "in phase markTermination")
  }

  @Test("read or set in mark termination", arguments: ["weak", "key", "value", "set"])
  func readInTermination(_ what: String) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [what = what as String] in
      let crash = CrashHeap()
      let object = crash.leaf()
      let weak = crash.weak(object)
      let ephemeron = crash.ephemeron(object, object)
      crash.terminate()
      switch what {
      case "weak": _ = tri_weak_get(crash.mutator, weak)
      case "key": _ = tri_ephemeron_key(crash.mutator, ephemeron)
      case "value": _ = tri_ephemeron_value(crash.mutator, ephemeron)
      default: tri_ephemeron_set_value(crash.mutator, ephemeron, nil)
      }
    }
    let sentences = [
      "weak": "reading a weak reference", "key": "reading an ephemeron", "value": "reading an ephemeron",
      "set": "setting an ephemeron's value",
    ]
    expect(result, says: "\(sentences[what]!) in phase markTermination")
  }

  @Test(
    "used by a thread that does not own the mutator", arguments: WeakCrashTests.kinds + ["reading a weak reference"])
  func otherThread(_ what: String) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [what = what as String] in
      let crash = CrashHeap()
      nonisolated(unsafe) let object = crash.leaf()
      nonisolated(unsafe) let weak = crash.weak(object)
      onAnotherThread {
        if what.hasPrefix("reading") { _ = tri_weak_get(crash.mutator, weak) } else { crash.tie(what, to: object) }
      }
    }
    expect(result, says: "\(what) with a mutator that belongs to thread")
  }

  @Test("freed twice", arguments: ["weak reference", "ephemeron"])
  func twice(_ what: String) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [what = what as String] in
      let crash = CrashHeap()
      if what == "ephemeron" {
        let ephemeron = crash.ephemeron(crash.leaf())
        for _ in 0..<2 { tri_ephemeron_free(crash.heap, ephemeron) }
      } else {
        let weak = crash.weak(crash.leaf())
        for _ in 0..<2 { tri_weak_free(crash.heap, weak) }
      }
    }
    expect(result, says: "freeing the \(what) 0x", "which was freed already")
  }

  @Test("an ephemeron's value that is no object", arguments: [false, true])
  func badValue(_ later: Bool) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [later = later as Bool] in
      let crash = CrashHeap()
      let key = crash.leaf()
      if later {
        tri_ephemeron_set_value(crash.mutator, crash.ephemeron(key), key + 16)
      } else {
        _ = crash.ephemeron(key, key + 16)
      }
    }
    expect(result, says: "an ephemeron's value is 0x", "which is not the start of a live object of this heap")
  }

  // MARK: The protocol

  @Test("an object marked after ephemerons were looked at last", arguments: [false, true])
  func unseenMark(_ forced: Bool) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [forced = forced as Bool] in
      let crash = CrashHeap()
      let object = crash.leaf()
      _ = crash.ephemeron(object, object)
      crash.terminate(forced: forced)
      tri_testing_break(crash.heap, .unseenMark)
      tri_cycle_set_phase(crash.heap, .off)
    }
    expect(result, says: "phase markTermination: marking ends with", "and ephemerons were looked at after")
  }

  @Test("verification finds a marked key whose value is not")
  func unmarkedValue() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      _ = tri_scope_begin(crash.mutator)
      let key = crash.node()
      let value = crash.node()
      _ = tri_scope_slot(crash.mutator, key)
      _ = crash.ephemeron(key, value)
      crash.terminate()
      tri_testing_unmark(crash.heap, value)
      tri_cycle_verify(crash.heap)
    }
    expect(result, says: "the key 0x", "of an ephemeron is marked, its value 0x", "is not")
  }

  @Test("checkmark finds the value of an ephemeron that marking missed")
  func missedValue() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      _ = tri_scope_begin(crash.mutator)
      let key = crash.node()
      let value = crash.node()
      _ = tri_scope_slot(crash.mutator, key)
      _ = crash.ephemeron(key, value)
      crash.terminate()
      tri_testing_unmark(crash.heap, value)
      tri_cycle_checkmark(crash.heap)
    }
    expect(result, says: "checkmark: object 0x", "was missed")
  }

  @Test("a span that forgets its weak references is found by verification, and when it is given back")
  func forgotten() async {
    let verified = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      _ = crash.weak(crash.leaf())
      tri_testing_break(crash.heap, .tieFlag)
      tri_testing_verify(crash.heap)
    }
    expect(verified, says: "has weak references or cleanups and does not say so")
    let retired = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      let object = crash.leaf(100_000)
      tri_testing_break(crash.heap, .tieFlag)
      tri_free(crash.mutator, object)
    }
    expect(retired, says: "is given back before its weak references and cleanups were seen to")
  }

  @Test(
    "verification finds wrong counts, and an object that is none",
    arguments: [tri_break.tieCount, .tieList, .tiedObject])
  func wrongTies(_ what: tri_break) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [what = what.rawValue as UInt32] in
      let crash = CrashHeap()
      let scope = tri_scope_begin(crash.mutator)
      let object = crash.leaf()
      tri_scope_slot(crash.mutator, object)
      _ = crash.weak(object)
      // No window is loaded from here on.
      crash.collector.gc(.forceBlock)
      tri_testing_break(crash.heap, tri_break(rawValue: what)!)
      tri_testing_verify(crash.heap)
      _ = scope
    }
    let sentences: [tri_break: String] = [
      .tieCount: "2 weak references and cleanups are counted, 1 found",
      .tieList: "counts 2 weak references and cleanups, 0 of them cancelled, and has 1 and 0",
      .tiedObject: "has a weak reference, an ephemeron or a cleanup and is no object",
    ]
    expect(result, says: sentences[what]!)
  }

  /// The first word of either cell is the object it hangs on.
  @Test(
    "a cell that names another object is found by verification, and when it is freed",
    arguments: ["a weak reference", "an ephemeron"], [false, true])
  func wrongCell(_ kind: String, _ freed: Bool) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [kind = kind as String, freed = freed as Bool] in
      let crash = CrashHeap()
      let scope = tri_scope_begin(crash.mutator)
      let (object, other) = (crash.leaf(), crash.leaf())
      tri_scope_slot(crash.mutator, object)
      tri_scope_slot(crash.mutator, other)
      let weak = kind == "a weak reference"
      let cell = weak ? crash.weak(object) : crash.ephemeron(object)
      UnsafeMutableRawPointer(cell).storeBytes(of: UInt(bitPattern: other), as: UInt.self)
      if freed && weak { tri_weak_free(crash.heap, cell) }
      if freed && !weak { tri_ephemeron_free(crash.heap, cell) }
      tri_testing_verify(crash.heap)
      _ = scope
    }
    switch (kind, freed) {
    case ("an ephemeron", true): expect(result, says: "the ephemeron 0x", "is not where its key is")
    case ("an ephemeron", false): expect(result, says: "the ephemeron of 0x", "has another key")
    case (_, true): expect(result, says: "the weak reference 0x", "is not where its object is")
    default: expect(result, says: "the weak reference to 0x", "refers to another object")
    }
  }

  @Test("ephemerons looked at in phase off")
  func lookedAtInOff() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      tri_testing_look_at_ephemerons(CrashHeap().heap)
    }
    expect(result, says: "ephemerons are looked at in phase off")
  }

  @Test("weak references and cleanups swept while marking, or twice", arguments: [false, true])
  func sweptTwice(_ marking: Bool) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [marking = marking as Bool] in
      let crash = CrashHeap()
      let object = crash.leaf()
      _ = crash.weak(object)
      if marking { crash.beginMarking() }
      tri_testing_sweep_ties(crash.heap, object)
    }
    expect(result, says: marking ? "in phase mark, expected off" : "are swept, but the span has been already")
  }

  // MARK: Cleanups and the end of the heap

  @Test("a heap destroyed by one of its own cleanups")
  func closedByCleanup() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      Scene.crash = CrashHeap()
      _ = tri_cleanup_add(
        Scene.crash.mutator, Scene.crash.leaf(), { _ in _ = Scene.crash.collector.close() }, nil, nil)
      Scene.crash.collector.gc(.forceBlock)
      sleep(15)
    }
    expect(result, says: "a heap is destroyed by one of its own cleanups")
  }

  @Test("a cleanup that leaves its thread attached to a heap that ends")
  func leftAttached() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      Scene.crash = CrashHeap()
      _ = tri_cleanup_add(
        Scene.crash.mutator, Scene.crash.leaf(),
        { _ in
          var mutator: MutatorPointer?
          _ = tri_attach(Scene.crash.heap, UInt32(TRI_ATTACH_PRECISE), &mutator)
        }, nil, nil)
      _ = tri_detach(Scene.crash.mutator)
      _ = Scene.crash.collector.close()
    }
    expect(result, says: "a cleanup left its thread attached to the heap that is being destroyed")
  }
}
