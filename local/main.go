// Command local is the local cloud's front door: go run ./local up. It builds
// what a command needs and becomes it. It imports little, so that go run shows
// its first line within seconds on a fresh machine.
package main

import (
	"os"

	"ingestion.internal/local/internal/launch"
)

func main() { os.Exit(launch.Main(os.Args[1:], os.Stdout, os.Stderr)) }
