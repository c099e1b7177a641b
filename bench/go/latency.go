// How long operations took, counted and printed as programs/latency.h does.
package main

import (
	"fmt"
	"math/bits"
	"strings"
)

const (
	latencySteps    = 64
	latencyStepBits = 6
	latencyBits     = 42
	latencyBuckets  = (latencyBits - latencyStepBits + 1) * latencySteps
	latencyWindowNs = 50_000_000
	latencyWindows  = 4096
)

type latency struct {
	count      [latencyBuckets]uint64
	windowMax  [latencyWindows]int64
	max        int64
	operations uint64
}

func latencyBucket(ns uint64) int {
	if ns < latencySteps {
		return int(ns)
	}
	if ns>>latencyBits != 0 {
		return latencyBuckets - 1
	}
	shift := 63 - latencyStepBits - bits.LeadingZeros64(ns)
	return (shift+1)*latencySteps + int(ns>>shift) - latencySteps
}

// record: an operation took ns and ended atNs after the beginning.
func (l *latency) record(ns, atNs int64) {
	ns, window := max(ns, 0), min(atNs/latencyWindowNs, latencyWindows-1)
	l.count[latencyBucket(uint64(ns))]++
	l.operations++
	l.windowMax[window] = max(l.windowMax[window], ns)
	l.max = max(l.max, ns)
}

func (l *latency) add(more *latency) {
	for i := range l.count {
		l.count[i] += more.count[i]
	}
	for i := range l.windowMax {
		l.windowMax[i] = max(l.windowMax[i], more.windowMax[i])
	}
	l.max = max(l.max, more.max)
	l.operations += more.operations
}

func (l *latency) fields() string {
	var histogram, windows []string
	for i, count := range l.count {
		if count > 0 {
			histogram = append(histogram, fmt.Sprintf("%d:%d", i, count))
		}
	}
	last := latencyWindows
	for last > 0 && l.windowMax[last-1] == 0 {
		last--
	}
	for _, ns := range l.windowMax[:last] {
		windows = append(windows, fmt.Sprint(ns/1000))
	}
	return fmt.Sprintf(`,"latency_max_ns":%d,"latency_histogram":%q,"latency_windows_us":%q`,
		l.max, strings.Join(histogram, ","), strings.Join(windows, ","))
}
