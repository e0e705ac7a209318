package main

import (
	"net"
	"testing"
)

func TestTakenPortIsReplaced(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	port := taken.Addr().(*net.TCPAddr).Port
	ln, err := listen(port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	if got := ln.Addr().(*net.TCPAddr).Port; got == port || got == 0 {
		t.Errorf("listening on %d, which is taken", got)
	}
	// A range goes past what is taken, and then to any free port.
	r := &portRange{next: port, last: port}
	for range 2 {
		ln, err := r.listen()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = ln.Close() })
		if got := ln.Addr().(*net.TCPAddr).Port; got == port {
			t.Errorf("the range gave %d, which is taken", got)
		}
	}
}
