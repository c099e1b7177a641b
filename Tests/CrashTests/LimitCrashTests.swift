// LimitCrashTests: what is a bug in telling the heap about memory, and in handling what it tells.

import CTricolor
import CTricolor.Testing
import Glibc
import Testing
import TricolorCore

@Suite struct LimitCrashTests {
  @Test("external bytes that become negative", arguments: [Int64(-1), -2_000_000, .min])
  func negative(_ delta: Int64) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [delta = delta as Int64] in
      let crash = CrashHeap()
      tri_heap_external_bytes_add(crash.heap, 0)
      tri_heap_external_bytes_add(crash.heap, delta)
    }
    expect(result, says: "external bytes:", "more than was ever added")
  }

  @Test("more external bytes than there can be", arguments: [(Int64(1) << 46) + 1, .max])
  func absurd(_ delta: Int64) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [delta = delta as Int64] in
      let crash = CrashHeap()
      tri_external_bytes_add(crash.mutator, 1)
      tri_external_bytes_add(crash.mutator, delta)
    }
    expect(result, says: "external bytes:", "is no memory there is")
  }

  @Test("as many external bytes as there can be")
  func most() async {
    await #expect(processExitsWith: .success) {
      let crash = CrashHeap()
      tri_heap_external_bytes_add(crash.heap, Int64(1) << 46)
      tri_heap_external_bytes_add(crash.heap, -(Int64(1) << 46))
    }
  }

  @Test("external bytes counted by a thread that is not the mutator's")
  func wrongThread() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      var thread = pthread_t()
      pthread_create(
        &thread, nil,
        { mutator in
          tri_external_bytes_add(mutator!.assumingMemoryBound(to: tri_mutator.self), 1)
          return nil
        }, crash.mutator)
      pthread_join(thread, nil)
    }
    expect(result, says: "counting external bytes")
  }

  @Test("external bytes counted in mark termination")
  func termination() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      crash.terminate()
      tri_external_bytes_add(crash.mutator, 1)
    }
    expect(result, says: "allocation in phase markTermination")
  }

  @Test("a handler of events that collects")
  func collectingHandler() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      tri_events_set(
        crash.heap, { _, context in Collector.of(OpaquePointer(context!)).gc(.force) },
        UnsafeMutableRawPointer(crash.heap))
      _ = crash.collector.setLimits(soft: 1, hard: 0)
    }
    expect(result, says: "a function that was handed an event collects the heap it is about")
  }

  @Test("a handler of events that allocates")
  func allocatingHandler() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      tri_events_set(
        crash.heap,
        { _, context in
          let mutator = context!.assumingMemoryBound(to: tri_mutator.self)
          _ = tri_alloc_leaf(mutator, 5000)
        }, crash.mutator)
      _ = crash.collector.setLimits(soft: 1, hard: 0)
    }
    expect(result, says: "allocating")
  }

  @Test("more marking claimed by allocating threads than the collector did")
  func pool() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let crash = CrashHeap()
      tri_testing_break(crash.heap, .assistPool)
      crash.collector.gc(.force)
    }
    expect(result, says: "took 1 objects more than the collector marked ahead")
  }
}
