// Package e2e drives the whole platform as its users do: the command go run
// ./local in a copy of the repository, the real engine, real requests through
// the gateway. It takes minutes and compiles the repository, so it has a build
// tag and is run by .ci/run, or by hand. It needs Chromium, for the sample
// website:
//
//	go test -tags e2e -timeout 40m -v ./local/e2e
package e2e
