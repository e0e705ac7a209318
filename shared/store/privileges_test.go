package store_test

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	database "cloud.google.com/go/spanner/admin/database/apiv1"
	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"
	"cloud.google.com/go/spanner/apiv1/spannerpb"
	"github.com/cloudspannerecosystem/memefish"
	sql "github.com/cloudspannerecosystem/memefish/ast"
	"google.golang.org/api/option"
	"google.golang.org/grpc"

	"ingestion.internal/ddl"
	"ingestion.internal/shared/spannertest"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/tenant"
	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/workflow"
)

// privileges are columns by table and verb: "offices SELECT". A nil set is all
// columns, those of the future too.
type privileges map[string]map[string]bool

func (p privileges) add(table, verb string, columns ...string) {
	key := table + " " + verb
	if p[key] == nil {
		p[key] = map[string]bool{}
	}
	for _, c := range columns {
		p[key][c] = true
	}
}

// granted reads the privileges of every role from the schema.
func granted(t *testing.T) map[string]privileges {
	t.Helper()
	roles := map[string]privileges{}
	for _, statement := range ddl.Statements() {
		if !ddl.AccessControl(statement) {
			continue
		}
		parsed, err := memefish.ParseDDL("", statement)
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		switch s := parsed.(type) {
		case *sql.CreateRole:
			roles[s.Name.Name] = privileges{}
		case *sql.CreateView:
		case *sql.Grant:
			on, ok := s.Privilege.(*sql.PrivilegeOnTable)
			if !ok {
				continue // on a stream or view: analytics'
			}
			for _, role := range s.Roles {
				if roles[role.Name] == nil {
					t.Fatalf("%s: no role %s", statement, role.Name)
				}
				for _, table := range on.Names {
					for _, p := range on.Privileges {
						verb, columns := verbOf(p)
						key := table.SQL() + " " + verb
						roles[role.Name].add(table.SQL(), verb, columns...)
						if len(columns) == 0 {
							roles[role.Name][key] = nil
						}
					}
				}
			}
		default:
			t.Errorf("%s: the test does not know such a statement", statement)
		}
	}
	return roles
}

func verbOf(p sql.TablePrivilege) (string, []string) {
	var names []string
	list := func(idents []*sql.Ident) []string {
		for _, i := range idents {
			names = append(names, i.Name)
		}
		return names
	}
	switch p := p.(type) {
	case *sql.SelectPrivilege:
		return "SELECT", list(p.Columns)
	case *sql.InsertPrivilege:
		return "INSERT", list(p.Columns)
	case *sql.UpdatePrivilege:
		return "UPDATE", list(p.Columns)
	}
	return "DELETE", nil
}

// schemaOf returns every table's columns and its key.
func schemaOf(t *testing.T) (tables map[string]map[string]bool, keys map[string][]string) {
	t.Helper()
	tables, keys = map[string]map[string]bool{}, map[string][]string{}
	for _, statement := range ddl.Statements() {
		parsed, err := memefish.ParseDDL("", statement)
		if err != nil {
			t.Fatal(err)
		}
		switch s := parsed.(type) {
		case *sql.CreateTable:
			tables[s.Name.SQL()] = map[string]bool{}
			for _, c := range s.Columns {
				tables[s.Name.SQL()][c.Name.Name] = true
			}
			for _, k := range s.PrimaryKeys {
				keys[s.Name.SQL()] = append(keys[s.Name.SQL()], k.Name.Name)
			}
		case *sql.AlterTable:
			if add, ok := s.TableAlteration.(*sql.AddColumn); ok {
				tables[s.Name.SQL()][add.Column.Name.Name] = true
			}
		}
	}
	return tables, keys
}

// wire watches what a client asks of Spanner.
type wire struct {
	tables map[string]map[string]bool
	keys   map[string][]string

	mu   sync.Mutex
	used privileges
	errs []error
}

func (w *wire) options() []option.ClientOption {
	return []option.ClientOption{
		option.WithGRPCDialOption(grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			w.see(req)
			return invoke(ctx, method, req, reply, cc, opts...)
		})),
		option.WithGRPCDialOption(grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			s, err := streamer(ctx, desc, cc, method, opts...)
			return &watchedStream{s, w}, err
		})),
	}
}

