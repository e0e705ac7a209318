package fault_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/local/standin/fault"
)

func plainError(w http.ResponseWriter, status int, message string) { http.Error(w, message, status) }

// server echoes the body behind inj and tells reached of every request that
// comes through.
func server(t *testing.T, inj *fault.Injector, reached chan<- string) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/faults", inj)
	mux.Handle("/", inj.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if reached != nil {
			reached <- string(body)
		}
		_, _ = w.Write(body)
	})))
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv
}

type answer struct {
	Status     int
	RetryAfter string
	Body       string
}

func do(t *testing.T, method, url, body string) answer {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header.Get("Retry-After"), strings.TrimSpace(string(b))}
}

func TestModes(t *testing.T) {
	t.Parallel()
	nonsense := answer{200, "", `{"colorless":["green","ideas"],"sleep":{"furiously":`}
	for _, tc := range []struct {
		name  string
		fault fault.Fault
		shape fault.Shape
		want  answer
	}{
		{"fail", fault.Fault{Mode: fault.Fail, Count: 1}, fault.Shape{}, answer{503, "", "the stand-in was told to fail"}},
		{"fail_with_status", fault.Fault{Mode: fault.Fail, Count: 1, Status: 500}, fault.Shape{}, answer{500, "", "the stand-in was told to fail"}},
		{"rate_limit", fault.Fault{Mode: fault.RateLimit, Count: 1}, fault.Shape{}, answer{429, "1", "the stand-in was told to refuse by rate"}},
		{"rate_limit_without_retry_after", fault.Fault{Mode: fault.RateLimit, Count: 1}, fault.Shape{NoRetryAfter: true}, answer{429, "", "the stand-in was told to refuse by rate"}},
		{"nonsense", fault.Fault{Mode: fault.Nonsense, Count: 1}, fault.Shape{}, nonsense},
		{"stall_for_a_while", fault.Fault{Mode: fault.Stall, Count: 1, For: time.Millisecond}, fault.Shape{}, answer{200, "", "hello"}},
		{"other_path", fault.Fault{Mode: fault.Fail, Count: 1, Path: "/elsewhere"}, fault.Shape{}, answer{200, "", "hello"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.shape.Error = plainError
			inj := fault.New(tc.shape)
			srv := server(t, inj, nil)
			if err := inj.Set(tc.fault); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, do(t, "POST", srv.URL+"/x", "hello")); diff != "" {
				t.Errorf("first answer (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(answer{200, "", "hello"}, do(t, "POST", srv.URL+"/x", "hello")); diff != "" {
				t.Errorf("answer after the fault is used up (-want +got):\n%s", diff)
			}
		})
	}
}

// signalReader closes read when the middleware reads the body, which it does
// once the fault is taken.
type signalReader struct {
	io.ReadCloser
	once sync.Once
	read chan struct{}
}

func (s *signalReader) Read(p []byte) (int, error) {
	s.once.Do(func() { close(s.read) })
	return s.ReadCloser.Read(p)
}

func TestStallEndsWhenCleared(t *testing.T) {
	t.Parallel()
	inj := fault.New(fault.Shape{Error: plainError})
	stalled := make(chan struct{})
	next := inj.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = &signalReader{ReadCloser: r.Body, read: stalled}
		next.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	if err := inj.Set(fault.Fault{Mode: fault.Stall}); err != nil {
		t.Fatal(err)
	}
	got := make(chan answer, 1)
	go func() { got <- do(t, "POST", srv.URL, "hello") }()
	<-stalled
	select {
	case a := <-got:
		t.Errorf("answer while stalled: %+v", a)
	default:
	}
	inj.Clear()
	if diff := cmp.Diff(answer{200, "", "hello"}, <-got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

func TestStallEndsWhenTheCallerLeaves(t *testing.T) {
	t.Parallel()
	inj := fault.New(fault.Shape{Error: plainError})
	reached := make(chan string, 1)
	left := make(chan struct{})
	next := inj.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { reached <- r.URL.Path }))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		close(left)
	}))
	t.Cleanup(srv.Close)
	if err := inj.Set(fault.Fault{Mode: fault.Stall}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", srv.URL, strings.NewReader("a body that nobody else reads"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err == nil {
		resp.Body.Close()
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error = %v, want a timeout", err)
	}
	<-left
	select {
	case path := <-reached:
		t.Errorf("request %s went on after its caller had left", path)
	default:
	}
}

func TestAPI(t *testing.T) {
	t.Parallel()
	inj := fault.New(fault.Shape{Error: plainError})
	srv := server(t, inj, nil)
	url := srv.URL + "/faults"
	for _, step := range []struct {
		method, body string
		want         answer
	}{
		{"GET", "", answer{200, "", "null"}},
		{"PUT", `{"mode":"stall","for":"3s","count":2}`, answer{200, "", `{"mode":"stall","count":2,"for":"3s"}`}},
		{"GET", "", answer{200, "", `{"mode":"stall","count":2,"for":"3s"}`}},
		{"PUT", `{"mode":"fail","status":500}`, answer{200, "", `{"mode":"fail","status":500}`}},
		{"PUT", `{"mode":"explode"}`, answer{400, "", `fault: mode "explode" is none of ["fail" "rate-limit" "stall" "stall-midway" "nonsense"]`}},
		{"PUT", `{"mode":"fail","status":200}`, answer{400, "", "fault: status 200: only mode fail takes one, between 400 and 599"}},
		{"PUT", `{"mode":"fail","for":"1s"}`, answer{400, "", "fault: for 1s: only mode stall takes a duration, and a positive one"}},
		{"PUT", `{"mode":"fail","count":-1}`, answer{400, "", "fault: count -1 is negative"}},
		{"PUT", `{"mode":"fail","sttus":500}`, answer{400, "", `json: unknown field "sttus"`}},
		{"DELETE", "", answer{200, "", "null"}},
		{"POST", "", answer{405, "", "method not allowed"}},
	} {
		if diff := cmp.Diff(step.want, do(t, step.method, url, step.body)); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", step.method, step.body, diff)
		}
	}
}
