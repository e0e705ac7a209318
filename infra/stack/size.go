package stack

import (
	"regexp"
	"strconv"
)

// Bounds of Cloud Run. The ceiling of instances is the platform's own.
const (
	maxInstances   = 1000
	maxConcurrency = 1000
	maxTimeout     = 3600 // seconds; of a service
	maxJobTimeout  = 24 * 3600
)

var memorySize = regexp.MustCompile(`^([1-9][0-9]*)(Mi|Gi)$`)

// mebibytes reads a memory size; 0 is none.
func mebibytes(memory string) int {
	m := memorySize.FindStringSubmatch(memory)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 0
	}
	if m[2] == "Gi" {
		n *= 1024
	}
	return n
}

// validate checks what Cloud Run would refuse only in the middle of an update.
// The rules are those of its documentation on CPU and memory limits.
func (s Size) validate(path string, w *workload, errs *problems) {
	cpu, err := strconv.ParseFloat(s.CPU, 64)
	whole := err == nil && (cpu == 1 || cpu == 2 || cpu == 4 || cpu == 6 || cpu == 8)
	fraction := err == nil && cpu >= 0.08 && cpu < 1
	if !whole && (!fraction || w.job) {
		errs.add(path+".cpu", "must be 1, 2, 4, 6 or 8 (or, for a service, 0.08 to 1), not %q", s.CPU)
	}
	mib := mebibytes(s.Memory)
	if mib < 512 || mib > 32*1024 {
		errs.add(path+".memory", "must be 512Mi to 32Gi, not %q", s.Memory)
	}
	if whole || fraction {
		if need := cpuFor(mib); cpu < need {
			errs.add(path+".memory", "%s needs at least %v CPU, not %s", s.Memory, need, s.CPU)
		}
		if need := memoryFor(cpu); mib != 0 && mib < need {
			errs.add(path+".cpu", "%s needs at least %d MiB of memory, not %s", s.CPU, need, s.Memory)
		}
	}
	if w.job {
		if s.Timeout < seconds(1) || s.Timeout > seconds(maxJobTimeout) {
			errs.add(path+".timeout", "must be 1s to %ds, not %s", maxJobTimeout, s.Timeout)
		}
		return
	}
	if fraction && s.Concurrency != 1 {
		errs.add(path+".concurrency", "must be 1 with less than 1 CPU, not %d", s.Concurrency)
	}
	if s.Concurrency < 1 || s.Concurrency > maxConcurrency {
		errs.add(path+".concurrency", "must be 1 to %d, not %d", maxConcurrency, s.Concurrency)
	}
	if s.MaxInstances < 1 || s.MaxInstances > maxInstances {
		errs.add(path+".maxInstances", "must be 1 to %d, not %d", maxInstances, s.MaxInstances)
	}
	if s.MinInstances < 0 || s.MinInstances > s.MaxInstances {
		errs.add(path+".minInstances", "must be 0 to maxInstances (%d), not %d", s.MaxInstances, s.MinInstances)
	}
	if s.Timeout < seconds(1) || s.Timeout > seconds(maxTimeout) {
		errs.add(path+".timeout", "must be 1s to %ds, not %s", maxTimeout, s.Timeout)
	}
}

// cpuFor is the least CPU that may have this much memory.
func cpuFor(mib int) float64 {
	switch {
	case mib > 24*1024:
		return 8
	case mib > 16*1024:
		return 6
	case mib > 8*1024:
		return 4
	case mib > 4*1024:
		return 2
	case mib > 1024:
		return 1
	case mib > 512:
		return 0.5
	}
	return 0
}

// memoryFor is the least memory, in MiB, that this much CPU may have.
func memoryFor(cpu float64) int {
	switch {
	case cpu >= 6:
		return 4096
	case cpu >= 4:
		return 2048
	}
	return 0
}
