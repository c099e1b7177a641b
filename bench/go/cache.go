// How long does an operation on a large cache take at worst in Go? As programs/cache.c.
package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	checked              = 20000
	warmOperationsPerKey = 3
	mostMember           = 127
)

var job struct {
	open, stops   bool
	threads       int
	liveBytes     uint64
	runNs, warmNs int64
	rate          uint64
	intervalNs    float64
	done          atomic.Bool
}

type member struct {
	cache   cache
	latency latency
	check   uint64
}

var base = time.Now()

func nowNs() int64 { return int64(time.Since(base)) }

func (m *member) operate(done *uint64) {
	m.cache.operate()
	if *done++; *done == checked {
		m.check = m.cache.seen
	}
}

func (m *member) warmUp() uint64 {
	done, end, least := uint64(0), nowNs()+job.warmNs, uint64(checked)
	if !job.stops {
		least = max(least, warmOperationsPerKey*uint64(m.cache.keys))
	}
	for done < least || nowNs() < end {
		m.operate(&done)
	}
	return done
}

func (m *member) runClosed(done uint64) {
	start := nowNs()
	for last := start; last-start < job.runNs; {
		m.operate(&done)
		now := nowNs()
		m.latency.record(now-last, now-start)
		last = now
	}
}

func (m *member) runOpen(done uint64, index int) {
	start := nowNs()
	now, offset := start, job.intervalNs*float64(index)/float64(job.threads)
	for count := 0; ; count++ {
		due := start + int64(offset+job.intervalNs*float64(count))
		if due-start >= job.runNs {
			return
		}
		for now < due {
			// time.Sleep would wait for a whole millisecond where nothing else runs.
			rest := syscall.NsecToTimespec(due - now)
			syscall.Nanosleep(&rest, nil)
			now = nowNs()
		}
		m.operate(&done)
		now = nowNs()
		m.latency.record(now-due, now-start)
	}
}

// gate lets everybody through when all have come.
type gate struct{ came, open sync.WaitGroup }

func (g *gate) pass() {
	g.came.Done()
	g.open.Wait()
}

var gates [3]gate

func (m *member) work(index int) {
	m.cache.build(job.liveBytes/uint64(job.threads), 1000+uint64(index))
	gates[0].pass()
	done := m.warmUp()
	gates[1].pass()
	if job.open {
		m.runOpen(done, index)
	} else {
		m.runClosed(done)
	}
	gates[2].pass()
	m.cache.check()
}

func askForCycles() {
	for !job.done.Load() {
		runtime.GC()
		time.Sleep(5 * time.Millisecond)
	}
}

const (
	pausesMetric   = "/sched/pauses/total/gc:seconds"
	stoppingMetric = "/sched/pauses/stopping/gc:seconds"
)

func stopsSoFar(metric string) *metrics.Float64Histogram {
	samples := []metrics.Sample{{Name: metric}}
	metrics.Read(samples)
	if samples[0].Value.Kind() != metrics.KindFloat64Histogram {
		fail("this Go has no metric " + metric)
	}
	return samples[0].Value.Float64Histogram()
}

// stopFields: quantiles of the runtime's histogram, whose buckets are up to a quarter wide; their middle stands for them.
func stopFields(name, metric string, before *metrics.Float64Histogram) string {
	after, total := stopsSoFar(metric), uint64(0)
	for i := range after.Counts {
		after.Counts[i] -= before.Counts[i]
		total += after.Counts[i]
	}
	text := ""
	if name == "stop" {
		text = fmt.Sprintf(`,"stops":%d`, total)
	}
	if total == 0 {
		return text
	}
	for _, quantile := range []struct {
		name  string
		share float64
	}{{"median", 0.5}, {"p99", 0.99}, {"longest", 1}} {
		rank, sum := uint64(math.Ceil(quantile.share*float64(total))), uint64(0)
		for i, count := range after.Counts {
			if sum += count; sum >= rank {
				low, high := max(after.Buckets[i], 0), min(after.Buckets[i+1], 1e3)
				text += fmt.Sprintf(`,"%s_ns_%s":%d`, name, quantile.name, int64((low+high)/2*1e9))
				break
			}
		}
	}
	return text
}