type watchedStream struct {
	grpc.ClientStream
	w *wire
}

func (s *watchedStream) SendMsg(m any) error {
	s.w.see(m)
	return s.ClientStream.SendMsg(m)
}

// see notes the privileges that a request needs.
func (w *wire) see(m any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch m := m.(type) {
	case *spannerpb.ExecuteSqlRequest:
		w.query(m.GetSql())
	case *spannerpb.ReadRequest:
		w.used.add(m.GetTable(), "SELECT", m.GetColumns()...)
		w.used.add(m.GetTable(), "SELECT", w.keys[m.GetTable()]...) // they say which row
	case *spannerpb.CommitRequest:
		for _, mutation := range m.GetMutations() {
			for _, change := range []struct {
				write *spannerpb.Mutation_Write
				verbs []string
			}{
				{mutation.GetInsert(), []string{"INSERT"}},
				{mutation.GetUpdate(), []string{"UPDATE"}},
				{mutation.GetInsertOrUpdate(), []string{"INSERT", "UPDATE"}},
				{mutation.GetReplace(), []string{"INSERT", "DELETE"}},
			} {
				for _, verb := range change.verbs {
					if change.write != nil {
						w.used.add(change.write.GetTable(), verb, change.write.GetColumns()...)
					}
				}
			}
			if d := mutation.GetDelete(); d != nil {
				w.used.add(d.GetTable(), "DELETE")
			}
		}
	}
}

// query notes what a statement reads, of every table in it the columns that it
// names, and what it changes. A name without a table counts for all of them.
func (w *wire) query(text string) {
	statement, err := memefish.ParseStatement("", text)
	if err != nil {
		w.errs = append(w.errs, fmt.Errorf("%s: %w", text, err))
		return
	}
	aliases := map[string]string{}
	skip := map[sql.Node]bool{}
	if u, ok := statement.(*sql.Update); ok {
		table := u.TableName.SQL()
		aliases[table], skip[u.TableName.Idents[0]] = table, true
		for _, item := range u.Updates {
			if set, ok := item.(*sql.UpdateItemSetValue); ok {
				w.used.add(table, "UPDATE", set.Path[0].Name)
				skip[set.Path[0]] = true
			}
		}
	}
	for n := range sql.Preorder(statement) {
		if table, ok := n.(*sql.TableName); ok {
			aliases[table.Table.Name] = table.Table.Name
			skip[table.Table] = true
			if table.As != nil {
				aliases[table.As.Alias.Name] = table.Table.Name
				skip[table.As.Alias] = true
			}
			w.used.add(table.Table.Name, "SELECT")
		}
	}
	for n := range sql.Preorder(statement) {
		switch n := n.(type) {
		case *sql.Path:
			if table, ok := aliases[n.Idents[0].Name]; ok && len(n.Idents) > 1 {
				for _, i := range n.Idents {
					skip[i] = true
				}
				w.used.add(table, "SELECT", n.Idents[1].Name)
			}
		case *sql.Ident:
			for _, table := range aliases {
				if !skip[n] && w.tables[table][n.Name] {
					w.used.add(table, "SELECT", n.Name)
				}
			}
		}
	}
}

// service is what one service asks of the database.
type service struct {
	name  string
	calls []string // of package store
	drive func(*driver)
}

// driver runs a service's calls on a database that others have filled.
type driver struct {
	*testing.T
	db    *store.DB // watched
	other *store.DB // not watched, hours ahead if later is set
	later *store.DB
	n     int
}

func (d *driver) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

// request makes a request of the first tenant, by somebody else.
func (d *driver) request() string {
	d.n++
	return accept(d.T, d.other, storetest.Acme, fmt.Sprintf("CAL%d", d.n))
}

