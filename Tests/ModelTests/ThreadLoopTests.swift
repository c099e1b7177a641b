// ThreadLoopTests: forks of busy processes, storms of threads, fibers (Tests/Support/Model/thread_loops.h). A thousand
// each are run by tricolor-soak.

import CTricolor
import Glibc
import Testing
import TricolorModel

struct ForkConfiguration: Codable, Sendable, CustomTestStringConvertible {
  var name: String
  var barrier: UInt32 = 0
  var generations: UInt32 = 0
  var stress: UInt32 = 0
  var checked = true
  var conservative = false
  var refused = false

  var testDescription: String { name }

  func options(seed: UInt64) -> fork_options {
    var options = fork_options()
    options.seed = seed
    options.forks = 10
    options.threads = 3
    options.barrier = tri_barrier_policy(rawValue: barrier)!
    options.generations = tri_generations(rawValue: generations)!
    options.stress_interval = stress
    options.checkmark = checked
    options.verify = checked
    options.conservative = conservative
    options.refuse_memory = refused
    return options
  }
}

@Suite(.serialized, .timeLimit(.minutes(1))) struct ThreadLoopTests {
  private static let configurations = [
    ForkConfiguration(name: "as it comes", checked: false), ForkConfiguration(name: "checked"),
    ForkConfiguration(name: "minor cycles", generations: 2), ForkConfiguration(name: "Dijkstra", barrier: 1),
    ForkConfiguration(name: "conservative stacks, stress", stress: 9, conservative: true),
    ForkConfiguration(name: "memory refused", refused: true),
  ]

  @Test("children of a busy process collect, attach threads and end their heaps", arguments: configurations)
  func forkLoop(_ configuration: ForkConfiguration) async {
    await #expect(processExitsWith: .success) { [configuration = configuration as ForkConfiguration] in
      alarm(30)
      let result = fork_loop_run(configuration.options(seed: UInt64(time(nil)) &* 7919 | 1))
      #expect(result.children == 10)
    }
  }

  @Test("thousands of short threads beside background cycles leave nothing behind", arguments: [false, true])
  func storm(_ checked: Bool) async {
    await #expect(processExitsWith: .success) { [checked = checked as Bool] in
      alarm(30)
      var options = storm_options()
      options.seed = UInt64(time(nil)) | 1
      options.threads = checked ? 1000 : 10_000
      options.at_once = 12
      options.cycles = checked ? 200 : 1000
      options.checked = checked
      let result = storm_run(options)
      // A thread that is about to end may not have detached when the next begins.
      #expect(result.mutators <= 13, "a mutator of a thread that is gone is the next one's")
      #expect(result.mappings_after <= result.mappings_before + 64)
      #expect(result.cycles > 0)
    }
  }

  // MARK: Fibers

  @Test(
    "lists that only suspended fibers lead to survive, on any thread", arguments: [1, 2, 3] as [UInt32],
    [0, 1, 2] as [UInt32])
  func fiberLoop(_ threads: UInt32, _ barrier: UInt32) async {
    await #expect(processExitsWith: .success) { [threads = threads as UInt32, barrier = barrier as UInt32] in
      alarm(30)
      var options = fiber_options()
      options.seed = UInt64(time(nil)) &* 31 | 1
      options.fibers = 20
      options.threads = threads
      options.switches = 1000
      options.stress_interval = threads == 2 ? 3 : 0
      options.barrier = tri_barrier_policy(rawValue: barrier)!
      options.generations = threads == 3 ? .always : .automatic
      options.checked = true
      let result = fiber_loop_run(options)
      #expect(result.live_at_end < 200, "what was dropped is gone, but for what stale words keep")
      #expect(result.checkmarks > 0)
      #expect(threads == 1 || result.migrations > 0)
    }
  }

  @Test("a fiber is added, run on, collected on and removed")
  func fiberUsedWell() async {
    await #expect(processExitsWith: .success) { fiber_misuse_run(FIBER_USED_WELL) }
  }

  private static let misuses: [(UInt32, String)] = [
    (FIBER_SWITCHED_WITHOUT_TELLING.rawValue, "runs on a stack it was not attached with"),
    (FIBER_TOLD_WITHOUT_SWITCHING.rawValue, "runs on a stack it was not attached with"),
    (FIBER_LEFT_FROM_ANOTHER_STACK.rawValue, "leaves a stack that it does not run on"),
    (FIBER_DETACHED_ON.rawValue, "detaching on a fiber: switch to the thread's own stack first"),
    (FIBER_ENTERED_TWICE.rawValue, "switching to the stack that this thread runs on already"),
    (FIBER_ENTERED_FROM_TWO_THREADS.rawValue, "switching to a fiber that thread"),
    (FIBER_REMOVED_WHILE_RUNNING.rawValue, "removing a fiber that thread"),
    (FIBER_OF_ANOTHER_HEAP.rawValue, "which is no fiber of this heap"),
    (FIBER_OF_ANOTHER_THREADS_MUTATOR.rawValue, "switching fibers with a mutator that belongs to thread"),
    (FIBER_WITH_PRECISE_MUTATOR.rawValue, "switching fibers with a mutator whose native stack is not scanned"),
    (FIBER_IN_BLOCKING_REGION.rawValue, "switching fibers inside a blocking region"),
    (FIBER_EMPTY_STACK.rawValue, "adding a fiber whose stack ends at"),
  ]

  @Test("a fiber used as it should not be ends the process with a sentence", arguments: misuses)
  func fiberMisused(_ misuse: UInt32, _ sentence: String) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      [misuse = misuse as UInt32] in
      alarm(20)
      fiber_misuse_run(fiber_misuse(rawValue: misuse))
    }
    let said = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(said.contains(sentence), "\(said)")
  }
}
