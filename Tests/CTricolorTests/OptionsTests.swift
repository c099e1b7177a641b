// OptionsTests: what the environment may say, what options may hold, and what is refused.

import CTricolor
import Glibc
import Testing
import TricolorCore

@Suite struct OptionsTests {
  private func set(_ name: String, _ value: String) -> (status: tri_status, options: tri_options) {
    var options = testOptions()
    let status = tri_options_set(&options, name, value)
    return (status, options)
  }

  private func resolve(_ change: (inout tri_options) -> Void = { _ in }) -> (status: tri_status, options: tri_options) {
    var given = testOptions(change)
    var out = tri_options()
    let status = tri_options_resolve(&given, &out)
    return (status, out)
  }

  @Test("the defaults are the documented ones")
  func defaults() {
    var options = tri_options()
    withUnsafeMutableBytes(of: &options) { _ = memset($0.baseAddress!, 0xff, $0.count) }
    tri_options_init(&options)
    #expect(options.struct_bytes == UInt32(MemoryLayout<tri_options>.size))
    #expect(options.growth_percent == 100)
    #expect(options.minimum_heap_bytes == 4 << 20)
    #expect(options.limit_bytes == 0 && options.reservation_bytes == 0)
    #expect(options.barrier == .hybrid && options.mark_workers == 0)
    #expect(options.soft_limit_bytes == 0 && options.assist_ns_max == 200_000 && options.periodic_cycle_ms == 120_000)
    #expect(options.generations == .automatic)
    #expect(options.trace == 0 && options.checkmark == 0 && options.verify == 0 && options.stress_interval == 0)
    #expect(options.tag_mask == 0 && options.tag_value == 0 && options.huge_pages == 0 && options.read_environment == 1)
    #expect(options.scavenge_after_ms == 2000)
  }

  @Test(
    "growth is a percentage or off", arguments: [("25", UInt32(25)), ("100", 100), ("100000", 100_000), ("off", .max)])
  func growth(_ value: String, _ expected: UInt32) {
    let result = set("GC", value)
    #expect(result.status == .ok && result.options.growth_percent == expected)
  }

  @Test(
    "a limit is bytes with a unit, or off",
    arguments: [
      ("1", UInt64(1)), ("4096", 4096), ("512B", 512), ("3KiB", 3 << 10), ("512MiB", 512 << 20), ("2GiB", 2 << 30),
      ("1TiB", 1 << 40), ("off", 0), ("18446744073709551615", .max),
    ])
  func limit(_ value: String, _ expected: UInt64) {
    let result = set("LIMIT", value)
    #expect(result.status == .ok && result.options.limit_bytes == expected)
  }

  @Test(
    "a soft limit is bytes with a unit, auto or off",
    arguments: [
      ("1", UInt64(1)), ("3KiB", 3 << 10), ("512MiB", 512 << 20), ("auto", 0), ("off", .max),
      ("18446744073709551614", .max - 1),
    ])
  func softLimit(_ value: String, _ expected: UInt64) {
    let result = set("SOFT_LIMIT", value)
    #expect(result.status == .ok && result.options.soft_limit_bytes == expected)
  }

  @Test(
    "what is no soft limit is refused, and nothing changes",
    arguments: ["", "0", "-1", "12 MiB", "MiB", "0.5GiB", "automatic", "1e9", "17179869185GiB", "99999999999999999999"])
  func badSoftLimit(_ value: String) {
    let result = set("SOFT_LIMIT", value)
    #expect(result.status == .badOptions && result.options.soft_limit_bytes == testOptions().soft_limit_bytes)
  }

