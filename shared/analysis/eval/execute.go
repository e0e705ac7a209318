package eval

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"cloud.google.com/go/auth"

	"ingestion.internal/shared/analysis"
)

// Settings are those of the commands that score a model.
type Settings struct {
	Project   string
	Location  string
	Endpoint  string // "" = Vertex AI's own
	Model     string
	Examples  string // a file; "" = the project's own set
	Threshold int    // of spam, 1-100
	AtOnce    int    // requests at the same time
	NoAttacks bool
	JSON      bool
	Untimed   bool // without latencies, so that two runs print the same
	// Credentials are application default credentials if nil.
	Credentials *auth.Credentials
}

// Defaults are the settings that nothing was said about.
var Defaults = Settings{Location: "us-central1", Model: "gemini-3.5-flash-lite", Threshold: 75, AtOnce: 4}

// timeout bounds one request to the model, as in the ai-analyzer.
const timeout = 60 * time.Second

// Execute scores the model that the settings name and writes the report to w.
func Execute(ctx context.Context, s Settings, w io.Writer) error {
	if s.Threshold < 1 || s.Threshold > 100 {
		return fmt.Errorf("the spam threshold must be 1 to 100, not %d", s.Threshold)
	}
	list, err := Examples()
	if s.Examples != "" {
		var data []byte
		if data, err = os.ReadFile(s.Examples); err == nil {
			list, err = Parse(data)
		}
	}
	if err != nil {
		return fmt.Errorf("examples: %w", err)
	}
	// The model to score is the only one: it must not fall back to another.
	analyzer, err := analysis.New(ctx, analysis.Config{
		Project: s.Project, Location: s.Location, Endpoint: s.Endpoint, Model: s.Model, Timeout: timeout, Credentials: s.Credentials,
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	r, err := Run(ctx, analyzer, list, Options{Model: s.Model, SpamThreshold: s.Threshold, AtOnce: s.AtOnce, Attacks: !s.NoAttacks})
	if err != nil {
		return err
	}
	if s.JSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		err = enc.Encode(r)
	} else {
		err = r.Write(w, !s.Untimed)
	}
	if err != nil {
		return err
	}
	if all := r.Rows[len(r.Rows)-1]; all.Failed > 0 && all.Failed == all.Examples {
		return fmt.Errorf("no example could be analysed: %s", r.Misses[0].What[0])
	}
	return nil
}