func (d *driver) accepts(find func()) {
	find()
	req := call(storetest.Acme, "NEW")
	req.CustomerPhone = "310 555 0142"
	_, err := storetest.Accept(d.Context(), d.db.Tenant(storetest.Acme), req, topology.AudioProcessing)
	d.must(err)
	_, err = storetest.Accept(d.Context(), d.db.Tenant(storetest.Acme), req, topology.AudioProcessing)
	d.must(err)
	// Another event of the same request changes it and begins it anew.
	_, err = d.db.Tenant(storetest.Acme).Record(d.Context(), req.RequestID, store.Event{ID: "another", Source: req.Source},
		func(*store.Request, []store.Event) (store.Revision, error) {
			req.CustomerName = "Somebody else"
			return store.Revision{Request: req, Begin: topology.AudioProcessing}, nil
		})
	d.must(err)
	d.must(d.db.Tenant(storetest.Acme).MarkEnqueued(d.Context(), req.RequestID, store.Step{Stage: topology.AudioProcessing}))
}

// calendar connects a calendar of the first tenant's, and knows a channel of it.
func (d *driver) calendar() {
	connect(d.T, d.other, "a@b.example")
	d.must(d.other.Tenant(storetest.Acme).AddChannel(d.Context(), "a@b.example", "ch", "token", "https://gateway.example"))
}

// works claims, fails and finishes stages as a worker does.
func (d *driver) works(recording *store.Recording, next topology.Stage, effects ...store.PlannedEffect) {
	h := d.db.Tenant(storetest.Acme)
	const stage = topology.AudioProcessing
	text, score, spam := "x", int64(50), 2.5
	id := d.request()
	c := claim(d.T, h, id, stage, store.Claimed)
	_, err := h.Fail(d.Context(), c, "cause", false, maxAttempts)
	d.must(err)
	c = claim(d.T, h, id, stage, store.Claimed)
	_, err = h.Finish(d.Context(), c, store.Outcome{
		Update: store.RequestUpdate{
			RecordingURL: &text, CustomerName: &text, CustomerPhone: &text, CustomerEmail: &text, PostalCode: &text,
			Transcription: []byte(`{}`), Documents: []byte(`{}`), Analysis: []byte(`{}`), LeadScore: &score, SpamLikelihood: &spam, Decision: &text, DecisionReasons: []string{"x"},
		},
		Recording: recording, Next: next, Effects: effects, Entries: []store.Entry{{Action: "x"}},
	})
	d.must(err)
	claim(d.T, h, id, stage, store.Done)
	if next != "" {
		d.must(h.MarkEnqueued(d.Context(), id, store.Step{Stage: next}))
	}
	c = claim(d.T, h, d.request(), stage, store.Claimed)
	_, err = h.Fail(d.Context(), c, "cause", true, maxAttempts)
	d.must(err)
}

