// Runs one program to its end, or kills it at the time limit. Output goes through temporary files, so a
// program that prints much or never ends cannot block the driver.
import Foundation

struct ChildProcess {
  enum Ending: Equatable {
    case exited(Int32)
    case signalled(Int32)
    case timedOut
    case notStarted(String)
  }

  struct Outcome {
    let ending: Ending
    let output: String
    let errors: String
  }

  let path: String
  let arguments: [String]
  var environment: [String: String]
  let timeLimit: Double

  /// Programs run with default options: of the environment only what they need to start is handed on.
  init(_ path: String, _ arguments: [String], preload: String? = nil, timeLimit: Double) {
    self.path = path
    self.arguments = arguments
    self.timeLimit = timeLimit
    let kept = ["PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH"]
    environment = ProcessInfo.processInfo.environment.filter { kept.contains($0.key) }
    environment["LD_PRELOAD"] = preload
  }

  func run() -> Outcome {
    let folder = FileManager.default.temporaryDirectory.path
    let name = "\(folder)/bench-\(UUID().uuidString)"
    let output = "\(name)-output"
    let errors = "\(name)-errors"
    defer {
      unlink(output)
      unlink(errors)
    }
    var child: pid_t = 0
    let status = spawn(&child, output: output, errors: errors)
    guard status == 0 else {
      return Outcome(ending: .notStarted(String(cString: strerror(status))), output: "", errors: "")
    }
    let ending = wait(for: child)
    return Outcome(ending: ending, output: ChildProcess.text(output), errors: ChildProcess.text(errors))
  }

  private func spawn(_ child: inout pid_t, output: String, errors: String) -> Int32 {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    let create = O_WRONLY | O_CREAT | O_TRUNC
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, output, create, 0o600)
    posix_spawn_file_actions_addopen(&actions, 2, errors, create, 0o600)

    var words: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
    var variables: [UnsafeMutablePointer<CChar>?] =
      environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for pointer in words + variables { free(pointer) } }
    return posix_spawn(&child, path, &actions, nil, &words, &variables)
  }

  /// Polls, more and more seldom, so that short programs are not delayed and long ones not disturbed.
  private func wait(for child: pid_t) -> Ending {
    let deadline = Date().addingTimeInterval(timeLimit)
    var pauseMicroseconds: UInt32 = 500
    var status: Int32 = 0
    while waitpid(child, &status, WNOHANG) == 0 {
      if Date() > deadline {
        kill(child, SIGKILL)
        waitpid(child, &status, 0)
        return .timedOut
      }
      usleep(pauseMicroseconds)
      pauseMicroseconds = min(pauseMicroseconds * 2, 20_000)
    }
    let signal = status & 0x7f
    return signal == 0 ? .exited(status >> 8 & 0xff) : .signalled(signal)
  }

  private static func text(_ path: String) -> String {
    guard let data = FileManager.default.contents(atPath: path) else { return "" }
    return String(decoding: data, as: UTF8.self)
  }
}

extension ChildProcess.Outcome {
  /// Why this was no success, in a line; nil if it was one.
  func failure(timeLimit: Double) -> String? {
    let said = errors.split(separator: "\n").last.map { ": \($0)" } ?? ""
    switch ending {
    case .exited(0): return nil
    case .exited(let code): return "ended with status \(code)\(said)"
    case .signalled(SIGKILL): return "was killed (signal 9), most likely for memory"
    case .signalled(let signal):
      return "crashed (signal \(signal), \(String(cString: strsignal(signal))))\(said)"
    case .timedOut: return "was killed after the time limit of \(timeLimit.short) s"
    case .notStarted(let reason): return "could not be started: \(reason)"
    }
  }
}
