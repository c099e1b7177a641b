// Where a report goes: proven writable before the work, replaced only by a finished file.
import ArgumentParser
import Foundation

struct OutputFile {
  private let path: String
  private let temporary: String

  /// Errors, told in a line: the file could not be written, or is not one that may be replaced.
  init(path: String) throws {
    // Through a link the file it names is replaced, not the link.
    self.path = OutputFile.resolved(path)
    temporary = "\(self.path).\(getpid()).tmp"
    if let reason = OutputFile.obstacle(self.path, temporary: temporary) {
      complain("cannot write \(path): \(reason); nothing was done")
      throw ExitCode(1)
    }
  }

  private static func obstacle(_ path: String, temporary: String) -> String? {
    if path.isEmpty { return "the name is empty" }
    var status = stat()
    if stat(path, &status) == 0 {
      switch status.st_mode & S_IFMT {
      case S_IFREG: break
      case S_IFDIR: return "it is a folder"
      default: return "it is not an ordinary file"
      }
      if access(path, W_OK) != 0 { return String(cString: strerror(errno)) }
    }
    let file = open(temporary, O_WRONLY | O_CREAT | O_EXCL, 0o644)
    if file < 0 { return String(cString: strerror(errno)) }
    close(file)
    unlink(temporary)
    return nil
  }

  /// Writes all of it or leaves what was there; what a run without problems wrote is not replaced by one with.
  func write(_ content: () throws -> Data, _ problems: inout Problems) {
    if !problems.lines.isEmpty && FileManager.default.fileExists(atPath: path) {
      problems.add("\(path) was left as it is, because this run had problems")
      return
    }
    do {
      try content().write(to: URL(filePath: temporary))
      if rename(temporary, path) != 0 { throw CocoaError(.fileWriteUnknown) }
    } catch {
      unlink(temporary)
      problems.add("cannot write \(path): \(error.localizedDescription)")
    }
  }

  /// The file behind links, so that two names for one file are seen to be one.
  static func resolved(_ path: String) -> String {
    guard let real = realpath(path, nil) else { return path }
    defer { free(real) }
    return String(cString: real)
  }
}
