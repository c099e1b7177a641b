// Plays the model test in every configuration, one seed after another, until the time is up. A run of five minutes or
// more begins with the contract about resident memory, at 1 GiB.
//
// usage: tricolor-soak [seconds] [first seed]
//        tricolor-soak limit [repetitions] [soft | hard | both] [MiB]    slow leaks under a limit: Limits.swift

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

private let arguments = CommandLine.arguments
if arguments.count > 1 && arguments[1] == "limit" { exit(soakLimits(Array(arguments.dropFirst(2)))) }
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
