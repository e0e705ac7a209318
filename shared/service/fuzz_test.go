package service

import (
	"net/http"
	"regexp"
	"testing"
)

// What is taken from a trace header can only be the ids that logs expect.
func FuzzTraceHeaders(f *testing.F) {
	f.Add("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "")
	f.Add("", "105445aa7843bc8bf206b12000100000/1;o=1")
	f.Add("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01-x", "x")
	f.Add("", "105445aa7843bc8bf206b12000100000/18446744073709551616;o=1")
	trace, span := regexp.MustCompile(`^([0-9a-fA-F]{32})?$`), regexp.MustCompile(`^([0-9a-fA-F]{16})?$`)
	f.Fuzz(func(t *testing.T, parent, cloud string) {
		gotTrace, gotSpan := traceOf(http.Header{"Traceparent": {parent}, "X-Cloud-Trace-Context": {cloud}})
		if !trace.MatchString(gotTrace) || !span.MatchString(gotSpan) || gotTrace == "" && gotSpan != "" {
			t.Errorf("%q, %q: trace %q, span %q", parent, cloud, gotTrace, gotSpan)
		}
	})
}