// services are all that have a role. What one of them calls is in calls and in
// drive; a grant for what is new goes into a new file of ddl.
var services = []service{
	{topology.WebhookProcessor, []string{"OfficeByCompany", "Offices", "Intake", "Accept", "Record", "MarkEnqueued", "Channel", "Notified"}, func(d *driver) {
		d.calendar()
		d.accepts(func() {
			channel, err := d.db.Directory().Channel(d.Context(), "ch")
			d.must(err)
			d.must(d.db.Tenant(storetest.Acme).Notified(d.Context(), channel.CalendarID, channel.ID, 1))
			_, err = d.db.Directory().OfficeByCompany(d.Context(), store.Company{TenantID: storetest.Acme, ID: "1001", ResourceID: "COM1001"})
			d.must(err)
			_, err = d.db.Directory().Offices(d.Context(), storetest.Acme)
			d.must(err)
			_, err = d.db.Directory().Intake(d.Context(), storetest.Acme)
			d.must(err)
		})
	}},
	{topology.IntakeAPI, []string{"Intake", "Offices", "Request", "Accept", "Record", "MarkEnqueued"}, func(d *driver) {
		d.accepts(func() {
			_, err := d.db.Directory().Intake(d.Context(), storetest.Acme)
			d.must(err)
			_, err = d.db.Directory().Offices(d.Context(), storetest.Acme)
			d.must(err)
			_, err = d.db.Tenant(storetest.Acme).Request(d.Context(), d.request())
			d.must(err)
		})
	}},
	{topology.ChatAPI, []string{"Intake", "Offices", "OpenChat", "Chat", "Say", "Answer", "ChatMessage", "ChatMessages", "CloseChat", "TakeChatAnswers", "ChatRecorded", "Record", "MarkEnqueued"}, func(d *driver) {
		d.accepts(func() {
			_, err := d.db.Directory().Intake(d.Context(), storetest.Acme)
			d.must(err)
			_, err = d.db.Directory().Offices(d.Context(), storetest.Acme)
			d.must(err)
		})
		h := d.db.Tenant(storetest.Acme)
		d.must(h.OpenChat(d.Context(), store.ChatSession{SessionID: "s"}))
		_, err := h.Say(d.Context(), "s", store.ChatMessage{Number: 1, Text: "x"}, "claim", time.Minute, store.ChatBounds{Quiet: time.Minute, Messages: 10, Chars: 10})
		d.must(err)
		_, err = h.Say(d.Context(), "s", store.ChatMessage{Number: 1, Text: "x"}, "claim", time.Minute, store.ChatBounds{Quiet: time.Minute, Messages: 10, Chars: 10})
		d.must(err)
		_, _, err = h.Answer(d.Context(), "s", 1, "claim", store.ChatAnswer{Text: "y", By: "notice"})
		d.must(err)
		_, err = h.ChatMessages(d.Context(), "s", 0)
		d.must(err)
		_, err = h.ChatMessage(d.Context(), "s", 1)
		d.must(err)
		_, err = h.CloseChat(d.Context(), "s", time.Minute)
		d.must(err)
		for range 2 {
			_, err = h.TakeChatAnswers(d.Context(), time.Now(), 1, 10)
			d.must(err)
		}
		d.must(h.ChatRecorded(d.Context(), "s", 1))
	}},
	{topology.AudioProcessor, []string{"Claim", "Fail", "Finish", "KeepDocuments", "MarkEnqueued"}, func(d *driver) {
		d.works(&store.Recording{RecordingID: store.RecordingID(storetest.Acme, "CAL"), CallID: "CAL"}, topology.AIAnalysis)
		c := claim(d.T, d.db.Tenant(storetest.Acme), d.request(), topology.AudioProcessing, store.Claimed)
		d.must(d.db.Tenant(storetest.Acme).KeepDocuments(d.Context(), c, []byte(`{}`)))
	}},
	{topology.DocumentProcessor, []string{"Claim", "Fail", "Finish", "Intake", "KeepDocuments", "MarkEnqueued"}, func(d *driver) {
		d.works(nil, topology.AIAnalysis)
		_, err := d.db.Directory().Intake(d.Context(), storetest.Acme)
		d.must(err)
		form := store.Request{TenantID: storetest.Acme, RequestID: store.RequestID(storetest.Acme, store.SourceForm, "sheet"), Source: store.SourceForm}
		_, err = storetest.Accept(d.Context(), d.other.Tenant(storetest.Acme), form, topology.DocumentProcessing)
		d.must(err)
		reading := claim(d.T, d.db.Tenant(storetest.Acme), form.RequestID, topology.DocumentProcessing, store.Claimed)
		d.must(d.db.Tenant(storetest.Acme).KeepDocuments(d.Context(), reading, []byte(`{}`)))
		// A telephone number that was on a sheet.
		h, phone := d.db.Tenant(storetest.Acme), "310 555 0142"
		c := claim(d.T, h, d.request(), topology.AudioProcessing, store.Claimed)
		_, err = h.Finish(d.Context(), c, store.Outcome{Update: store.RequestUpdate{CustomerPhone: &phone}, Next: topology.AIAnalysis})
		d.must(err)
	}},
	{topology.AIAnalyzer, []string{"Claim", "Fail", "Finish", "History", "MarkEnqueued"}, func(d *driver) {
		d.works(nil, topology.Workflow)
		h, phone := d.db.Tenant(storetest.Acme), "310 555 0142"
		c := claim(d.T, h, d.request(), topology.AudioProcessing, store.Claimed)
		_, err := h.Finish(d.Context(), c, store.Outcome{Update: store.RequestUpdate{CustomerPhone: &phone}, Next: topology.Workflow})
		d.must(err)
		_, err = h.History(d.Context(), &store.Request{RequestID: c.Request.RequestID, CustomerPhone: phone}, time.Time{})
		d.must(err)
	}},
	{topology.WorkflowEngine, []string{"Claim", "Fail", "Finish", "MarkEnqueued"}, func(d *driver) {
		d.works(nil, topology.Delivery, store.PlannedEffect{Kind: store.EffectCRM, Target: "hubspot", Mode: store.ModeImmediate})
		d.works(nil, "")
	}},
	{topology.Dispatcher, []string{
		"Claim", "Fail", "Finish", "Effects", "DueEffects", "LookupEffects", "EffectsOfMail", "DueDigest", "Office", "ClaimEffects", "FinishEffects", "PostponeParked",
	}, func(d *driver) {
		d.works(nil, "")
		id := d.request()
		c := claim(d.T, d.other.Tenant(storetest.Acme), id, topology.AudioProcessing, store.Claimed)
		_, err := d.other.Tenant(storetest.Acme).Finish(d.Context(), c, store.Outcome{Effects: []store.PlannedEffect{
			{Kind: store.EffectCRM, Target: "hubspot"}, {Kind: store.EffectEmail, Target: "a@example.com"},
		}})
		d.must(err)
		h := d.later.Tenant(storetest.Acme)
		_, err = h.Office(d.Context(), "")
		d.must(err)
		_, err = h.Effects(d.Context(), id)
		d.must(err)
		due, err := d.later.DueEffects(d.Context(), 100)
		d.must(err)
		keys := []store.EffectKey{due[0].EffectKey, due[1].EffectKey}
		_, err = h.LookupEffects(d.Context(), keys)
		d.must(err)
		claims, err := h.ClaimEffects(d.Context(), keys, "message", time.Minute)
		d.must(err)
		_, err = h.EffectsOfMail(d.Context(), "message")
		d.must(err)
		_, err = h.DueDigest(d.Context(), "a@example.com")
		d.must(err)
		_, err = h.FinishEffects(d.Context(), []store.EffectResult{
			{Claim: claims[0], State: store.EffectParked, Mode: store.ModeBatch, Cause: "x", SecretVersion: "1", Uncounted: true, Entries: []store.Entry{{Action: "x"}}},
			{Claim: claims[1], State: store.EffectSent, ExternalID: "x"},
		})
		d.must(err)
		d.must(h.PostponeParked(d.Context(), keys, time.Now()))
	}},
	{topology.CalendarSync, []string{
		"DueCalendars", "ClaimCalendar", "FinishCalendar", "Channels", "AddChannel", "OpenChannel", "CloseChannel", "Offices", "EventsOf", "Accept", "Record", "MarkEnqueued",
	}, func(d *driver) {
		d.calendar()
		h := d.later.Tenant(storetest.Acme)
		due, err := d.later.DueCalendars(d.Context(), 10)
		d.must(err)
		c, err := h.ClaimCalendar(d.Context(), due[0].CalendarID, time.Minute)
		d.must(err)
		d.must(h.AddChannel(d.Context(), c.ID, "new", "token", "https://gateway.example"))
		d.must(h.OpenChannel(d.Context(), c.ID, "new", "resource", time.Now()))
		_, err = h.Channels(d.Context(), c.ID)
		d.must(err)
		d.must(h.CloseChannel(d.Context(), c.ID, "new"))
		d.must(h.FinishCalendar(d.Context(), c, store.CalendarTurn{SyncToken: "t"}))
		d.accepts(func() {
			_, err := d.db.Directory().Offices(d.Context(), storetest.Acme)
			d.must(err)
			_, err = d.db.Tenant(storetest.Acme).EventsOf(d.Context(), []string{d.request()})
			d.must(err)
		})
	}},
	{topology.Sweeper, []string{
		"Overdue", "TakeUp", "MarkEnqueued", "QuietChats", "PostponeChat", "Chat", "ChatMessages", "Answer", "ChatRecorded", "Record",
	}, func(d *driver) {
		h, other := d.later.Tenant(storetest.Acme), d.other.Tenant(storetest.Acme)
		d.must(other.OpenChat(d.Context(), store.ChatSession{SessionID: "s"}))
		_, err := other.Say(d.Context(), "s", store.ChatMessage{Number: 1, Text: "x"}, "claim", time.Minute, store.ChatBounds{Quiet: time.Minute, Messages: 10, Chars: 10})
		d.must(err)
		_, err = d.later.QuietChats(d.Context(), 10)
		d.must(err)
		d.must(h.PostponeChat(d.Context(), "s", time.Minute))
		_, err = h.Chat(d.Context(), "s")
		d.must(err)
		_, err = h.ChatMessages(d.Context(), "s", 0)
		d.must(err)
		_, _, err = h.Answer(d.Context(), "s", 1, "", store.ChatAnswer{Text: "y", By: "notice"})
		d.must(err)
		req := call(storetest.Acme, "CHAT")
		req.CustomerPhone = "310 555 0142"
		for _, event := range []string{"one", "two"} {
			_, err = h.Record(d.Context(), req.RequestID, store.Event{ID: event, Source: req.Source},
				func(*store.Request, []store.Event) (store.Revision, error) {
					return store.Revision{Request: req, Begin: topology.AIAnalysis}, nil
				})
			d.must(err)
		}
		d.must(h.ChatRecorded(d.Context(), "s", 1))
		id := d.request()
		_, err = d.later.Overdue(d.Context(), 10)
		d.must(err)
		taken, err := d.later.Tenant(storetest.Acme).TakeUp(d.Context(), id, topology.AudioProcessing)
		d.must(err)
		if taken == nil {
			d.Fatal("nothing was taken up")
		}
		d.must(d.later.Tenant(storetest.Acme).MarkEnqueued(d.Context(), id, taken.Step))
	}},
	{topology.TenantSync, []string{"Tenants", "Sync", "Deactivate"}, func(d *driver) {
		_, err := d.db.Directory().Tenants(d.Context())
		d.must(err)
		for _, state := range []string{tenant.Active, tenant.Offboarded, tenant.Active} {
			_, err = d.db.Tenant("new").Sync(d.Context(), tenant.Tenant{ID: "new", Name: "New " + state, State: state,
				Offices: []tenant.Office{{ID: "o", Name: state, Workflow: workflow.Default()}}, Calendars: []tenant.Calendar{{ID: "a@b.example"}}})
			d.must(err)
		}
		d.must(d.db.Tenant("new").Deactivate(d.Context()))
	}},
}

