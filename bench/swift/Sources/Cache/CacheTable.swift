// The cache of programs/cache_table.h through the Swift front: the same objects, sizes and order of random numbers. A
// buffer and an array have a count of 8 bytes of their own.
import Tricolor

struct Part {
  var next: Ref<Part>?
  var stamp: UInt64
  var unused0: UInt64 = 0
  var unused1: UInt64 = 0
}

struct Entry {
  var next: Ref<Entry>?
  var value: RawBuffer?
  var parts: Ref<Part>?
  var key: UInt64
  var sum: UInt64
  var words: UInt32
  var stamp: UInt32
}

struct CacheTypes: Sendable {
  let part: ManagedType<Part>
  let entry: ManagedType<Entry>
  let buckets: ManagedArrayType<Entry>

  init(_ heap: Heap) throws(HeapError) {
    part = try heap.register(Part.self, references: \.next)
    entry = try heap.register(Entry.self, references: \.next, \.value, \.parts)
    buckets = try heap.registerArray(of: Entry.self)
  }
}

/// splitmix64, as in programs/measure.h.
struct SplitMix {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}

/// Lives in the frame of the thread that works on it, where the collector sees its reference to the buckets.
struct CacheTable: ~Copyable {
  private static let parts = 2, entryBytes = 48 + 101 + parts * 32, replaceOf4: UInt64 = 3

  private let types: CacheTypes
  private let buckets: RefArray<Entry>
  private let keys, shift: UInt64
  var keyCount: Int { Int(keys) }
  private var random: SplitMix
  private var stamp: UInt32 = 0
  private(set) var seen: UInt64 = 0
  private(set) var heldBytes: UInt64

  init(_ m: borrowing Mutator, _ types: CacheTypes, bytes: UInt64, seed: UInt64) {
    self.types = types
    random = SplitMix(seed)
    keys = bytes / UInt64(CacheTable.entryBytes + 8)
    var log: UInt64 = 1
    while 2 << log < keys { log += 1 }
    shift = 64 - log
    buckets = m.makeArray(types.buckets, count: 1 << log)
    heldBytes = 8 << log
    for key in 0..<keys {
      let entry = make(m, key)
      let bucket = bucket(key)
      entry.next = buckets[bucket]
      buckets[bucket] = entry
      heldBytes += UInt64(48 + CacheTable.parts * 32) + UInt64(entry.words) * 8
    }
  }

  private func bucket(_ key: UInt64) -> Int { Int(truncatingIfNeeded: (key &* 0x9e37_79b9_7f4a_7c15) >> shift) }

  @inline(__always)
  private static func valueBytes(_ four: UInt64) -> Int {
    switch four {
    case 0..<5: 32
    case 5..<8: 48
    case 8..<11: 64
    case 11: 96
    case 12, 13: 128
    case 14: 256
    default: 512
    }
  }

  private mutating func make(_ m: borrowing Mutator, _ key: UInt64) -> Ref<Entry> {
    let stamp = stamp
    self.stamp &+= 1
    let bytes = CacheTable.valueBytes(random.next() >> 60)
    let (value, sum) = CacheTable.makeValue(m, bytes, key &* 31 &+ UInt64(stamp))
    var parts: Ref<Part>?
    for i in 0..<CacheTable.parts {
      parts = m.make(types.part, Part(next: parts, stamp: key &+ UInt64(stamp) &+ UInt64(i)))
    }
    return m.make(
      types.entry,
      Entry(next: nil, value: value, parts: parts, key: key, sum: sum, words: UInt32(bytes / 8), stamp: stamp))
  }

  private static func makeValue(_ m: borrowing Mutator, _ bytes: Int, _ first: UInt64) -> (RawBuffer, UInt64) {
    do {
      let value = try m.tryMakeUninitializedBuffer(byteCount: bytes)
      var sum: UInt64 = 0
      value.withUnsafeBytes { raw in
        let words = raw.assumingMemoryBound(to: UInt64.self)
        for i in 0..<bytes / 8 {
          words[i] = first &+ UInt64(i)
          sum &+= words[i]
        }
      }
      return (value, sum)
    } catch {
      fail("cache: the heap is full (\(error))")
    }
  }

  private static func verify(_ entry: Ref<Entry>) {
    var i = UInt64(parts)
    var sum: UInt64 = 0
    let (key, stamp) = (entry.key, UInt64(entry.stamp))
    var next = entry.parts
    while let part = next {
      i &-= 1
      if part.stamp != key &+ stamp &+ i { fail("cache: a part of an entry is damaged") }
      next = part.next
    }
    entry.value?.withUnsafeBytes { raw in
      for word in raw.assumingMemoryBound(to: UInt64.self) { sum &+= word }
    }
    if i != 0 || sum != entry.sum { fail("cache: an entry is damaged") }
  }

  /// One operation: looks a random key up, verifies what it finds, and most of the time replaces it.
  mutating func operate(_ m: borrowing Mutator) {
    let random = random.next()
    let key = ((random >> 32) &* keys) >> 32
    let bucket = bucket(key)
    var before: Ref<Entry>?
    var found = buckets[bucket]
    while let entry = found, entry.key != key {
      before = entry
      found = entry.next
    }
    guard let old = found else { fail("cache: a key is lost") }
    CacheTable.verify(old)
    seen = seen &* 31 &+ old.sum
    if random & 3 >= CacheTable.replaceOf4 { return }
    let entry = make(m, key)
    entry.next = old.next
    if let before { before.next = entry } else { buckets[bucket] = entry }
  }

  /// Every key is there once and whole.
  func check(_ m: borrowing Mutator) {
    var found: UInt64 = 0
    for i in 0..<buckets.count {
      var next = buckets[i]
      while let entry = next {
        CacheTable.verify(entry)
        found += 1
        next = entry.next
      }
      m.safepoint()
    }
    if found != keys { fail("cache: keys were lost or doubled") }
  }
}
