// Command app is the program that the tests of package cloudrun run as a
// service and as a job. Its environment says how it behaves.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	fmt.Println("app starts")
	if os.Getenv("FAIL") != "" {
		fmt.Fprintln(os.Stderr, "app fails because FAIL is set")
		os.Exit(1)
	}
	if os.Getenv("FAIL_FIRST") != "" && os.Getenv("CLOUD_RUN_TASK_ATTEMPT") == "0" {
		fmt.Println("app fails its first attempt")
		os.Exit(2)
	}
	if os.Getenv("CLOUD_RUN_JOB") != "" {
		fmt.Printf("task %s of %s\n", os.Getenv("CLOUD_RUN_TASK_INDEX"), os.Getenv("CLOUD_RUN_TASK_COUNT"))
		if os.Getenv("HANG") != "" {
			signals := make(chan os.Signal, 1)
			signal.Notify(signals, syscall.SIGTERM)
			<-signals
			os.Exit(4)
		}
		return
	}
	gate := make(chan struct{})
	http.HandleFunc("/env", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, strings.Join(os.Environ(), "\n"))
	})
	http.HandleFunc("/version", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, os.Getenv("VERSION"))
	})
	http.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("X-Authorization", r.Header.Get("Authorization"))
		_, _ = w.Write(body)
	})
	// /wait answers when /go has been called.
	http.HandleFunc("/wait", func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("waiting")
		<-gate
		fmt.Fprint(w, os.Getenv("VERSION"))
	})
	http.HandleFunc("/go", func(http.ResponseWriter, *http.Request) { close(gate) })
	http.HandleFunc("/hang", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	http.HandleFunc("/crash", func(http.ResponseWriter, *http.Request) {
		fmt.Println("app crashes")
		os.Exit(3)
	})
	http.HandleFunc("/readyz", func(http.ResponseWriter, *http.Request) {})
	if err := http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