// TestRolesAllowWhatServicesDo drives every service's calls against the
// emulator, which knows no roles, and compares what goes over the wire with
// the grants of the service's role: nothing is missing, and no grant is there
// without a use.
func TestRolesAllowWhatServicesDo(t *testing.T) {
	t.Parallel()
	roles := granted(t)
	tables, keys := schemaOf(t)
	for _, s := range services {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			role, ok := roles[topology.DatabaseRole(s.name)]
			if !ok {
				t.Fatalf("there is no role %s", topology.DatabaseRole(s.name))
			}
			other, cfg := storetest.OpenConfig(t)
			w := &wire{tables: tables, keys: keys, used: privileges{}}
			cfg.Role = topology.DatabaseRole(s.name)
			open := func(opts ...store.Option) *store.DB {
				db, err := store.OpenWith(t.Context(), cfg, w.options(), opts...)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { db.Close() })
				return db
			}
			s.drive(&driver{T: t, other: other, db: open(), later: open(store.WithClock(func() time.Time { return time.Now().Add(time.Hour) }))})

			w.mu.Lock()
			defer w.mu.Unlock()
			for _, err := range w.errs {
				t.Error(err)
			}
			for _, key := range slices.Sorted(maps.Keys(w.used)) {
				columns, ok := role[key]
				if !ok {
					t.Errorf("%s is used and not granted", key)
					continue
				}
				for _, c := range slices.Sorted(maps.Keys(w.used[key])) {
					if columns != nil && !columns[c] {
						t.Errorf("%s: column %s is used and not granted", key, c)
					}
				}
			}
			for _, key := range slices.Sorted(maps.Keys(role)) {
				used, ok := w.used[key]
				if !ok {
					t.Errorf("%s is granted and not used", key)
				}
				for _, c := range slices.Sorted(maps.Keys(role[key])) {
					if ok && !used[c] {
						t.Errorf("%s: column %s is granted and not used", key, c)
					}
				}
			}
		})
	}
}

