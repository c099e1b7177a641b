// What every program of the bench needs of the system: clocks, peak memory, and a way to end with a sentence.
import Glibc
import Synchronization

func fail(_ what: String) -> Never {
  let line = Array("bench: \(what)\n".utf8)
  _ = write(2, line, line.count)
  exit(1)
}

func nowNs(_ clock: clockid_t = CLOCK_MONOTONIC) -> UInt64 {
  var time = timespec()
  clock_gettime(clock, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

func sleep(ns: UInt64) {
  var rest = timespec(tv_sec: Int(ns / 1_000_000_000), tv_nsec: Int(ns % 1_000_000_000))
  nanosleep(&rest, nil)
}

/// The largest resident size this process ever had, 0 if the system does not say.
func peakResidentBytes() -> UInt64 {
  guard let file = fopen("/proc/self/status", "r") else { return 0 }
  defer { fclose(file) }
  var line: UnsafeMutablePointer<CChar>?
  var size = 0
  defer { free(line) }
  while getline(&line, &size, file) > 0, let line {
    let text = String(cString: line)
    if text.hasPrefix("VmHWM:") { return (UInt64(text.filter(\.isNumber)) ?? 0) * 1024 }
  }
  return 0
}

/// Lets everybody through when `count` have come.
final class Gate: Sendable {
  private let expected: Int
  private let came = Atomic(0)
  private let open = Atomic(false)

  init(_ count: Int) { expected = count }

  /// Sleeps a little at a time: nobody is in a hurry here, and nobody should spin beside those who still work.
  func pass() {
    if came.add(1, ordering: .acquiringAndReleasing).newValue == expected {
      open.store(true, ordering: .releasing)
    }
    while !open.load(ordering: .acquiring) { sleep(ns: 100_000) }
  }
}
