// CgroupTests: the limits of containers, read from trees of files that look like the system's, and from a real group.
// Each in a process of its own: where files are looked for holds for all heaps.

import CTricolor
import CTricolor.Testing
import Glibc
import Testing
import TricolorCore

private let mib: UInt64 = 1 << 20

/// A directory that stands for the root of a system.
private struct FakeSystem {
  let root: String

  init() {
    var template = Array("/tmp/tricolor-cgroup-XXXXXX".utf8CString)
    precondition(mkdtemp(&template) != nil)
    root = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  func write(_ path: String, _ text: String) {
    let parts = (root + path).split(separator: "/")
    for count in 1..<parts.count { mkdir("/" + parts.prefix(count).joined(separator: "/"), 0o755) }
    let file = fopen(root + path, "w")
    precondition(file != nil, "\(root + path)")
    fputs(text, file)
    fclose(file)
  }

  /// Where this process is, and what is mounted.
  func process(_ groups: String, _ mounts: String) {
    write("/proc/self/cgroup", groups)
    write("/proc/self/mountinfo", mounts)
  }

  /// What is read now.
  var memory: UInt64 {
    tri_testing_set_cgroup_root(root)
    return tri_testing_cgroup_memory_bytes()
  }
  var cpuPermille: UInt64 {
    tri_testing_set_cgroup_root(root)
    return tri_testing_cgroup_cpu_permille()
  }

  func remove() {
    tri_testing_set_cgroup_root(nil)
    Self.removeTree(root)
  }

  /// Does not follow links.
  private static func removeTree(_ path: String) {
    if let directory = opendir(path) {
      while let entry = readdir(directory) {
        let name = withUnsafeBytes(of: entry.pointee.d_name) {
          String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
        if name == "." || name == ".." { continue }
        let child = path + "/" + name
        if entry.pointee.d_type == UInt8(DT_DIR) { removeTree(child) } else { unlink(child) }
      }
      closedir(directory)
    }
    rmdir(path)
  }
}

/// A group of version 1 that has a limit, and that a process can be put into.
private struct RealGroup {
  private static let root = "/sys/fs/cgroup/memory"
  private let path: String

  /// Nil where there is no such thing, or this process must not do it.
  init?(limit: UInt64) {
    path = Self.root + "/tricolor-test-\(getpid())-inside"
    // The smallest on the way to the root is the one that counts.
    guard let outer = RealGroup(at: Self.root).number("memory.limit_in_bytes"), outer >= limit, mkdir(path, 0o755) == 0
    else { return nil }
    if Self.write("\(limit)", to: path + "/memory.limit_in_bytes") && access(path + "/cgroup.procs", W_OK) == 0 {
      return
    }
    remove()
    return nil
  }

  private init(at path: String) { self.path = path }

  /// The group that another process made, with the calling process in it.
  static func joined(_ name: String) -> RealGroup? {
    let group = RealGroup(at: root + "/" + name)
    return write("0", to: group.path + "/cgroup.procs") ? group : nil
  }

  var name: String { String(path.dropFirst(Self.root.count + 1)) }

  func number(_ file: String) -> UInt64? {
    guard let stream = fopen(path + "/" + file, "r") else { return nil }
    defer { fclose(stream) }
    var text = [CChar](repeating: 0, count: 64)
    return fgets(&text, Int32(text.count), stream) == nil ? nil : strtoull(text, nil, 10)
  }

  /// Whoever is still in it is moved to where it was made: a group with processes cannot be removed.
  func remove() {
    for _ in 0..<500 {
      if rmdir(path) == 0 || errno == ENOENT { return }
      if let stream = fopen(path + "/cgroup.procs", "r") {
        var line = [CChar](repeating: 0, count: 64)
        while fgets(&line, Int32(line.count), stream) != nil {
          _ = Self.write("\(strtoull(line, nil, 10))", to: Self.root + "/cgroup.procs")
        }
        fclose(stream)
      }
      usleep(10_000)  // processes that ended leave a moment later
    }
    print("\(path) could not be removed")
  }

  private static func write(_ text: String, to path: String) -> Bool {
    let file = open(path, O_WRONLY)
    guard file >= 0 else { return false }
    defer { close(file) }
    return Glibc.write(file, text, text.utf8.count) == text.utf8.count
  }
}

private let mount2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
private let mount1 = """
  22 1 8:1 / / rw - ext4 /dev/sda1 rw
  35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
  36 31 0:33 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct

  """

@Suite struct CgroupTests {
  @Test("version 2: the smallest of memory.max and memory.high up to the root counts")
  func nested() async {
    await #expect(processExitsWith: .success) {
      let system = FakeSystem()
      defer { system.remove() }
      system.process("0::/pod/app\n", mount2)
      #expect(system.memory == 0, "no files")
      system.write("/sys/fs/cgroup/pod/app/memory.max", "max\n")
      #expect(system.memory == 0)
      system.write("/sys/fs/cgroup/pod/app/memory.max", "\(512 * mib)\n")
      #expect(system.memory == 512 * mib)
      system.write("/sys/fs/cgroup/pod/memory.max", "\(256 * mib)\n")
      #expect(system.memory == 256 * mib, "a parent allows less")
      system.write("/sys/fs/cgroup/pod/app/memory.high", "\(128 * mib)\n")
      #expect(system.memory == 128 * mib)
      system.write("/sys/fs/cgroup/memory.max", "\(64 * mib)\n")
      #expect(system.memory == 64 * mib, "the root of a container shows its own limit")
      system.write("/sys/fs/cgroup/other/memory.max", "4096\n")
      #expect(system.memory == 64 * mib, "another group's limit is not ours")
    }
  }

  @Test("what is no number of bytes is no limit")
  func garbage() async {
    await #expect(processExitsWith: .success) {
      let system = FakeSystem()
      defer { system.remove() }
      system.process("0::/app\n", mount2)
      let none = [
        "", "\n", "max", "nonsense\n", "-1\n", "12 apples\n", "12x\n", "0\n", "0x1000\n", "18446744073709551616\n",
        "99999999999999999999999999\n", "\u{0}", "9223372036854771712\n", " max\n",
      ]
      for text in none {
        system.write("/sys/fs/cgroup/app/memory.max", text)
        #expect(system.memory == 0, "\(text)")
      }
      for text in ["1048576", "1048576\n", " 1048576\n", "1048576 \n"] {
        system.write("/sys/fs/cgroup/app/memory.max", text)
        #expect(system.memory == mib, "\(text)")
      }
      system.process("", "")
      #expect(system.memory == 0)
      system.process("0:\nnothing\n::\n:::::\n0::app\n", "\n- - -\n30 23\n" + mount2)
      #expect(system.memory == 0, "a path that is not absolute is taken for the root")
      system.write("/sys/fs/cgroup/memory.max", "4096")
      #expect(system.memory == 4096)
      system.process("0::/app", mount2.trimmed)
      #expect(system.memory == 4096, "no newline at the end")
      unlink(system.root + "/proc/self/cgroup")
      #expect(system.memory == 0)
      unlink(system.root + "/proc/self/mountinfo")
      #expect(system.memory == 0)
    }
  }

