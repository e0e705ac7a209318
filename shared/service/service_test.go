package service

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"ingestion.internal/shared/logging"
	"ingestion.internal/shared/problem"
)

type testConfig struct {
	Config
	Name string `env:"NAME,required,notEmpty"`
}

// logLines is a writer whose lines can be read once they are whole.
type logLines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logLines) find(t *testing.T, message string) map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for scanner := bufio.NewScanner(bytes.NewReader(l.buf.Bytes())); scanner.Scan(); {
		var line map[string]any
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			t.Fatalf("%v: %s", err, scanner.Text())
		}
		if line["message"] == message {
			return line
		}
	}
	t.Fatalf("no line %q in\n%s", message, l.buf.String())
	return nil
}

func TestLogLineHasCloudLoggingsForm(t *testing.T) {
	logs := &logLines{}
	s := New(Config{MaxBodyBytes: 10}, logging.New(logs, logging.Options{Service: "svc", Version: "r1", Project: "p"}))
	s.Router.Post("/x", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "four")
	})
	for name, headers := range map[string]map[string]string{
		"google":      {"X-Cloud-Trace-Context": "105445aa7843bc8bf206b12000100000/255;o=1"},
		"traceparent": {"traceparent": "00-105445aa7843bc8bf206b12000100000-00000000000000ff-01"},
	} {
		t.Run(name, func(t *testing.T) {
			logs.buf.Reset()
			req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/x?phone=secret", nil)
			for k, v := range headers {
				req.Header.Set(k, v)
			}
			s.Router.ServeHTTP(httptest.NewRecorder(), req)
			line := logs.find(t, "POST /x")
			for key, want := range map[string]any{
				"severity": "INFO", "logging.googleapis.com/trace": "projects/p/traces/105445aa7843bc8bf206b12000100000",
				"logging.googleapis.com/spanId": "00000000000000ff",
			} {
				if line[key] != want {
					t.Errorf("%s: %v, want %v", key, line[key], want)
				}
			}
			request, _ := line["httpRequest"].(map[string]any)
			if request["status"] != 418.0 || request["responseSize"] != "4" || request["requestUrl"] != "/x" {
				t.Errorf("httpRequest %v", request)
			}
			if service, _ := line["serviceContext"].(map[string]any); service["service"] != "svc" || service["version"] != "r1" {
				t.Errorf("serviceContext %v", service)
			}
		})
	}
}

func TestTraceOfIgnoresOtherForms(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"", "x", "105445aa7843bc8bf206b1200010000", "zz5445aa7843bc8bf206b12000100000/1", "a/b/c;;"} {
		h := http.Header{}
		h.Set("X-Cloud-Trace-Context", value)
		h.Set("traceparent", value)
		if trace, span := traceOf(h); trace != "" || span != "" {
			t.Errorf("%q: %q, %q", value, trace, span)
		}
	}
}

func TestMiddleware(t *testing.T) {
	s := New(Config{MaxBodyBytes: 10}, logging.New(io.Discard, logging.Options{}))
	s.Router.Get("/panic", func(http.ResponseWriter, *http.Request) { panic("hunter2") })
	s.Router.Method(http.MethodPost, "/read", Handler(func(w http.ResponseWriter, r *http.Request) error {
		_, err := ReadBody(r)
		return err
	}))
	s.Router.Method(http.MethodGet, "/error", Handler(func(http.ResponseWriter, *http.Request) error { return errors.New("hunter2") }))
	unknownLength := struct{ io.Reader }{strings.NewReader("more than ten bytes")}
	tests := map[string]struct {
		method, path string
		body         io.Reader
		want         *problem.Kind
	}{
		"panic":             {"GET", "/panic", nil, problem.Internal},
		"error":             {"GET", "/error", nil, problem.Internal},
		"declared_too_long": {"POST", "/read", strings.NewReader("more than ten bytes"), problem.TooLarge},
		"found_too_long":    {"POST", "/read", unknownLength, problem.TooLarge},
		"no_route":          {"GET", "/nowhere", nil, problem.NotFound},
		"no_method":         {"DELETE", "/read", nil, problem.MethodNotAllowed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			rec := httptest.NewRecorder()
			s.Router.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), tt.method, tt.path, tt.body))
			if rec.Code != tt.want.Status() || rec.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("status %d, %s; want %d", rec.Code, rec.Header().Get("Content-Type"), tt.want.Status())
			}
			if strings.Contains(rec.Body.String(), "hunter2") {
				t.Errorf("the cause leaked: %s", rec.Body)
			}
		})
	}
}

// A request that is being served when the instance is told to stop is served
// to its end; then what setup opened is closed, the last first.
func TestRunDrainsAndCloses(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	logs := &logLines{}
	entered, release := make(chan struct{}), make(chan struct{})
	ready := make(chan struct{})
	var closed []string
	result := make(chan error, 1)
	go func() {
		result <- Run(ctx, "svc", []string{"GOOGLE_CLOUD_PROJECT=p", "NAME=n", "PORT=0"}, notify{logs, "listening", ready},
			func(_ context.Context, cfg testConfig, s *Service) error {
				if cfg.Name != "n" {
					t.Errorf("config %+v", cfg)
				}
				s.OnClose("first", func() error { closed = append(closed, "first"); return nil })
				s.OnClose("second", func() error { closed = append(closed, "second"); return errors.New("stuck") })
				s.Router.Get("/slow", func(w http.ResponseWriter, r *http.Request) {
					close(entered)
					<-release
					if r.Context().Err() != nil {
						t.Error("the request was cancelled")
					}
					_, _ = io.WriteString(w, "done")
				})
				return nil
			})
	}()
	<-ready
	address, _ := logs.find(t, "listening")["address"].(string)
	_, port, _ := strings.Cut(address, "]:")
	answer := make(chan string, 1)
	go func() {
		resp, err := http.Get("http://127.0.0.1:" + port + "/slow")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		answer <- string(body)
	}()
	<-entered
	stop()
	close(release)
	if got := <-answer; got != "done" {
		t.Errorf("answer %q", got)
	}
	if err := <-result; err == nil || err.Error() != "close second: stuck" {
		t.Errorf("result %v", err)
	}
	if strings.Join(closed, ",") != "second,first" {
		t.Errorf("closed %v", closed)
	}
}

// notify passes on what is written and tells when the message has been.
type notify struct {
	io.Writer
	message string
	seen    chan struct{}
}

func (n notify) Write(p []byte) (int, error) {
	written, err := n.Writer.Write(p)
	if bytes.Contains(p, []byte(`"message":"`+n.message+`"`)) {
		close(n.seen)
	}
	return written, err
}

func TestReadiness(t *testing.T) {
	s := New(Config{MaxBodyBytes: 10}, logging.New(io.Discard, logging.Options{}))
	s.WaitFor("good", func(context.Context) error { return nil })
	s.WaitFor("bad", func(context.Context) error { return errors.New("hunter2") })
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 503, "/health": 503} {
		rec := httptest.NewRecorder()
		s.Router.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if rec.Code != want || strings.Contains(rec.Body.String(), "hunter2") {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
	}
}