// timelineFields: the stops of the last 256 cycles, each cycle's as one. When a cycle began Go does not say.
func timelineFields(begin time.Time) string {
	var stats debug.GCStats
	debug.ReadGCStats(&stats)
	var stops []string
	for i, end := range stats.PauseEnd {
		if at := end.Sub(begin); at >= 0 && i < len(stats.Pause) {
			stops = append(stops, fmt.Sprintf("%d:%d", at.Microseconds(), stats.Pause[i].Nanoseconds()))
		}
	}
	return fmt.Sprintf(`,"timeline_stops":%q,"timeline_cycles":""`, strings.Join(stops, ","))
}

func numberIn(text, what string, least, most uint64) uint64 {
	value, err := strconv.ParseUint(text, 10, 64)
	if err != nil || value < least || value > most {
		fail(fmt.Sprintf("cache: %s must be a number from %d to %d, not '%.40s'", what, least, most, text))
	}
	return value
}

func readArguments() {
	usage := "usage: cache closed|stops THREADS LIVE_MIB MILLISECONDS, or cache open THREADS LIVE_MIB MILLISECONDS RATE"
	if len(os.Args) < 2 {
		fail(usage)
	}
	job.open, job.stops = os.Args[1] == "open", os.Args[1] == "stops"
	expected := 5
	if job.open {
		expected = 6
	}
	if len(os.Args) != expected || !(job.open || job.stops || os.Args[1] == "closed") {
		fail(usage)
	}
	job.threads = int(numberIn(os.Args[2], "THREADS", 1, mostMember))
	job.liveBytes = numberIn(os.Args[3], "LIVE_MIB", 1, 65536) << 20
	job.runNs = int64(numberIn(os.Args[4], "MILLISECONDS", 10, 200000)) * 1_000_000
	job.warmNs = job.runNs / 4
	if job.runNs >= 1_000_000_000 {
		job.warmNs = max(job.warmNs, 500_000_000)
	}
	if job.open {
		job.rate = numberIn(os.Args[5], "RATE", 1, 1_000_000_000)
		job.intervalNs = 1e9 * float64(job.threads) / float64(job.rate)
	}
}

func main() {
	readArguments()
	members := make([]*member, job.threads)
	for i := range gates {
		gates[i].came.Add(job.threads)
		gates[i].open.Add(1)
	}
	var all sync.WaitGroup
	for i := range members {
		members[i] = &member{}
		all.Add(1)
		go func() { members[i].work(i); all.Done() }()
	}
	gates[0].came.Wait()
	gates[0].open.Done()
	gates[1].came.Wait()
	if job.stops {
		go askForCycles()
	}
	pauses, stopping := stopsSoFar(pausesMetric), stopsSoFar(stoppingMetric)
	m, begin := measureNow(), time.Now()
	gates[1].open.Done()
	gates[2].came.Wait()
	m.end()
	stops := stopFields("stop", pausesMetric, pauses) + stopFields("stop_arrival", stoppingMetric, stopping)
	timeline := timelineFields(begin)
	job.done.Store(true)
	gates[2].open.Done()
	all.Wait()

	var sum latency
	check, held := uint64(0), uint64(0)
	for _, member := range members {
		sum.add(&member.latency)
		check = check*31 + member.check
		held += member.cache.heldBytes
	}
	m.operations, m.check = sum.operations, check
	fields := fmt.Sprintf(`,"threads":%d,"held_bytes":%d`, job.threads, held)
	if job.open {
		fields += fmt.Sprintf(`,"rate":%d`, job.rate)
	}
	m.reportWith("cache", os.Args[1], fields+sum.fields()+stops+timeline)
}