  @Test("a group outside of what the process may see is taken for the root of what it sees")
  func escapes() async {
    await #expect(processExitsWith: .success) {
      let system = FakeSystem()
      defer { system.remove() }
      system.write("/sys/fs/cgroup/memory.max", "\(8 * mib)")
      system.write("/sys/memory.max", "4096")
      for path in ["/../../other", "/..", "/a/../../b"] {
        system.process("0::\(path)\n", mount2)
        #expect(system.memory == 8 * mib, "\(path)")
      }
      // The mount shows a part of the tree: what is above it is cut off the path.
      system.write("/sys/fs/cgroup/inner/memory.max", "\(4 * mib)")
      let part = mount2.replaced("0:26 / ", "0:26 /docker/abc ")
      system.process("0::/docker/abc/inner\n", part)
      #expect(system.memory == 4 * mib)
      system.process("0::/docker/abcd\n", part)
      #expect(system.memory == 8 * mib)
      // A mount point with a space and a backslash in it.
      system.write("/sys/a b\\/app/memory.max", "\(2 * mib)")
      system.process("0::/app\n", mount2.replaced("/sys/fs/cgroup", "/sys/a\\040b\\134"))
      #expect(system.memory == 2 * mib)
    }
  }

  @Test("version 1, and both versions at once")
  func versionOne() async {
    await #expect(processExitsWith: .success) {
      let system = FakeSystem()
      defer { system.remove() }
      system.process("4:memory:/a/b\n2:cpu,cpuacct:/c\n0::/\n", mount1)
      system.write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
      system.write("/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n")
      #expect(system.memory == 0)
      system.write("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "\(96 * mib)\n")
      #expect(system.memory == 96 * mib, "a parent's")
      system.write("/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "\(32 * mib)\n")
      #expect(system.memory == 32 * mib)
      system.write("/sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us", "-1\n")
      system.write("/sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_period_us", "100000\n")
      #expect(system.cpuPermille == 0)
      system.write("/sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us", "150000\n")
      #expect(system.cpuPermille == 1500)
      // Hybrid: the unified tree has no memory controller, or one that allows less.
      let hybrid = mount1 + mount2.replaced("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
      system.process("4:memory:/a/b\n0::/app\n", hybrid)
      #expect(system.memory == 32 * mib)
      system.write("/sys/fs/cgroup/unified/app/memory.max", "\(16 * mib)\n")
      #expect(system.memory == 16 * mib)
    }
  }

  @Test("a quota of CPUs is rounded up, and counts if it is less than the CPUs there are")
  func cpus() async {
    await #expect(processExitsWith: .success) {
      let system = FakeSystem()
      defer { system.remove() }
      let all = tri_testing_cpu_count()
      system.process("0::/app\n", mount2)
      let cases: [(String, UInt64)] = [
        ("max 100000\n", 0), ("50000 100000\n", 500), ("100000 100000\n", 1000), ("1 100000\n", 1),
        ("100000\n", 0), ("100000 0\n", 0), ("-5 100000\n", 0), ("x y\n", 0), ("", 0),
        ("18446744073709551615 1\n", 0),
      ]
      for (text, permille) in cases {
        system.write("/sys/fs/cgroup/app/cpu.max", text)
        #expect(system.cpuPermille == permille, "\(text)")
        #expect(tri_testing_cpu_count() == (permille == 0 ? all : 1), "\(text)")
      }
      system.write("/sys/fs/cgroup/app/cpu.max", "\(all)00000 100000\n")
      tri_testing_set_cgroup_root(system.root)
      #expect(tri_testing_cpu_count() == all)
      system.write("/sys/fs/cgroup/cpu.max", "20000 100000\n")
      #expect(system.cpuPermille == 200, "a parent's")
    }
  }

  @Test("lines longer than any of a group's are skipped, wherever they stand")
  func longLines() async {
    await #expect(processExitsWith: .success) {
      let system = FakeSystem()
      defer { system.remove() }
      system.write("/sys/fs/cgroup/app/memory.max", "4096")
      for length in [4000, 4094, 4095, 4096, 4097, 8192, 20_000] {
        let long = String(repeating: "x", count: length)
        system.process("0::/app\n", "22 1 8:1 / / rw - overlay overlay rw,lowerdir=\(long)\n" + mount2)
        #expect(system.memory == 4096, "\(length)")
      }
      let deep = "/" + String(repeating: "y", count: 2000)
      system.process("0::\(deep)\n", mount2)
      #expect(system.memory == 0, "a path that is too long")
    }
  }

  @Test("a heap's soft limit is nine tenths of the container's, follows it, and says so")
  func heap() async {
    await #expect(processExitsWith: .success) {
      let system = FakeSystem()
      defer { system.remove() }
      system.process("0::/app\n", mount2)
      system.write("/sys/fs/cgroup/app/memory.max", "\(1000 * mib)\n")
      tri_testing_set_cgroup_root(system.root)
      let events = EventLog()
      let heap = try TestHeap()
      let off = try TestHeap { $0.soft_limit_bytes = UInt64.max }
      let given = try TestHeap { $0.soft_limit_bytes = 5 * mib }
      for each in [heap, off, given] {
        tri_events_set(each.heap, EventLog.record, Unmanaged.passUnretained(events).toOpaque())
      }
      #expect(heap.statistics.soft_limit_bytes == 900 * mib)
      #expect(off.statistics.soft_limit_bytes == 0)
      #expect(given.statistics.soft_limit_bytes == 5 * mib)
      system.write("/sys/fs/cgroup/app/memory.max", "\(100 * mib)\n")
      tri_testing_set_cgroup_root(system.root)
      for each in [heap, off, given] { tri_testing_refresh_limits(each.heap) }
      #expect(heap.statistics.soft_limit_bytes == 90 * mib)
      #expect(off.statistics.soft_limit_bytes == 0 && given.statistics.soft_limit_bytes == 5 * mib)
      #expect(events.kinds == [UInt32(TRI_EVENT_CONTAINER_LIMIT_CHANGED)])
      #expect(events.all[0].limit_bytes == 90 * mib && events.all[0].time_ns > 0)
      // The same again is no news; no limit any more is.
      tri_testing_refresh_limits(heap.heap)
      #expect(events.all.count == 1)
      system.write("/sys/fs/cgroup/app/memory.max", "max\n")
      tri_testing_set_cgroup_root(system.root)
      tri_testing_refresh_limits(heap.heap)
      #expect(heap.statistics.soft_limit_bytes == 0 && events.all.count == 2)
      withExtendedLifetime((heap, off, given, events)) {}
    }
  }

  /// No process is moved: the test says that it is in the group, the limit is the kernel's.
  @Test("a real group of version 1")
  func realGroup() async {
    await #expect(processExitsWith: .success) {
      let name = "tricolor-test-\(getpid())"
      let group = "/sys/fs/cgroup/memory/" + name
      guard access("/sys/fs/cgroup/memory/memory.limit_in_bytes", R_OK) == 0, mkdir(group, 0o755) == 0 else {
        print("skipped: no group of version 1 can be made here")
        return
      }
      defer { rmdir(group) }
      let system = FakeSystem()
      defer { system.remove() }
      mkdir(system.root + "/sys", 0o755)
      symlink("/sys/fs", system.root + "/sys/fs")
      system.process("4:memory:/\(name)\n", mount1)
      #expect(system.memory == 0, "a new group has no limit")
      let file = open(group + "/memory.limit_in_bytes", O_WRONLY)
      #expect(Glibc.write(file, "50M", 3) == 3)
      close(file)
      #expect(system.memory == 50 * mib)
      tri_testing_set_cgroup_root(system.root)
      let heap = try TestHeap()
      #expect(heap.statistics.soft_limit_bytes == 45 * mib)
    }
  }

  /// More is alive than a heap without limit could double and stay in the group, and much more is allocated. Then more
  /// and more stays alive: told in time, a program can stop before the kernel stops it.
  @Test("in a real group of version 1 a heap of default options stays below the limit, and says when it cannot")
  func insideRealGroup() async {
    let limit = 100 * mib
    guard let group = RealGroup(limit: limit) else {
      print("skipped: no group of version 1 can be made here")
      return
    }
    // Here, as the process that is put into it may be killed.
    defer { group.remove() }
    await #expect(processExitsWith: .success) { [name = group.name as String, limit = limit as UInt64] in
      endAfter(seconds: 60)
      guard let group = RealGroup.joined(name) else {
        print("skipped: no process can be put into a group of version 1 here")
        return
      }
      let heap = try TestHeap {
        tri_options_init(&$0)
        $0.read_environment = 0
      }
      let events = heap.events()
      let soft = limit / 10 * 9
      #expect(heap.statistics.soft_limit_bytes == soft)
      try heap.attached { mutator in
        let kept = mutator.root(nil)
        // Marking costs little beside writing to what was allocated: a limit is not kept at the cost of half the time.
        func keep() {
          let object = mutator.node()
          tri_init(mutator.pointer, object, object, kept.pointee)
          kept.pointee = object
          mutator.store(mutator.leaf(16 << 10), in: object, at: 1)
        }
        let alive = 56 << 6
        for _ in 0..<alive { keep() }
        for _ in 0..<(500 << 8) { _ = mutator.leaf(4096) }
        #expect(heap.statistics.cycles > 10 && events.all.isEmpty)
        #expect(heap.statistics.mapped_bytes + heap.statistics.metadata_bytes < limit)
        #expect(group.number("memory.failcnt") == 0, "the kernel was asked for more than the limit")
        var leaked = 0
        while events.all.isEmpty && leaked < 44 << 6 {
          keep()
          leaked += 1
          for _ in 0..<16 { _ = mutator.leaf(4096) }
          if leaked % 16 == 0 { pause(milliseconds: 1) }
        }
        let event = events.all.first
        #expect(event?.kind == UInt32(TRI_EVENT_HEAP_LIMIT_EXCEEDED) && event?.limit_bytes == soft)
        #expect(listLength(kept.pointee) == alive + leaked)
      }
    }
  }

  @Test("where this process really is can be read")
  func here() {
    #expect(tri_testing_cpu_count() >= 1)
    #expect(tri_testing_cgroup_memory_bytes() < 1 << 60)
  }
}

extension String {
  fileprivate var trimmed: String { String(dropLast()) }

  fileprivate func replaced(_ old: String, _ new: String) -> String {
    var rest = self[...]
    var result = ""
    while let first = rest.first {
      if rest.hasPrefix(old) {
        result += new
        rest = rest.dropFirst(old.count)
      } else {
        result.append(first)
        rest = rest.dropFirst()
      }
    }
    return result
  }
}
