// Plays the model test in every configuration, one seed after another, until the time is up. A run of five minutes or
// more begins with the contract about resident memory, at 1 GiB.
//
// usage: tricolor-soak [seconds] [first seed]
//        tricolor-soak limit [repetitions] [soft | hard | both] [MiB]    slow leaks under a limit: Limits.swift
//        tricolor-soak fork [forks] [first seed] [configuration]     1000 forks of a busy process, in every configuration a part
//        tricolor-soak storm [storms] [first seed]   1000 storms of 200 short threads, one of 10,000, and 100 threads
//        tricolor-soak fiber [runs] [first seed]     fibers that go from thread to thread

import TricolorModel

#if canImport(Glibc)
  import Glibc
#endif

/// The corners of what a heap can be asked to do.
private func configurations(seed: UInt64) -> [(name: String, options: model_options)] {
  var plain = model_options()
  plain.seed = seed
  plain.operations = 20000
  plain.threads = 1
  plain.precise = true
  plain.explicit_free = true
  plain.automatic = true
  func with(_ name: String, _ change: (inout model_options) -> Void) -> (String, model_options) {
    var options = plain
    change(&options)
    return (name, options)
  }
  func withMinorCycles(_ name: String, _ change: (inout model_options) -> Void) -> (String, model_options) {
    with("minor cycles, \(name)") {
      $0.generations = .always
      $0.no_custom_layouts = true
      change(&$0)
    }
  }
  return [
    with("one thread") { _ in },
    with("no explicit free") { $0.explicit_free = false },
    with("Dijkstra") { $0.barrier = .dijkstra },
    with("stop the world") { $0.barrier = .stopTheWorld },
    with("plain roots") { $0.plain_roots = true },
    with("conservative stacks") { $0.precise = false },
    with("stress") {
      $0.stress_interval = 3
      $0.operations = 5000
    },
    with("second pass") { $0.trace = 2 },
    with("small limit") { $0.limit_bytes = 2 << 20 },
    with("two threads") {
      $0.threads = 2
      $0.shared = true
    },
    with("three threads, Dijkstra") {
      $0.threads = 3
      $0.shared = true
      $0.barrier = .dijkstra
    },
    with("four threads, conservative") {
      $0.threads = 4
      $0.shared = true
      $0.precise = false
    },
    with("two threads, stress") {
      $0.threads = 2
      $0.shared = true
      $0.stress_interval = 5
      $0.operations = 6000
    },
    with("two threads, plain roots") {
      $0.threads = 2
      $0.shared = true
      $0.plain_roots = true
    },
    with("three threads, memory goes back") {
      $0.threads = 3
      $0.shared = true
      $0.returns_memory = true
    },
    withMinorCycles("two threads, memory goes back") {
      $0.threads = 2
      $0.shared = true
      $0.returns_memory = true
    },
    withMinorCycles("one thread") { _ in },
    withMinorCycles("conservative stack, stress") {
      $0.precise = false
      $0.stress_interval = 3
      $0.operations = 5000
    },
    withMinorCycles("three threads") {
      $0.threads = 3
      $0.shared = true
    },
    withMinorCycles("two threads, Dijkstra, stress") {
      $0.threads = 2
      $0.shared = true
      $0.barrier = .dijkstra
      $0.stress_interval = 5
      $0.operations = 6000
    },
    with("two threads, minor cycles when they pay") {
      $0.threads = 2
      $0.shared = true
      $0.no_custom_layouts = true
    },
  ]
}

/// Forks of a busy process.
private func forkConfigurations(seed: UInt64) -> [(name: String, options: fork_options)] {
  var plain = fork_options()
  plain.seed = seed
  plain.threads = 3
  func with(_ name: String, _ change: (inout fork_options) -> Void) -> (String, fork_options) {
    var options = plain
    change(&options)
    return (name, options)
  }
  return [
    with("plain") { _ in },
    with("checked") {
      $0.checkmark = true
      $0.verify = true
    },
    with("minor cycles, checked") {
      $0.generations = .always
      $0.checkmark = true
      $0.verify = true
    },
    with("minor cycles") { $0.generations = .always },
    with("Dijkstra, checked") {
      $0.barrier = .dijkstra
      $0.checkmark = true
      $0.verify = true
    },
    with("stop the world") { $0.barrier = .stopTheWorld },
    with("conservative stacks") { $0.conservative = true },
    with("stress, checked") {
      $0.stress_interval = 7
      $0.checkmark = true
      $0.verify = true
    },
    with("memory refused") { $0.refuse_memory = true },
    with("six threads") { $0.threads = 6 },
  ]
}

