package ddl

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/cloudspannerecosystem/memefish"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "record the hashes of files that have none yet")

const hashesFile = "testdata/hashes"

func TestStatementsParse(t *testing.T) {
	t.Parallel()
	statements := Statements()
	if len(statements) < 10 {
		t.Fatalf("only %d statements", len(statements))
	}
	for _, s := range statements {
		if _, err := memefish.ParseDDL("", s); err != nil {
			t.Errorf("%s\n%v", s, err)
		}
		if strings.Contains(s, "--") {
			t.Errorf("a comment is left in: %s", s)
		}
	}
}

// A repeated statement must do nothing, because an existing database is
// adopted by applying all of them. Spanner's grammar has no IF NOT EXISTS for
// roles and change streams (that of the emulator, which is made from the same,
// calls it a syntax error), so those must be new to the database.
func TestStatementsAreIdempotent(t *testing.T) {
	t.Parallel()
	repeatable := regexp.MustCompile(`^(CREATE (TABLE|(NULL_FILTERED )?INDEX) IF NOT EXISTS |ALTER TABLE \w+ (ADD COLUMN IF NOT EXISTS |ALTER COLUMN )|CREATE OR REPLACE VIEW |GRANT )`)
	once := regexp.MustCompile(`^CREATE (ROLE|CHANGE STREAM) \w+`)
	for _, s := range Statements() {
		if !repeatable.MatchString(s) && !once.MatchString(s) {
			t.Errorf("not repeatable: %s", s)
		}
	}
}

// Tenant isolation rests on this: every key begins with tenant_id.
func TestKeysBeginWithTenant(t *testing.T) {
	t.Parallel()
	key := regexp.MustCompile(`PRIMARY KEY \((\w+)`)
	for _, s := range Statements() {
		if !strings.HasPrefix(s, "CREATE TABLE") {
			continue
		}
		m := key.FindStringSubmatch(s)
		if m == nil || m[1] != "tenant_id" {
			t.Errorf("the key does not begin with tenant_id: %s", s)
		}
		if !strings.Contains(s, "EXISTS tenants ") && !strings.Contains(s, "INTERLEAVE IN PARENT") {
			t.Errorf("not interleaved: %s", s)
		}
	}
}

// A changed statement would replace the database, so a file with a recorded
// hash must keep it.
func TestFilesAreAppendOnly(t *testing.T) {
	t.Parallel()
	recorded := map[string]string{}
	text, err := os.ReadFile(hashesFile)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		hash, name, ok := strings.Cut(strings.TrimSpace(line), "  ")
		if !ok {
			t.Fatalf("%s: bad line %q", hashesFile, line)
		}
		recorded[name] = hash
	}
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	var added strings.Builder
	for i, name := range names {
		if want := fmt.Sprintf("%04d_", i+1); !strings.HasPrefix(name, want) {
			t.Errorf("%s: the number must be %s", name, want)
		}
		content, err := files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		hash := fmt.Sprintf("%x", sha256.Sum256(content))
		switch want, ok := recorded[name]; {
		case !ok && *update:
			fmt.Fprintf(&added, "%s  %s\n", hash, name)
		case !ok:
			t.Errorf("%s has no recorded hash: run go test ./ddl -update once it is final", name)
		case want != hash:
			t.Errorf("%s was edited; put the change in a new file", name)
		}
		delete(recorded, name)
	}
	for name := range recorded {
		t.Errorf("%s was removed", name)
	}
	if added.Len() > 0 {
		if err := os.WriteFile(hashesFile, append(text, added.String()...), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       []string
		wantErr    bool
	}{
		{name: "empty", text: " \n;;\n"},
		{name: "two", text: "A;\nB", want: []string{"A", "B"}},
		{name: "line_comments", text: "-- x;\nA -- y;\n B # z;\n;", want: []string{"A\n B"}},
		{name: "comment_at_end", text: "A; -- x", want: []string{"A"}},
		{name: "block_comment", text: "A/* ; */B", want: []string{"A B"}},
		{name: "quotes", text: "A ';--' \";#\" `;`; B", want: []string{"A ';--' \";#\" `;`", "B"}},
		{name: "escaped_quote", text: `A '\';'; B`, want: []string{`A '\';'`, "B"}},
		{name: "triple_quote", text: "A '''a';'b'''; B", want: []string{"A '''a';'b'''", "B"}},
		{name: "empty_quote", text: "A ''; B", want: []string{"A ''", "B"}},
		{name: "open_quote", text: "A 'x; B", wantErr: true},
		{name: "open_comment", text: "A /* x; B", wantErr: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := split(tt.text)
			if (err != nil) != tt.wantErr {
				t.Fatalf("error %v, want error %v", err, tt.wantErr)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// Our splitter must agree with the parser's own on where a statement ends.
func FuzzSplit(f *testing.F) {
	f.Add("CREATE TABLE a (b STRING(1) DEFAULT (';')); -- c\nB")
	f.Add("A '''x''' \"\"\"y;\"\"\"; /* z */ C")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := split(text)
		if err != nil {
			return
		}
		for _, s := range got {
			if strings.TrimSpace(s) != s || s == "" {
				t.Errorf("untrimmed statement %q", s)
			}
		}
	})
}
