package store

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"cloud.google.com/go/spanner"
	"github.com/google/uuid"
	"google.golang.org/api/iterator"

	"ingestion.internal/shared/tenant"
)

// ErrNotDue says that nothing is to be done about a calendar now, or that
// another worker has it.
var ErrNotDue = errors.New("the calendar is not due")

// clockSkew is how far the clocks of two instances may differ.
const clockSkew = 2 * time.Second

// CalendarKey names a calendar.
type CalendarKey struct {
	TenantID   string `json:"tenant_id"`
	CalendarID string `json:"calendar_id"`
}

// Calendar is a calendar that a worker has claimed.
type Calendar struct {
	ID         string
	OfficeID   string // "" = the tenant's first
	OwnDomains []string
	// Active tells whether the config names it, of a tenant that is served. Of
	// any other only the channels are to be closed.
	Active      bool
	ConnectedAt time.Time // since when it is read; what was over before is no booking
	SyncToken   string    // "" = it was never read, or has to be read anew
	Failures    int       // turns that failed since the last one that did not

	notified int64 // when it was claimed
	lease    string
}

// Channel is a way by which Google tells of changes of a calendar.
type Channel struct {
	ID         string
	Address    string    // to which it posts
	ResourceID string    // Google's name of what is watched; "" until Google has answered
	ExpiresAt  time.Time // zero until Google has answered
	CreatedAt  time.Time
}

// tokenHash is how a channel's token is kept. It has 256 random bits, so that a
// plain hash tells nothing of it.
func tokenHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// syncCalendars brings the tenant's calendars to what is declared. One that is
// new, changed its state or was taken back is due at once. Where it says
// otherwise than before who is of the company, it is read anew: what was taken
// for a meeting may be a booking.
func (t *Tenant) syncCalendars(ctx context.Context, tx reader, declared []tenant.Calendar, served bool, change func(string, *spanner.Mutation)) error {
	type row struct {
		office  string
		domains []string
		status  string
	}
	present := map[string]row{}
	err := tx.Query(ctx, spanner.Statement{
		SQL:    `SELECT calendar_id, IFNULL(office_id, ''), own_domains, status FROM calendars WHERE tenant_id = @tenant`,
		Params: map[string]any{"tenant": t.id},
	}).Do(func(r *spanner.Row) error {
		var id string
		var c row
		if err := r.Columns(&id, &c.office, &c.domains, &c.status); err != nil {
			return err
		}
		present[id] = c
		return nil
	})
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, c := range declared {
		if !served {
			break
		}
		wanted[c.ID] = true
		known, isKnown := present[c.ID]
		if isKnown && known.status == tenantActive && known.office == c.OfficeID && slices.Equal(known.domains, c.OwnDomains) {
			continue
		}
		values := map[string]any{
			"calendar_id": c.ID, "office_id": nullString(c.OfficeID), "own_domains": c.OwnDomains, "status": tenantActive, "due_at": t.db.now(),
		}
		what := "calendar " + c.ID + " updated"
		if !isKnown {
			values["notified"], values["failures"] = 0, 0
			what = "calendar " + c.ID + " added"
		}
		if known.status != tenantActive {
			values["connected_at"], values["sync_token"] = t.db.now(), spanner.NullString{}
		}
		if !slices.Equal(known.domains, c.OwnDomains) {
			values["sync_token"] = spanner.NullString{}
		}
		change(what, t.upsert("calendars", !isKnown, values))
	}
	for _, id := range slices.Sorted(maps.Keys(present)) {
		if !wanted[id] && present[id].status == tenantActive {
			change("calendar "+id+" disconnected", t.upsert("calendars", false, map[string]any{
				"calendar_id": id, "status": tenantInactive, "due_at": t.db.now(),
			}))
		}
	}
	return nil
}

// KnownChannel is a channel as a notification names it.
type KnownChannel struct {
	CalendarKey
	ID         string
	ResourceID string // "" until Google has answered
	tokenHash  string
}

// Proves tells whether the token is the channel's. It takes the same time
// whatever the token is; no token proves anything of the zero channel.
func (c KnownChannel) Proves(token string) bool {
	return subtle.ConstantTimeCompare([]byte(c.tokenHash), []byte(tokenHash(token))) == 1
}