private func runForks(_ forks: Int, _ firstSeed: UInt64, only: String) {
  let all = forkConfigurations(seed: firstSeed).filter { only.isEmpty || $0.name == only }
  var children: UInt64 = 0
  for (index, (name, given)) in all.enumerated() {
    var options = given
    options.seed = firstSeed &+ UInt64(index)
    options.forks = UInt32((forks + all.count - 1) / all.count)
    let result = fork_loop_run(options)
    children += result.children
    print(
      "fork, \(name), seed \(options.seed): \(result.children) children, \(result.during_cycles) forks while marking,",
      "\(result.during_sweeps) while sweeping, fork \(result.fork_ns_total / max(1, result.children) / 1000) us",
      "on average, \(result.fork_ns_max / 1000) us at most")
    fflush(nil)
  }
  print("\(children) children passed, 0 failed")
}

private func runStorms(_ storms: Int, _ firstSeed: UInt64) {
  var options = storm_options()
  options.at_once = 16
  options.cycles = .max
  options.threads = 200
  for index in 0..<storms {
    options.seed = firstSeed &+ UInt64(index)
    options.checked = index % 2 == 0
    let result = storm_run(options)
    precondition(result.mutators <= 17, "seed \(options.seed): \(result.mutators) mutators for 16 threads")
    if index % 100 == 0 { print("storm, seed \(options.seed): \(result.cycles) cycles, \(result.ns / 1_000_000) ms") }
    fflush(nil)
  }
  options.threads = 10_000
  options.checked = false
  let result = storm_run(options)
  print(
    "10,000 threads, 16 at once: \(result.ns / 1_000_000) ms, \(result.cycles) cycles, \(result.mutators) mutators,",
    "\(result.metadata_bytes / 1024) KiB of metadata, \(result.mappings_before) mappings after a tenth,",
    "\(result.mappings_after) at the end")
  for threads: UInt32 in [2, 100, 2, 100, 2, 100] {
    print("\(threads) threads: \(storm_step_ns(threads, 20_000_000)) ns of CPU a step")
  }
  print("\(storms) storms passed, 0 failed")
}

private func runFibers(_ runs: Int, _ firstSeed: UInt64) {
  for run in 0..<runs {
    var options = fiber_options()
    options.seed = firstSeed &+ UInt64(run)
    options.fibers = 30
    options.threads = 1 + UInt32(run % 4)
    options.switches = 2000
    options.barrier = run % 5 == 1 ? .dijkstra : run % 5 == 2 ? .stopTheWorld : .hybrid
    options.generations = run % 3 == 0 ? .always : .automatic
    options.stress_interval = run % 2 == 0 ? 3 : 0
    options.checked = true
    let result = fiber_loop_run(options)
    precondition(result.live_at_end < 200, "\(result.live_at_end) objects are alive, and nothing refers to them")
    print(
      "fiber, seed \(options.seed): \(result.switches) switches, \(result.migrations) between threads,",
      "\(result.ended) fibers ended, \(result.cycles) cycles checked, \(result.live_at_end) left")
    fflush(nil)
  }
  print("\(runs) runs passed, 0 failed")
}

private let arguments = CommandLine.arguments
if arguments.count > 1 && arguments[1] == "limit" { exit(soakLimits(Array(arguments.dropFirst(2)))) }
if arguments.count > 1, arguments[1] == "fiber" {
  runFibers(
    arguments.count > 2 ? Int(arguments[2]) ?? 100 : 100,
    arguments.count > 3 ? UInt64(arguments[3]) ?? 1 : UInt64(time(nil)))
  exit(0)
}
if arguments.count > 1, arguments[1] == "storm" {
  runStorms(
    arguments.count > 2 ? Int(arguments[2]) ?? 1000 : 1000,
    arguments.count > 3 ? UInt64(arguments[3]) ?? 1 : UInt64(time(nil)))
  exit(0)
}
if arguments.count > 1, arguments[1] == "fork" {
  runForks(
    arguments.count > 2 ? Int(arguments[2]) ?? 1000 : 1000,
    arguments.count > 3 ? UInt64(arguments[3]) ?? 1 : UInt64(time(nil)),
    only: arguments.count > 4 ? arguments[4] : "")
  exit(0)
}
guard let seconds = arguments.count > 1 ? Int(arguments[1]) : 600,
  let firstSeed = arguments.count > 2 ? UInt64(arguments[2]) : UInt64(time(nil))
else {
  print("usage: tricolor-soak [seconds] [first seed] | limit [repetitions] [soft | hard | both] [MiB]")
  exit(2)
}
// Not in a short run: sanitizers hold several times the memory.
if seconds >= 300 {
  for bytes in [64, 100_000] {
    for trim in [true, false] { model_check_resident_memory(bytes, trim) }
  }
}
private let end = time(nil) + seconds
private var seed = firstSeed
private var runs = 0
while time(nil) < end {
  // Several threads first: a short run under the thread sanitizer gets no further than those.
  let all = configurations(seed: seed).sorted { $0.options.threads > $1.options.threads }
  for (name, options) in all where time(nil) < end {
    let result = model_run(options)
    runs += 1
    print("seed \(seed), \(name): \(result.cycles) cycles, \(result.verified_objects) objects verified")
    fflush(nil)
  }
  seed += 1
}
print("\(runs) runs passed, 0 failed, seeds \(firstSeed) to \(seed)")
