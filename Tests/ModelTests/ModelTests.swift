// ModelTests: random programs played on the heap and on a plain shadow graph (Tests/Support/Model), in every
// configuration. The model verifies and checkmarks after every cycle and aborts with its seed when the two disagree;
// each program therefore runs in a process of its own.
//
// TRICOLOR_MODEL_SEED=n plays seed n instead of a fresh one; TRICOLOR_MODEL_SCALE=n plays n times as many operations;
// TRICOLOR_MODEL_ONLY=text plays the configurations with this in their names; TRICOLOR_MODEL_REPEAT=n each n times, for
// failures that depend on how threads meet.

import CTricolor
import Glibc
import Testing
import TricolorModel

struct Configuration: Codable, Sendable, CustomTestStringConvertible {
  var name: String
  var seed: UInt64 = 0
  var operations: UInt32 = 20_000
  var threads: UInt32 = 1
  var precise = true
  var explicitFree = true
  var automatic = true
  var barrier: UInt32 = 0
  var workers: UInt32 = 0
  var trace: UInt32 = 0
  var stressInterval: UInt32 = 0
  var limitBytes: UInt64 = 0
  var plainRoots = false
  var generations: UInt32 = 0
  var customLayouts = true
  var shared = false
  var returnsMemory = false

  var testDescription: String { "\(name), seed \(seed)" }

  init(_ name: String, _ change: (inout Configuration) -> Void = { _ in }) {
    self.name = name
    change(&self)
  }

  /// The same program space, another program.
  func with(seed: UInt64) -> Configuration {
    var copy = self
    copy.seed = seed
    return copy
  }

  var options: model_options {
    var options = model_options()
    options.seed = seed
    options.operations = operations
    options.threads = threads
    options.precise = precise
    options.explicit_free = explicitFree
    options.automatic = automatic
    options.barrier = tri_barrier_policy(rawValue: barrier)!
    options.workers = workers
    options.trace = trace
    options.stress_interval = stressInterval
    options.limit_bytes = limitBytes
    options.plain_roots = plainRoots
    options.generations = tri_generations(rawValue: generations)!
    options.no_custom_layouts = !customLayouts
    options.shared = shared
    options.returns_memory = returnsMemory
    return options
  }
}

private let hybrid = tri_barrier_policy.hybrid.rawValue
private let dijkstra = tri_barrier_policy.dijkstra.rawValue
private let stopTheWorld = tri_barrier_policy.stopTheWorld.rawValue
private let always = tri_generations.always.rawValue

private let configurations: [Configuration] = [
  Configuration("hybrid"),
  Configuration("hybrid, no explicit free") { $0.explicitFree = false },
  Configuration("hybrid, cycles only when asked for") { $0.automatic = false },
  Configuration("hybrid, conservative stack") { $0.precise = false },
  Configuration("hybrid, plain roots") { $0.plainRoots = true },
  Configuration("hybrid, second pass") { $0.trace = 2 },
  Configuration("hybrid, limit") { $0.limitBytes = 2 << 20 },
  Configuration("hybrid, stress") {
    $0.stressInterval = 3
    $0.operations = 5000
  },
  Configuration("hybrid, two threads") {
    $0.threads = 2
    $0.shared = true
  },
  Configuration("hybrid, two threads, limit") {
    $0.threads = 2
    $0.shared = true
    $0.limitBytes = 4 << 20
  },
  Configuration("hybrid, two threads, stress") {
    $0.threads = 2
    $0.shared = true
    $0.stressInterval = 5
    $0.operations = 5000
  },
  Configuration("hybrid, two threads, plain roots") {
    $0.threads = 2
    $0.shared = true
    $0.plainRoots = true
  },
  Configuration("hybrid, three threads, second pass") {
    $0.threads = 3
    $0.shared = true
    $0.trace = 2
  },
  Configuration("hybrid, four threads, conservative stacks") {
    $0.threads = 4
    $0.shared = true
    $0.precise = false
  },
  Configuration("hybrid, four threads, no explicit free") {
    $0.threads = 4
    $0.shared = true
    $0.explicitFree = false
  },
  Configuration("hybrid, three markers") { $0.workers = 3 },
  Configuration("hybrid, three threads, three markers") {
    $0.threads = 3
    $0.shared = true
    $0.workers = 3
  },
  Configuration("minor cycles, two threads, four markers, second pass") {
    $0.generations = always
    $0.customLayouts = false
    $0.threads = 2
    $0.shared = true
    $0.workers = 4
    $0.trace = 2
  },
  Configuration("Dijkstra, two threads, two markers") {
    $0.barrier = dijkstra
    $0.threads = 2
    $0.shared = true
    $0.workers = 2
  },
  Configuration("hybrid, memory goes back") { $0.returnsMemory = true },
  Configuration("hybrid, three threads, memory goes back") {
    $0.threads = 3
    $0.shared = true
    $0.returnsMemory = true
  },
  Configuration("minor cycles, two threads, stress, memory goes back") {
    $0.generations = always
    $0.customLayouts = false
    $0.threads = 2
    $0.shared = true
    $0.stressInterval = 5
    $0.operations = 5000
    $0.returnsMemory = true
  },
  Configuration("hybrid, two threads, limit, second pass, memory goes back") {
    $0.threads = 2
    $0.shared = true
    $0.limitBytes = 4 << 20
    $0.trace = 2
    $0.returnsMemory = true
  },
  Configuration("Dijkstra") { $0.barrier = dijkstra },
  Configuration("Dijkstra, conservative stack") {
    $0.barrier = dijkstra
    $0.precise = false
  },
  Configuration("Dijkstra, stress") {
    $0.barrier = dijkstra
    $0.stressInterval = 3
    $0.operations = 5000
  },
  Configuration("Dijkstra, three threads") {
    $0.barrier = dijkstra
    $0.threads = 3
    $0.shared = true
  },
  Configuration("Dijkstra, two threads, plain roots, second pass") {
    $0.barrier = dijkstra
    $0.threads = 2
    $0.shared = true
    $0.plainRoots = true
    $0.trace = 2
  },
  Configuration("stop the world") { $0.barrier = stopTheWorld },
  Configuration("stop the world, stress") {
    $0.barrier = stopTheWorld
    $0.stressInterval = 3
    $0.operations = 5000
  },
  Configuration("stop the world, second pass") {
    $0.barrier = stopTheWorld
    $0.trace = 2
  },
  Configuration("stop the world, four threads") {
    $0.barrier = stopTheWorld
    $0.threads = 4
    $0.shared = true
  },
  Configuration("hybrid, two threads that share nothing") { $0.threads = 2 },
  Configuration("minor cycles") {
    $0.generations = always
    $0.customLayouts = false
  },
  Configuration("minor cycles, conservative stack, stress") {
    $0.generations = always
    $0.customLayouts = false
    $0.precise = false
    $0.stressInterval = 3
    $0.operations = 5000
  },
  Configuration("minor cycles, stress, no explicit free") {
    $0.generations = always
    $0.customLayouts = false
    $0.explicitFree = false
    $0.stressInterval = 2
    $0.operations = 5000
  },
  Configuration("minor cycles, three threads") {
    $0.generations = always
    $0.customLayouts = false
    $0.threads = 3
    $0.shared = true
  },
  Configuration("minor cycles, two threads, stress") {
    $0.generations = always
    $0.customLayouts = false
    $0.threads = 2
    $0.shared = true
    $0.stressInterval = 5
    $0.operations = 5000
  },
  Configuration("minor cycles, two threads, plain roots, second pass") {
    $0.generations = always
    $0.customLayouts = false
    $0.threads = 2
    $0.shared = true
    $0.plainRoots = true
    $0.trace = 2
  },
  // Without a limit: the cycles that make room there are full ones.
  Configuration("minor cycles, Dijkstra, three threads") {
    $0.generations = always
    $0.customLayouts = false
    $0.barrier = dijkstra
    $0.threads = 3
    $0.shared = true
  },
  Configuration("minor cycles when they pay, two threads") {
    $0.customLayouts = false
    $0.threads = 2
    $0.shared = true
  },
]

