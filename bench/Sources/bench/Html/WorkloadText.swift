// What a reader of the report must know about a workload, in a sentence or two. The README says more.

enum WorkloadText {
  static func about(_ workload: String) -> String? { sentences[workload] }

  /// Those of which memory against time says something: whole programs, or their shape.
  static let wholePrograms = ["trees", "gcbench", "churn", "replay"]

  private static let sentences = [
    "pairs": "Allocate an object, write its first word, read it back, drop it (malloc: free it). "
      + "leaf: contents undefined at first; zeroed: cleared, with a size known at run time only.",
    "batches": "The same for 4 MiB worth of objects held in a table, checked, then dropped together.",
    "churn": "Replace a random entry of a table of 200 000 objects of 16 to 4096 bytes, most of them small. "
      + "references: each replacement also stores into an older object.",
    "trees": "Binary trees as in the benchmarks game; the time is for the whole run.",
    "gcbench": "GCBench with a long-lived tree of that depth; the time is for the whole run.",
    "mark": "One full stop-the-world collection of 10 million objects of 64 bytes; the fastest of three in a "
      + "process counts.",
    "shapes": "Full collections of graphs of many shapes, with one marker or two; the marking alone is compared with a "
      + "plain stack loop over the same graph in the same process.",
    "barriers": "Stores of references in real loops, per store: plain ones into memory of no heap (raw), ours while no "
      + "cycle runs (barrier off, which is the CPU time shown), and ours while one marks (on).",
    "sweep": "The sweep of a heap full of small objects of which a random half is dead, all of it in one go.",
    "cleanups": "Objects that all die, each with something to be done then, or with a weak reference; per object: what "
      + "adding it takes, the sweep, running it, and its memory.",
    "threads": "Two threads at once. churn: each replaces entries of a table of its own, beside one thread alone. "
      + "hand-over: one allocates, the other drops (malloc: frees) what comes through a ring.",
    "scaling": "A random graph of 64-byte objects, half of which are replaced over and over; then a full collection. "
      + "Stops are the longest of each cycle that ran meanwhile. Lines are reads of cache lines all over as much memory: "
      + "what grows in them is the machine's.",
    "cache":
      "A hash table in constant replacement on two threads: an operation looks an entry of five objects up, verifies "
      + "all of it, and three times of four replaces it. closed: each begins when the last one ends. open: they fall due "
      + "evenly, at \(Int(Catalog.openShare * 100)) % of what jemalloc reached in the closed loop, and take from when they "
      + "were due to their end, so that waiting behind others counts.",
    "stops":
      "The closed loop while one cycle after the other is asked for. A stop is from the request to the release of "
      + "all threads; own work is what is left of it when the last thread has arrived.",
    "heaps": "A thousand heaps at once, each made, attached to, given a thousand objects of 64 bytes, collected and "
      + "destroyed; the time is for all of them.",
    "layouts": "A hundred threads allocate their first object of each of 200 layouts; an operation is such an object.",
    "replay": "Allocation traces recorded from real programs, played back event by event.",
  ]
}