// Channel finds the open channel of that id, of any tenant, or ErrNotFound. It
// is not cached: a channel is new when its first message comes.
func (d *Directory) Channel(ctx context.Context, id string) (KnownChannel, error) {
	var found KnownChannel
	n := 0
	err := d.client.Single().Query(ctx, spanner.Statement{
		SQL: `SELECT c.tenant_id, c.calendar_id, c.channel_id, IFNULL(c.resource_id, ''), c.token_sha256 FROM calendar_channels AS c
			WHERE c.channel_id = @id AND c.closed_at IS NULL`,
		Params: map[string]any{"id": id},
	}).Do(func(row *spanner.Row) error {
		n++
		return row.Columns(&found.TenantID, &found.CalendarID, &found.ID, &found.ResourceID, &found.tokenHash)
	})
	if err == nil && n != 1 {
		return KnownChannel{}, fmt.Errorf("channel %q: %w", id, ErrNotFound)
	}
	if err != nil {
		return KnownChannel{}, fmt.Errorf("channel %q: %w", id, err)
	}
	return found, nil
}

// Notified makes the channel's calendar due, because a message of that number
// says that it changed. Numbers may come twice and in any order. ErrNotFound:
// the tenant or the calendar is not served any more.
func (t *Tenant) Notified(ctx context.Context, calendarID, channelID string, number int64) error {
	err := t.db.transact(ctx, func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		if err := t.mustBeActive(ctx, tx); err != nil {
			return err
		}
		row, err := tx.ReadRow(ctx, "calendars", spanner.Key{t.id, calendarID}, []string{"status", "notified"})
		if err != nil {
			return notFound(err)
		}
		var status string
		var notified int64
		if err := row.Columns(&status, &notified); err != nil {
			return err
		}
		if status != tenantActive {
			return fmt.Errorf("the calendar is %s: %w", status, ErrNotFound)
		}
		row, err = tx.ReadRow(ctx, "calendar_channels", spanner.Key{t.id, calendarID, channelID}, []string{"last_message_number"})
		if err != nil {
			return notFound(err)
		}
		var last spanner.NullInt64
		if err := row.Columns(&last); err != nil {
			return err
		}
		return tx.BufferWrite([]*spanner.Mutation{
			t.upsert("calendars", false, map[string]any{"calendar_id": calendarID, "notified": notified + 1, "due_at": t.db.now()}),
			t.upsert("calendar_channels", false, map[string]any{
				"calendar_id": calendarID, "channel_id": channelID,
				"last_message_number": max(last.Int64, number), "last_notified_at": t.db.now(),
			}),
		})
	})
	if err != nil {
		return fmt.Errorf("notification of calendar %s: %w", calendarID, err)
	}
	return nil
}

// DueCalendars returns at most limit calendars of all tenants that are due,
// those that wait longest first.
func (db *DB) DueCalendars(ctx context.Context, limit int) ([]CalendarKey, error) {
	due := spanner.KeyRange{Start: spanner.Key{time.Unix(0, 0)}, End: spanner.Key{db.now()}, Kind: spanner.ClosedClosed}
	iter := db.client.Single().ReadWithOptions(ctx, "calendars", due, []string{"tenant_id", "calendar_id"},
		&spanner.ReadOptions{Index: "calendars_by_due_at", Limit: limit})
	defer iter.Stop()
	var found []CalendarKey
	for {
		row, err := iter.Next()
		if errors.Is(err, iterator.Done) {
			return found, nil
		}
		if err != nil {
			return nil, fmt.Errorf("due calendars: %w", err)
		}
		var key CalendarKey
		if err := row.Columns(&key.TenantID, &key.CalendarID); err != nil {
			return nil, fmt.Errorf("due calendars: %w", err)
		}
		found = append(found, key)
	}
}

// ClaimCalendar takes a calendar that is due for the lease's time. ErrNotDue:
// there is nothing to do, or another worker has it.
func (t *Tenant) ClaimCalendar(ctx context.Context, id string, lease time.Duration) (*Calendar, error) {
	var c *Calendar
	err := t.db.transact(ctx, func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		row, err := tx.ReadRow(ctx, "calendars", spanner.Key{t.id, id},
			[]string{"office_id", "own_domains", "status", "connected_at", "due_at", "notified", "sync_token", "lease_until", "failures"})
		if err != nil {
			return notFound(err)
		}
		c = &Calendar{ID: id, lease: uuid.NewString()}
		var office, token spanner.NullString
		var status string
		var due, until spanner.NullTime
		var failures int64
		if err := row.Columns(&office, &c.OwnDomains, &status, &c.ConnectedAt, &due, &c.notified, &token, &until, &failures); err != nil {
			return err
		}
		now := t.db.now()
		// Whoever made it due may have a clock that is a little ahead.
		if !due.Valid || now.Add(clockSkew).Before(due.Time) || until.Valid && now.Before(until.Time) {
			return ErrNotDue
		}
		c.OfficeID, c.SyncToken, c.Failures = office.StringVal, token.StringVal, int(failures)
		err = t.mustBeActive(ctx, tx)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		c.Active = err == nil && status == tenantActive
		return tx.BufferWrite([]*spanner.Mutation{t.upsert("calendars", false, map[string]any{
			"calendar_id": id, "lease_id": c.lease, "lease_until": now.Add(lease),
		})})
	})
	if err != nil {
		return nil, fmt.Errorf("claim calendar %s: %w", id, err)
	}
	return c, nil
}

