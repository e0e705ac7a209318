package daemonapi

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// ErrNotFound is what a Daemon returns, wrapped, for a name it does not know.
var ErrNotFound = errors.New("not found")

// Daemon is what the admin API serves. Errors that wrap ErrNotFound become
// 404, all others 500 with their text: its only readers are the commands on
// the same machine.
type Daemon interface {
	Status(ctx context.Context) (Status, error)
	// Logs writes lines to w, each in one Write, until there are no more or,
	// if it follows, until ctx is done.
	Logs(ctx context.Context, q LogQuery, w io.Writer) error
	// Env returns what a shell needs to use this cloud, see the Env constants.
	Env(ctx context.Context) (map[string]string, error)
	// Secret returns the latest enabled version of a secret, by its id.
	Secret(ctx context.Context, id string) ([]byte, error)
	// PutCall teaches the CallRail stand-in a call.
	PutCall(ctx context.Context, call Call) (Recording, error)
	// Records returns what is in the tenants' CRMs, Mail what they sent.
	Records(ctx context.Context) ([]Record, error)
	Mail(ctx context.Context) ([]Mail, error)
	// HoldQueues pauses the queues that run, and returns what has them run again.
	HoldQueues(ctx context.Context) (release func(), err error)
	// SetFault and ClearFault pass on to a stand-in.
	SetFault(ctx context.Context, f Fault) error
	ClearFault(ctx context.Context, target string) error
	// Shutdown begins the orderly end and returns at once.
	Shutdown()
}

// maxBody bounds what the admin API reads; a long call script is far smaller.
const maxBody = 1 << 20

// NewHandler serves the admin API of d to bearers of token.
func NewHandler(d Daemon, token string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		v, err := d.Status(r.Context())
		answer(w, v, err)
	})
	mux.HandleFunc("GET /env", func(w http.ResponseWriter, r *http.Request) {
		v, err := d.Env(r.Context())
		answer(w, v, err)
	})
	mux.HandleFunc("GET /logs", func(w http.ResponseWriter, r *http.Request) {
		q, err := parseLogQuery(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		out := &flushWriter{w: w, rc: http.NewResponseController(w)}
		if q.Follow {
			// The reader learns at once that it is connected.
			w.WriteHeader(http.StatusOK)
			_ = out.rc.Flush()
			out.wrote = true
		}
		if err := d.Logs(r.Context(), q, out); err != nil && r.Context().Err() == nil {
			if out.wrote {
				fmt.Fprintf(w, "localcloud: the log ends here: %v\n", err)
				return
			}
			fail(w, err)
		}
	})
	mux.HandleFunc("GET /secrets/{id}", func(w http.ResponseWriter, r *http.Request) {
		v, err := d.Secret(r.Context(), r.PathValue("id"))
		if err != nil {
			fail(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(v)
	})
	mux.HandleFunc("PUT /calls/{id}", func(w http.ResponseWriter, r *http.Request) {
		var c Call
		if !read(w, r, &c) {
			return
		}
		c.ID = r.PathValue("id")
		v, err := d.PutCall(r.Context(), c)
		answer(w, v, err)
	})
	mux.HandleFunc("GET /records", func(w http.ResponseWriter, r *http.Request) {
		v, err := d.Records(r.Context())
		answer(w, v, err)
	})
	mux.HandleFunc("GET /mail", func(w http.ResponseWriter, r *http.Request) {
		v, err := d.Mail(r.Context())
		answer(w, v, err)
	})
	mux.HandleFunc("POST /queues/hold", func(w http.ResponseWriter, r *http.Request) {
		release, err := d.HoldQueues(r.Context())
		if err != nil {
			fail(w, err)
			return
		}
		// The queues run again when the caller leaves, however that happens.
		defer release()
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush() // a caller who has left ends the context
		<-r.Context().Done()
	})
	mux.HandleFunc("PUT /faults/{target}", func(w http.ResponseWriter, r *http.Request) {
		var f Fault
		if !read(w, r, &f) {
			return
		}
		f.Target = r.PathValue("target")
		if !slices.Contains(Modes, f.Mode) || f.Count < 0 {
			http.Error(w, "mode must be one of "+strings.Join(Modes, ", ")+", count 0 or more", http.StatusBadRequest)
			return
		}
		answer(w, f, d.SetFault(r.Context(), f))
	})
	mux.HandleFunc("DELETE /faults/{target}", func(w http.ResponseWriter, r *http.Request) {
		if err := d.ClearFault(r.Context(), r.PathValue("target")); err != nil {
			fail(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /shutdown", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		d.Shutdown()
	})
	want := []byte("Bearer " + token)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), want) != 1 {
			http.Error(w, "the bearer token in .local/state/daemon.json is required", http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func parseLogQuery(r *http.Request) (LogQuery, error) {
	v := r.URL.Query()
	q := LogQuery{Service: v.Get("service"), Follow: v.Get("follow") == "1", Tail: -1}
	if s := v.Get("tail"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			return q, fmt.Errorf("tail must be a number of lines, not %q", s)
		}
		q.Tail = n
	}
	return q, nil
}

// flushWriter sends every line on as it comes.
type flushWriter struct {
	w     io.Writer
	rc    *http.ResponseController
	wrote bool
}

func (f *flushWriter) Write(p []byte) (int, error) {
	f.wrote = true
	n, err := f.w.Write(p)
	if err == nil {
		err = f.rc.Flush()
	}
	return n, err
}

func read(w http.ResponseWriter, r *http.Request, v any) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(v); err != nil {
		http.Error(w, "body: "+err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

func answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func fail(w http.ResponseWriter, err error) {
	code := http.StatusInternalServerError
	if errors.Is(err, ErrNotFound) {
		code = http.StatusNotFound
	}
	http.Error(w, err.Error(), code)
}
