// Timing of one measurement and the one line of JSON about it: the same fields as programs/measure.h prints.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type measure struct {
	cpuNs, wallNs, cycles int64
	operations, check     uint64
}

func measureNow() measure {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fail(err.Error())
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	cpu := usage.Utime.Nano() + usage.Stime.Nano()
	return measure{cpuNs: cpu, wallNs: time.Now().UnixNano(), cycles: int64(stats.NumGC)}
}

func (m *measure) end() {
	now := measureNow()
	m.cpuNs, m.wallNs, m.cycles = now.cpuNs-m.cpuNs, now.wallNs-m.wallNs, now.cycles-m.cycles
}

func fail(what string) {
	fmt.Fprintln(os.Stderr, "bench:", what)
	os.Exit(1)
}

func number(argument int) int {
	value, err := strconv.Atoi(os.Args[argument])
	if err != nil || value < 0 {
		fail("not a number: " + os.Args[argument])
	}
	return value
}

// peakRSSBytes is the largest resident size this process ever had.
func peakRSSBytes() int64 {
	file, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if rest, found := strings.CutPrefix(lines.Text(), "VmHWM:"); found {
			kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib * 1024
		}
	}
	return 0
}

func (m *measure) report(workload, variant string) { m.reportWith(workload, variant, "") }

// reportWith adds fields, each with a comma before it.
func (m *measure) reportWith(workload, variant, fields string) {
	fmt.Printf(`{"workload":%q,"contender":"go","variant":%q,"cpu_ns":%d,"wall_ns":%d,"operations":%d,`+
		`"cycles":%d,"check":%d,"peak_rss_bytes":%d,"allocator":%q%s}`+"\n",
		workload, variant, m.cpuNs, m.wallNs, m.operations, m.cycles, m.check, peakRSSBytes(), runtime.Version(), fields)
}

// random is splitmix64, the same sequence as in programs/measure.h.
type random struct{ state uint64 }

func (r *random) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

func (r *random) below(bound uint32) uint32 {
	return uint32(((r.next() >> 32) * uint64(bound)) >> 32)
}
