// What tricolor.h declares and Swift implements.

import CTricolor
import TricolorCore

@c(tri_heap_create)
public func heapCreate(
  _ options: UnsafePointer<tri_options>?, _ outHeap: UnsafeMutablePointer<OpaquePointer?>
) -> tri_status {
  var status = tri_status.ok
  guard let collector = Collector.open(options, status: &status) else { return status }
  outHeap.pointee = collector.heap
  return .ok
}

@c(tri_heap_destroy)
public func heapDestroy(_ heap: OpaquePointer) -> tri_status {
  Collector.of(heap).close()
}

@c(tri_collect)
public func collect(_ heap: OpaquePointer, _ mode: tri_mode) {
  Collector.of(heap).gc(mode)
}

@c(tri_heap_statistics)
public func heapStatistics(_ heap: OpaquePointer, _ outStatistics: UnsafeMutablePointer<tri_statistics>) {
  tri_statistics_read(heap, outStatistics)
}

@c(tri_heap_set_growth_percent)
public func heapSetGrowthPercent(_ heap: OpaquePointer, _ percent: UInt32) -> tri_status {
  Collector.of(heap).setGrowthPercent(percent) ? .ok : .badOptions
}

@c(tri_heap_set_limits)
public func heapSetLimits(_ heap: OpaquePointer, _ soft: UInt64, _ hard: UInt64) -> tri_status {
  Collector.of(heap).setLimits(soft: soft, hard: hard)
}
