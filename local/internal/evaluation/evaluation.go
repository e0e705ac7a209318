// Package evaluation scores the rule-based stand-in for Gemini with the same
// evaluation that scores real models (shared/analysis/eval). The stand-in is
// started for it, alone: the local cloud need not run.
package evaluation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"cloud.google.com/go/auth"

	"ingestion.internal/local/cloud"
	"ingestion.internal/local/standin/vertexai"
	"ingestion.internal/shared/analysis/eval"
)

// project is the name of the project that the stand-in is asked for.
const project = "ingestion-local"

// Run scores the model that s names: the stand-in's, unless s has an endpoint or
// a project, which then is asked with application default credentials.
func Run(ctx context.Context, s eval.Settings, w io.Writer) error {
	if s.Endpoint != "" || s.Project != "" {
		if s.Project == "" {
			s.Project = project
		}
		return eval.Execute(ctx, s, w)
	}
	if !s.JSON {
		if _, err := io.WriteString(w, "The rule-based stand-in, not a model, under the name of one.\n\n"); err != nil {
			return err
		}
	}
	var listen net.ListenConfig
	ln, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("stand-in: %w", err)
	}
	srv := &http.Server{Handler: vertexai.New(vertexai.Config{Identity: anyone{}, IAM: everything{}}), ReadHeaderTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	s.Project, s.Endpoint = project, "http://"+ln.Addr().String()
	s.Credentials = auth.NewCredentials(&auth.CredentialsOptions{TokenProvider: token{}})
	err = eval.Execute(ctx, s, w)
	if closeErr := srv.Close(); closeErr != nil {
		err = errors.Join(err, closeErr)
	}
	if served := <-done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// The stand-in's own server is asked by this process alone.
type (
	anyone     struct{ cloud.Identity }
	everything struct{ cloud.IAM }
	token      struct{}
)

// Caller implements the one method of cloud.Identity that the stand-in uses.
func (anyone) Caller(*http.Request) (string, error) { return "evaluation", nil }

// Check implements the one method of cloud.IAM that the stand-in uses.
func (everything) Check(context.Context, string, string, cloud.Resource) error { return nil }

// Token implements auth.TokenProvider.
func (token) Token(context.Context) (*auth.Token, error) { return &auth.Token{Value: "local"}, nil }