// TestNobodyMayDelete: and only tenant-sync writes what the config declares.
func TestNobodyMayDelete(t *testing.T) {
	t.Parallel()
	for role, privileges := range granted(t) {
		for key := range privileges {
			table, verb, _ := strings.Cut(key, " ")
			declared := table == "tenants" || table == "offices"
			if verb == "DELETE" || declared && verb != "SELECT" && role != topology.DatabaseRole(topology.TenantSync) {
				t.Errorf("%s may %s", role, key)
			}
		}
	}
}

// TestEveryCallIsDriven finds the calls of package store in the code of the
// services, so that a new one is met by the test above.
func TestEveryCallIsDriven(t *testing.T) {
	t.Parallel()
	methods := map[string]bool{}
	for _, file := range sources(t, ".") {
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil && f.Name.IsExported() {
				if star, ok := f.Recv.List[0].Type.(*ast.StarExpr); ok {
					if id, ok := star.X.(*ast.Ident); ok && slices.Contains([]string{"DB", "Directory", "Tenant"}, id.Name) {
						methods[f.Name.Name] = true
					}
				}
			}
		}
	}
	for _, plain := range []string{"Close", "Directory", "ID", "Ping", "Tenant"} { // they touch no table
		delete(methods, plain)
	}
	calls := func(dir string) map[string]bool {
		found := map[string]bool{}
		for _, file := range sources(t, dir) {
			ast.Inspect(file, func(n ast.Node) bool {
				if c, ok := n.(*ast.CallExpr); ok {
					if sel, ok := c.Fun.(*ast.SelectorExpr); ok && methods[sel.Sel.Name] {
						found[sel.Sel.Name] = true
					}
				}
				return true
			})
		}
		return found
	}
	driven := map[string]bool{}
	for _, s := range services {
		for _, c := range s.calls {
			driven[c] = true
		}
		for c := range calls(filepath.Join("..", "..", "functions", s.name)) {
			if !slices.Contains(s.calls, c) {
				t.Errorf("%s calls store's %s: drive it in privileges_test.go, and grant what it needs in a new file of ddl", s.name, c)
			}
		}
	}
	for c := range calls(filepath.Join("..", "pipeline")) {
		if !driven[c] {
			t.Errorf("package pipeline calls store's %s: drive it in privileges_test.go, and grant what it needs in a new file of ddl", c)
		}
	}
}

// sources parses the Go files of a folder, without tests.
func sources(t *testing.T, dir string) []*ast.File {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no Go files in %s: %v", dir, err)
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// TestEmulatorReadsAccessControl: the emulator's parser, which is made from
// Spanner's grammar, reads every statement of access control before the
// emulator says that it does not support it. The day that it does, this test
// fails and the statements need not be left out any more.
func TestEmulatorReadsAccessControl(t *testing.T) {
	t.Parallel()
	name := spannertest.New(t, ddl.Statements())
	admin, err := database.NewDatabaseAdminClient(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	refusals := []string{
		"Unsupported ddl statement",
		"Emulator does not yet support column level access controls",
		"Expecting 'INVOKER' but found 'DEFINER'",
	}
	for _, statement := range ddl.Statements() {
		if !ddl.AccessControl(statement) {
			continue
		}
		op, err := admin.UpdateDatabaseDdl(t.Context(), &databasepb.UpdateDatabaseDdlRequest{Database: name, Statements: []string{statement}})
		if err == nil {
			err = op.Wait(t.Context())
		}
		if err == nil || !slices.ContainsFunc(refusals, func(r string) bool { return strings.Contains(err.Error(), r) }) {
			t.Errorf("%s\n%v", statement, err)
		}
	}
}