  @Test("limits, assists and periods that make no sense are refused")
  func badLimits() {
    func status(_ change: @escaping (inout tri_options) -> Void) -> tri_status { resolve(change).status }
    let pairs: [(UInt64, tri_status)] = [(2 << 20, .badOptions), (1 << 20, .ok), (.max, .ok), (0, .ok)]
    for (soft, expected) in pairs {
      let answer = status {
        $0.soft_limit_bytes = soft
        $0.limit_bytes = 1 << 20
      }
      #expect(answer == expected, "\(soft)")
    }
    for ns: UInt64 in [0, 999, 1_000_000_001, .max] { #expect(status { $0.assist_ns_max = ns } == .badOptions) }
    for ns: UInt64 in [1000, 1_000_000_000] { #expect(status { $0.assist_ns_max = ns } == .ok) }
    #expect(status { $0.periodic_cycle_ms = 0 } == .ok)
    #expect(status { $0.periodic_cycle_ms = 366 * 24 * 3600 * 1000 + 1 } == .badOptions)
    #expect(status { $0.periodic_cycle_ms = .max } == .badOptions)
  }

  @Test("switches and numbers are read")
  func numbers() {
    #expect(set("TRACE", "2").options.trace == 2)
    #expect(set("TRACE", "0").status == .ok)
    #expect(set("CHECKMARK", "0").options.checkmark == 0)
    #expect(set("VERIFY", "1").options.verify == 1)
    #expect(set("STRESS", "17").options.stress_interval == 17)
    #expect(set("SCAVENGE", "150").options.scavenge_after_ms == 150)
    #expect(set("SCAVENGE", "0").options.scavenge_after_ms == 0)
    #expect(set("SCAVENGE", "off").options.scavenge_after_ms == 0)
    #expect(set("STRESS", "4294967295").options.stress_interval == .max)
    #expect(set("GENERATIONS", "off").options.generations == .off)
    #expect(set("GENERATIONS", "always").options.generations == .always)
    #expect(set("GENERATIONS", "auto").status == .ok)
    #expect(set("HUGE_PAGES", "always").options.huge_pages == tri_huge_pages.always.rawValue)
    #expect(set("HUGE_PAGES", "off").options.huge_pages == tri_huge_pages.off.rawValue)
    #expect(set("HUGE_PAGES", "auto").status == .ok)
  }

  @Test(
    "text that is not understood is refused and changes nothing",
    arguments: [
      ("GC", ""), ("GC", "24"), ("GC", "100001"), ("GC", "-1"), ("GC", "100%"), ("GC", "1e3"), ("GC", " 100"),
      ("GC", "on"),
      ("GC", "Off"), ("GC", "4294967295"), ("GC", "4294967396"), ("GC", "99999999999999999999"), ("LIMIT", ""),
      ("LIMIT", "0"), ("LIMIT", "-5MiB"), ("LIMIT", "5MB"), ("LIMIT", "5 MiB"), ("LIMIT", "MiB"), ("LIMIT", "5MiBs"),
      ("LIMIT", "18446744073709551616"), ("LIMIT", "99999999TiB"), ("LIMIT", "1.5GiB"), ("LIMIT", "0x10"),
      ("TRACE", "3"),
      ("TRACE", "yes"), ("TRACE", ""), ("CHECKMARK", "2"), ("CHECKMARK", "true"), ("VERIFY", "11"), ("STRESS", "-1"),
      ("STRESS", "4294967296"), ("STRESS", "5x"), ("GENERATIONS", ""), ("GENERATIONS", "on"), ("SCAVENGE", "2s"),
      ("SCAVENGE", ""), ("SCAVENGE", "-1"), ("SCAVENGE", "4294967296"),
      ("HUGE_PAGES", ""), ("HUGE_PAGES", "on"), ("HUGE_PAGES", "2"), ("GENERATIONS", "Always"), ("GENERATIONS", "1"),
      ("", "1"), ("gc", "100"), ("UNKNOWN", "1"), ("GCX", "100"),
    ])
  func badText(_ name: String, _ value: String) {
    let result = set(name, value)
    var before = testOptions()
    var after = result.options
    #expect(result.status == .badOptions)
    let same = withUnsafeBytes(of: &before) { one in withUnsafeBytes(of: &after) { one.elementsEqual($0) } }
    #expect(same)
  }

  @Test("options that make sense are resolved as they are")
  func resolved() {
    let result = resolve {
      $0.growth_percent = 60
      $0.limit_bytes = 1 << 30
      $0.barrier = .dijkstra
      $0.tag_mask = 7
      $0.tag_value = 5
      $0.reservation_bytes = 1 << 33
      $0.stress_interval = 4
      $0.trace = 1
    }
    #expect(result.status == .ok)
    #expect(result.options.growth_percent == 60 && result.options.limit_bytes == 1 << 30)
    #expect(result.options.barrier == .dijkstra && result.options.tag_value == 5 && result.options.stress_interval == 4)
    var out = tri_options()
    #expect(tri_options_resolve(nil, &out) == .ok)
    #expect(out.growth_percent == 100)
  }

  @Test("options that contradict themselves are refused with a line that names the field")
  func complaints() async {
    let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
      let changes: [(inout tri_options) -> Void] = [
        { $0.growth_percent = 24 }, { $0.growth_percent = 100_001 }, { $0.growth_percent = 0 }, { $0.trace = 3 },
        { $0.checkmark = 2 }, { $0.verify = 9 }, { $0.huge_pages = 3 },
        {
          $0.tag_mask = 1
          $0.tag_value = 2
        }, { $0.tag_mask = 1 }, { $0.reservation_bytes = .max }, { $0.struct_bytes = 8 }, { $0.struct_bytes = 0 },
      ]
      for change in changes {
        var given = testOptions(change)
        var out = tri_options()
        out.limit_bytes = 4711
        let status = tri_options_resolve(&given, &out)
        #expect(status == .badOptions && out.limit_bytes == 4711)
        // And no heap.
        var opened = tri_status.ok
        #expect(Collector.open(&given, status: &opened) == nil && opened == .badOptions)
      }
    }
    let said = lines(result)
    let expected = [
      "growth_percent", "growth_percent", "growth_percent", "trace", "switch", "switch", "huge_pages", "tag_value",
      "tag_value",
      "reservation_bytes", "options of 8 bytes", "options of 0 bytes",
    ]
    #expect(said.count == 2 * expected.count)
    for (index, line) in said.enumerated() { #expect(line.contains(expected[index / 2])) }
  }

  @Test("the environment overrides what the embedder chose, where it is asked")
  func environment() async {
    await #expect(processExitsWith: .success) {
      setenv("TRICOLOR_GC", "250", 1)
      setenv("TRICOLOR_LIMIT", "64MiB", 1)
      setenv("TRICOLOR_CHECKMARK", "0", 1)
      setenv("TRICOLOR_VERIFY", "0", 1)
      setenv("TRICOLOR_STRESS", "9", 1)
      setenv("TRICOLOR_TRACE", "1", 1)
      setenv("TRICOLOR_GENERATIONS", "always", 1)
      setenv("TRICOLOR_SCAVENGE", "off", 1)
      setenv("TRICOLOR_UNRELATED", "nonsense", 1)
      let read = try TestHeap { $0.read_environment = 1 }
      let inForce = tri_heap_options(read.heap).pointee
      #expect(inForce.growth_percent == 250 && inForce.limit_bytes == 64 << 20 && inForce.stress_interval == 9)
      #expect(inForce.generations == .always && inForce.scavenge_after_ms == 0)
      #expect(inForce.checkmark == 0 && inForce.verify == 0 && inForce.trace == 1)
      let unread = try TestHeap()
      #expect(tri_heap_options(unread.heap).pointee.growth_percent == growthOff)
      #expect(tri_heap_options(unread.heap).pointee.limit_bytes == 0)
    }
  }

  @Test("an environment that is not understood is refused with a line that names the variable")
  func badEnvironment() async {
    let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
      for (name, value) in [
        ("TRICOLOR_GC", "fast"), ("TRICOLOR_LIMIT", "lots"), ("TRICOLOR_SOFT_LIMIT", "some"), ("TRICOLOR_TRACE", "9"),
        ("TRICOLOR_CHECKMARK", ""), ("TRICOLOR_VERIFY", "y"), ("TRICOLOR_STRESS", "-3"),
        ("TRICOLOR_GENERATIONS", "minor"), ("TRICOLOR_SCAVENGE", "soon"),
      ] {
        setenv(name, value, 1)
        var options = testOptions { $0.read_environment = 1 }
        var out = tri_options()
        #expect(tri_options_resolve(&options, &out) == .badOptions)
        unsetenv(name)
      }
    }
    let said = lines(result)
    #expect(said.count == 9)
    let named = [
      "GC=fast", "LIMIT=lots", "SOFT_LIMIT=some", "TRACE=9", "CHECKMARK=", "VERIFY=y", "STRESS=-3", "GENERATIONS=minor",
      "SCAVENGE=soon",
    ]
    for (line, name) in zip(said, named) {
      #expect(line.hasPrefix("tricolor: TRICOLOR_\(name) is not understood: expected "))
    }
  }

  @Test("every status has a sentence of its own")
  func statusTexts() {
    let texts = (0...UInt32(13)).map { String(cString: tri_status_text(tri_status(rawValue: $0)!)) }
    #expect(Set(texts).count == 14)
    #expect(texts.allSatisfy { !$0.isEmpty && !$0.hasSuffix(".") && $0 != "unknown status" })
  }
}