private func environmentNumber(_ name: String) -> UInt64? {
  getenv(name).flatMap { UInt64(String(cString: $0)) }
}

private func environmentText(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

private func chosen(_ all: [Configuration]) -> [Configuration] {
  let only = environmentText("TRICOLOR_MODEL_ONLY")
  let some = all.filter { only == nil || $0.name.contains(only!) }
  return Array(repeating: some, count: Int(environmentNumber("TRICOLOR_MODEL_REPEAT") ?? 1)).flatMap { $0 }
}

/// One seed a configuration that never changes, so that a failure is everyone's failure.
private let fixed = chosen(configurations.enumerated().map { $1.with(seed: UInt64(1 + $0)) })

/// And one that is fresh on every run, or the one asked for.
private let fresh: [Configuration] = {
  let seed = environmentNumber("TRICOLOR_MODEL_SEED") ?? UInt64.random(in: 1...UInt64(UInt32.max))
  print("model: fresh seed \(seed); TRICOLOR_MODEL_SEED=\(seed) plays it again")
  return chosen(configurations.map { $0.with(seed: seed) })
}()

/// An exit test that fails loses what its process said; a file keeps it.
private func redirectStandardError(to path: String) {
  let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
  dup2(file, STDERR_FILENO)
  close(file)
}

private func lastLines(of path: String, _ count: Int) -> String {
  guard let file = fopen(path, "r") else { return "nothing" }
  defer { fclose(file) }
  var lines: [String] = []
  var buffer = [CChar](repeating: 0, count: 2048)
  while fgets(&buffer, Int32(buffer.count), file) != nil {
    lines.append(String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self))
    if lines.count > count { lines.removeFirst() }
  }
  return lines.joined()
}

private func play(_ configuration: Configuration) async {
  var scaled = configuration
  scaled.operations *= UInt32(environmentNumber("TRICOLOR_MODEL_SCALE") ?? 1)
  let log = "/tmp/tricolor-model-\(getpid())-\(configuration.seed)-\(UInt.random(in: 0...UInt.max)).log"
  let result = await #expect(
    processExitsWith: .success, observing: [\.exitStatus], "\(configuration.testDescription)"
  ) { [scaled = scaled as Configuration, log = log as String] in
    redirectStandardError(to: log)
    let result = model_run(scaled.options)
    #expect(result.allocated > 0 && result.cycles > 0 && result.verified_objects > 0, "\(result)")
    #expect(result.rescued > 0 && result.cleanups > 0, "\(result)")
    #expect(scaled.generations != always || result.cycles_minor > 0, "\(result)")
  }
  if result == nil { Issue.record("\(configuration): the last it said was\n\(lastLines(of: log, 10))") }
  unlink(log)
}

@Suite(.serialized) struct ModelTests {
  @Test("a random program finds on the heap what it finds in the shadow graph", arguments: fixed)
  func fixedSeed(_ configuration: Configuration) async { await play(configuration) }

  @Test("a program nobody has seen does as well", arguments: fresh)
  func freshSeed(_ configuration: Configuration) async { await play(configuration) }
}
