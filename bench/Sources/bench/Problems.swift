// What went wrong so far: told at once, one line each, and remembered for the exit status.
import ArgumentParser

struct Problems {
  private(set) var lines: [String] = []

  mutating func add(_ line: String) {
    lines.append(line)
    complain(line)
  }

  /// Ends the run: success only if nothing went wrong.
  func finish() throws {
    if !lines.isEmpty { throw ExitCode(1) }
  }
}
