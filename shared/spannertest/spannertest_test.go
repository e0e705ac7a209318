package spannertest

import (
	"errors"
	"testing"

	"cloud.google.com/go/spanner"
	"google.golang.org/api/iterator"
)

func TestNew(t *testing.T) {
	ddl := []string{"CREATE TABLE T (id INT64 NOT NULL) PRIMARY KEY (id)"}
	for _, name := range []string{"first", "second"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, err := spanner.NewClient(t.Context(), New(t, ddl))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			rows := client.Single().Read(t.Context(), "T", spanner.AllKeys(), []string{"id"})
			defer rows.Stop()
			if _, err := rows.Next(); !errors.Is(err, iterator.Done) {
				t.Errorf("reading the new table: %v, want it empty", err)
			}
			if _, err := client.Apply(t.Context(), []*spanner.Mutation{
				spanner.Insert("T", []string{"id"}, []any{1}),
			}); err != nil {
				t.Errorf("inserting into the new table: %v", err)
			}
		})
	}
}