// CalendarTurn is what came of a turn at a calendar.
type CalendarTurn struct {
	SyncToken string    // of a calendar that was read whole; "" = it was not, and what is known stays
	Next      time.Time // when it is due again, unless it was notified of meanwhile; zero = never
	Failure   string    // why the turn failed, or a part of it
}

// FinishCalendar commits the turn and ends the lease. ErrLostClaim: another
// worker has the calendar, and nothing was written.
func (t *Tenant) FinishCalendar(ctx context.Context, c *Calendar, turn CalendarTurn) error {
	err := t.db.transact(ctx, func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		row, err := tx.ReadRow(ctx, "calendars", spanner.Key{t.id, c.ID}, []string{"lease_id", "notified", "status", "due_at", "own_domains"})
		if err != nil {
			return notFound(err)
		}
		var lease spanner.NullString
		var notified int64
		var status string
		var due spanner.NullTime
		var domains []string
		if err := row.Columns(&lease, &notified, &status, &due, &domains); err != nil {
			return err
		}
		if lease.StringVal != c.lease {
			return ErrLostClaim
		}
		values := map[string]any{
			"calendar_id": c.ID, "lease_id": spanner.NullString{}, "lease_until": spanner.NullTime{},
			"due_at":   spanner.NullTime{Time: turn.Next, Valid: !turn.Next.IsZero()},
			"failures": 0, "failure_cause": spanner.NullString{},
		}
		asBefore := (status == tenantActive) == c.Active && slices.Equal(domains, c.OwnDomains)
		if notified != c.notified || !asBefore {
			values["due_at"] = due // something has happened that this turn may not have seen
		}
		if turn.Failure != "" {
			values["failures"], values["failure_cause"] = c.Failures+1, clip(turn.Failure, maxCause)
		}
		if turn.SyncToken != "" && c.Active && asBefore {
			values["sync_token"], values["synced_at"] = turn.SyncToken, t.db.now()
		}
		return tx.BufferWrite([]*spanner.Mutation{t.upsert("calendars", false, values)})
	})
	if err != nil {
		return fmt.Errorf("finish calendar %s: %w", c.ID, err)
	}
	return nil
}

// Channels returns the calendar's channels that are not closed, the oldest
// first.
func (t *Tenant) Channels(ctx context.Context, calendarID string) ([]Channel, error) {
	var all []Channel
	err := t.db.client.Single().Query(ctx, spanner.Statement{
		SQL: `SELECT channel_id, address, IFNULL(resource_id, ''), expires_at, created_at FROM calendar_channels
			WHERE tenant_id = @tenant AND calendar_id = @calendar AND closed_at IS NULL ORDER BY created_at, channel_id`,
		Params: map[string]any{"tenant": t.id, "calendar": calendarID},
	}).Do(func(row *spanner.Row) error {
		var c Channel
		var expires spanner.NullTime
		if err := row.Columns(&c.ID, &c.Address, &c.ResourceID, &expires, &c.CreatedAt); err != nil {
			return err
		}
		c.ExpiresAt = expires.Time
		all = append(all, c)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("channels of calendar %s: %w", calendarID, err)
	}
	return all, nil
}

// AddChannel makes a channel known that is about to be opened.
func (t *Tenant) AddChannel(ctx context.Context, calendarID, channelID, token, address string) error {
	return t.putChannel(ctx, calendarID, channelID, true, map[string]any{"token_sha256": tokenHash(token), "address": address})
}

// OpenChannel keeps what Google answered about a channel.
func (t *Tenant) OpenChannel(ctx context.Context, calendarID, channelID, resourceID string, expires time.Time) error {
	return t.putChannel(ctx, calendarID, channelID, false, map[string]any{"resource_id": resourceID, "expires_at": expires})
}

// CloseChannel ends a channel: its notifications prove nothing any more.
func (t *Tenant) CloseChannel(ctx context.Context, calendarID, channelID string) error {
	return t.putChannel(ctx, calendarID, channelID, false, map[string]any{"closed_at": t.db.now()})
}

func (t *Tenant) putChannel(ctx context.Context, calendarID, channelID string, insert bool, values map[string]any) error {
	values["calendar_id"], values["channel_id"] = calendarID, channelID
	err := t.db.transact(ctx, func(_ context.Context, tx *spanner.ReadWriteTransaction) error {
		return tx.BufferWrite([]*spanner.Mutation{t.upsert("calendar_channels", insert, values)})
	})
	if err != nil {
		return fmt.Errorf("channel %s of calendar %s: %w", channelID, calendarID, err)
	}
	return nil
}
