// Command languagehost is the least that pulumi import wants of a language
// plugin: something to ask which packages a Go program needs, before it imports
// without running any. The real plugin is no Go module, so the end-to-end test
// puts this one on PATH, as pulumi-language-go, for the command that adopts.
package main

import (
	"context"
	"fmt"
	"net"
	"os"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "languagehost:", err)
		os.Exit(1)
	}
}

// host answers what the engine asks before it imports.
type host struct {
	pulumirpc.UnimplementedLanguageRuntimeServer
}

// Handshake accepts the engine.
func (host) Handshake(context.Context, *pulumirpc.LanguageHandshakeRequest) (*pulumirpc.LanguageHandshakeResponse, error) {
	return &pulumirpc.LanguageHandshakeResponse{}, nil
}

// GetPluginInfo names no version.
func (host) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{}, nil
}

// GetRequiredPackages names none: the provider is named by what is imported.
func (host) GetRequiredPackages(context.Context, *pulumirpc.GetRequiredPackagesRequest) (*pulumirpc.GetRequiredPackagesResponse, error) {
	return &pulumirpc.GetRequiredPackagesResponse{}, nil
}

// run serves until the engine that started it ends it.
func run() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	pulumirpc.RegisterLanguageRuntimeServer(server, host{})
	// The engine reads the port from the first line.
	if _, err := fmt.Println(listener.Addr().(*net.TCPAddr).Port); err != nil {
		return err
	}
	return server.Serve(listener)
}
