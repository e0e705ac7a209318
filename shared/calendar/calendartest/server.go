// Package calendartest is a small Google Calendar: the parts of the Calendar API
// v3 that the platform uses, on its wire protocol, with sync tokens, pages,
// channels and the notifications that they send. Tests run the real client
// against it, and the local cloud's stand-in is built on it.
//
// Served paths:
//
//	GET  /calendar/v3/calendars/{calendar}/events
//	POST /calendar/v3/calendars/{calendar}/events/watch
//	POST /calendar/v3/channels/stop
//
// A deleted event is listed with its id and status only, which is all that
// Google promises of one.
package calendartest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/api/calendar/v3"
)

// Defaults of what Google decides.
const (
	maxBody         = 1 << 20
	maxTTL          = 30 * 24 * time.Hour // of a channel; Google's own is not documented
	defaultTTL      = 7 * 24 * time.Hour
	deliveryTimeout = 10 * time.Second
	attempts        = 3 // of a notification that is answered 500, 502, 503 or 504
	pause           = 50 * time.Millisecond
)

// Server is the API. Its fields are set before it is used; its methods may be
// called at the same time.
type Server struct {
	// Authorize tells with an error who may not see a calendar; nil lets
	// everybody. Calendar is empty for channels.stop.
	Authorize func(r *http.Request, calendarID string) error
	// PageSize is how many events a page has at most; 0 = as many as asked for.
	PageSize int
	// Lose keeps notifications from being sent, as if they were lost.
	Lose bool
	Now  func() time.Time // nil = time.Now

	mu        sync.Mutex
	calendars map[string]*held
	channels  map[string]*Channel
	sent      []Sent
}

// held is one calendar.
type held struct {
	version int64 // of the last change
	oldest  int64 // tokens of versions before it have expired
	events  map[string]*entry
}

type entry struct {
	version int64
	event   *calendar.Event
}

// Channel is an open channel.
type Channel struct {
	ID         string    `json:"id"`
	CalendarID string    `json:"calendar_id"`
	ResourceID string    `json:"resource_id"`
	Address    string    `json:"address"`
	ExpiresAt  time.Time `json:"expires_at"`
	Token      string    `json:"-"`

	number int64
}

// Sent is a notification that was sent and what it was answered.
type Sent struct {
	Header http.Header `json:"header"`
	Status int         `json:"status"` // 0 = not answered
}

// New returns a server without calendars. It has each that is asked for.
func New() *Server {
	return &Server{calendars: map[string]*held{}, channels: map[string]*Channel{}}
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// ServeHTTP serves the API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/calendar/v3/calendars/"), "/")
	id, err := url.PathUnescape(id)
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/calendar/v3/channels/stop":
		s.stop(w, r)
	case err != nil || !strings.HasPrefix(r.URL.Path, "/calendar/v3/calendars/"):
		refuse(w, http.StatusNotFound, "notFound", "Not Found")
	case r.Method == http.MethodGet && rest == "events":
		s.list(w, r, id)
	case r.Method == http.MethodPost && rest == "events/watch":
		s.watch(w, r, id)
	default:
		refuse(w, http.StatusNotFound, "notFound", "Not Found")
	}
}

// refuse answers as the Calendar API does.
func refuse(w http.ResponseWriter, status int, reason, message string) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{
		"code": status, "message": message, "errors": []any{map[string]any{"domain": "calendar", "reason": reason, "message": message}},
	}})
}

// Refuse answers with an error of the API.
func Refuse(w http.ResponseWriter, status int, message string) {
	reason := "backendError"
	if status == http.StatusTooManyRequests {
		reason = "rateLimitExceeded"
	}
	refuse(w, status, reason, message)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	_ = json.NewEncoder(w).Encode(v)
}

// allowed tells whether the caller may see the calendar, or answers.
func (s *Server) allowed(w http.ResponseWriter, r *http.Request, calendarID string) bool {
	if s.Authorize == nil {
		return true
	}
	err := s.Authorize(r, calendarID)
	if err != nil {
		status := http.StatusNotFound // a calendar that is not shared looks as if it were not there
		if errors.Is(err, ErrUnauthenticated) {
			status = http.StatusUnauthorized
		}
		refuse(w, status, "notFound", err.Error())
	}
	return err == nil
}

// ErrUnauthenticated is wrapped by Authorize of a caller without a valid token.
var ErrUnauthenticated = errors.New("the request has no valid access token")

func (s *Server) calendar(id string) *held {
	c := s.calendars[id]
	if c == nil {
		c = &held{version: 1, events: map[string]*entry{}}
		s.calendars[id] = c
	}
	return c
}

// cursor is what tokens hold: which versions are listed, and from which event.
type cursor struct {
	from, to int64 // versions above from, up to to
	offset   int
	full     bool
}

func (c cursor) String() string {
	kind := "i"
	if c.full {
		kind = "f"
	}
	return fmt.Sprintf("%s-%d-%d-%d", kind, c.from, c.to, c.offset)
}

var cursorText = regexp.MustCompile(`^([if])-(\d+)-(\d+)-(\d+)$`)

func parseCursor(text string) (cursor, bool) {
	m := cursorText.FindStringSubmatch(text)
	if m == nil {
		return cursor{}, false
	}
	from, err1 := strconv.ParseInt(m[2], 10, 64)
	to, err2 := strconv.ParseInt(m[3], 10, 64)
	offset, err3 := strconv.Atoi(m[4])
	return cursor{from, to, offset, m[1] == "f"}, errors.Join(err1, err2, err3) == nil
}

func (s *Server) list(w http.ResponseWriter, r *http.Request, id string) {
	if !s.allowed(w, r, id) {
		return
	}
	q := r.URL.Query()
	if q.Get("singleEvents") == "true" {
		refuse(w, http.StatusBadRequest, "invalid", "this Calendar does not expand recurring events")
		return
	}
	if q.Get("syncToken") != "" && (q.Get("timeMin") != "" || q.Get("showDeleted") == "false") {
		refuse(w, http.StatusBadRequest, "invalid", "syncToken cannot be combined with timeMin or showDeleted=false")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.calendar(id)
	at := cursor{to: c.version, full: true}
	ok := true
	switch {
	case q.Get("pageToken") != "":
		at, ok = parseCursor(q.Get("pageToken"))
	case q.Get("syncToken") != "":
		at, ok = parseCursor(q.Get("syncToken"))
		at = cursor{from: at.to, to: c.version}
	}
	if !ok {
		refuse(w, http.StatusBadRequest, "invalid", "Invalid token")
		return
	}
	if !at.full && at.from < c.oldest {
		refuse(w, http.StatusGone, "fullSyncRequired", "Sync token is no longer valid, a full sync is required.")
		return
	}
	size := 250
	if n, err := strconv.Atoi(q.Get("maxResults")); err == nil && n > 0 {
		size = min(n, 2500)
	}
	if s.PageSize > 0 {
		size = min(size, s.PageSize)
	}
	items := c.changes(at, q.Get("showDeleted") == "true", q.Get("timeMin"))
	page := &calendar.Events{Kind: "calendar#events", TimeZone: "America/Los_Angeles", Items: []*calendar.Event{}}
	end := min(at.offset+size, len(items))
	if at.offset < end {
		page.Items = items[at.offset:end]
	}
	if end < len(items) {
		at.offset = end
		page.NextPageToken = at.String()
	} else {
		page.NextSyncToken = cursor{to: at.to}.String()
	}
	answer(w, page)
}

// changes lists the events of the cursor's versions in the order of their
// changes.
func (c *held) changes(at cursor, deleted bool, timeMin string) []*calendar.Event {
	var found []*entry
	for _, e := range c.events {
		gone := e.event.Status == "cancelled"
		switch {
		case e.version <= at.from || e.version > at.to:
		case at.full && gone && !deleted:
		case at.full && !gone && timeMin != "" && !after(e.event.End, timeMin):
		default:
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b *entry) int { return cmp.Compare(a.version, b.version) })
	items := make([]*calendar.Event, len(found))
	for i, e := range found {
		items[i] = e.event
		if e.event.Status == "cancelled" {
			items[i] = &calendar.Event{Kind: "calendar#event", Id: e.event.Id, Status: "cancelled", Etag: e.event.Etag}
		}
	}
	return items
}

func after(end *calendar.EventDateTime, limit string) bool {
	from, err := time.Parse(time.RFC3339, limit)
	if end == nil || err != nil {
		return true
	}
	at, err := time.Parse(time.RFC3339, end.DateTime)
	if end.Date != "" {
		at, err = time.Parse(time.DateOnly, end.Date)
	}
	return err != nil || at.After(from)
}

var channelID = regexp.MustCompile(`^[A-Za-z0-9_+/=-]{1,64}$`)

func (s *Server) watch(w http.ResponseWriter, r *http.Request, id string) {
	if !s.allowed(w, r, id) {
		return
	}
	var asked calendar.Channel
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&asked); err != nil {
		refuse(w, http.StatusBadRequest, "parseError", "Parse Error")
		return
	}
	address, err := url.Parse(asked.Address)
	now := s.now()
	expires := now.Add(defaultTTL)
	if asked.Expiration != 0 {
		expires = time.UnixMilli(min(asked.Expiration, now.Add(maxTTL).UnixMilli()))
	}
	switch {
	case asked.Type != "web_hook" && asked.Type != "webhook":
		refuse(w, http.StatusBadRequest, "invalid", "Unknown channel type")
		return
	case !channelID.MatchString(asked.Id):
		refuse(w, http.StatusBadRequest, "channelIdInvalid", "Channel id must match the pattern [A-Za-z0-9\\-_\\+/=]+")
		return
	case err != nil || address.Host == "" || address.Scheme != "https" && !(address.Scheme == "http" && loopback(address.Hostname())):
		refuse(w, http.StatusBadRequest, "push.webhookUrlNotHttps", "WebHook callback must be HTTPS: "+asked.Address)
		return
	case len(asked.Token) > 256: // channels.stop's page and the guide: 256 characters at most
		refuse(w, http.StatusBadRequest, "invalid", "Channel token is too long")
		return
	case expires.Before(now):
		refuse(w, http.StatusBadRequest, "invalid", "Channel expiration is in the past")
		return
	}
	s.mu.Lock()
	if _, ok := s.channels[asked.Id]; ok {
		s.mu.Unlock()
		refuse(w, http.StatusBadRequest, "channelIdNotUnique", "Channel id "+asked.Id+" not unique")
		return
	}
	c := &Channel{ID: asked.Id, CalendarID: id, ResourceID: "events-of-" + id, Address: asked.Address, ExpiresAt: expires, Token: asked.Token}
	s.channels[c.ID] = c
	s.mu.Unlock()
	// Google's may come before the answer as well.
	s.notify(c, "sync")
	answer(w, &calendar.Channel{
		Kind: "api#channel", Id: c.ID, ResourceId: c.ResourceID, ResourceUri: resourceURI(id), Token: c.Token, Expiration: expires.UnixMilli(),
	})
}

func resourceURI(calendarID string) string {
	return "https://www.googleapis.com/calendar/v3/calendars/" + url.PathEscape(calendarID) + "/events?alt=json"
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (s *Server) stop(w http.ResponseWriter, r *http.Request) {
	if !s.allowed(w, r, "") {
		return
	}
	var asked calendar.Channel
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&asked); err != nil {
		refuse(w, http.StatusBadRequest, "parseError", "Parse Error")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.channels[asked.Id]
	if c == nil || c.ResourceID != asked.ResourceId {
		refuse(w, http.StatusNotFound, "notFound", "Channel '"+asked.Id+"' not found for project")
		return
	}
	delete(s.channels, asked.Id)
	w.WriteHeader(http.StatusNoContent)
}

// Put creates or changes an event, whose id is given, and tells the calendar's
// channels. Changes are laid over what the event has: a JSON object of its
// fields. It returns once the notifications are answered.
func (s *Server) Put(calendarID, eventID string, changes []byte) (*calendar.Event, error) {
	return s.change(calendarID, eventID, s.Lose, put(changes))
}

// PutUntold is Put whose notifications are lost.
func (s *Server) PutUntold(calendarID, eventID string, changes []byte) (*calendar.Event, error) {
	return s.change(calendarID, eventID, true, put(changes))
}

func put(changes []byte) func(*calendar.Event) error {
	return func(e *calendar.Event) error {
		e.Status = "confirmed"
		if err := json.Unmarshal(changes, e); err != nil {
			return fmt.Errorf("event: %w", err)
		}
		return nil
	}
}

// Cancel deletes an event and tells the calendar's channels.
func (s *Server) Cancel(calendarID, eventID string) error {
	_, err := s.change(calendarID, eventID, s.Lose, func(e *calendar.Event) error {
		if e.Status == "" {
			return fmt.Errorf("calendar %s has no event %s", calendarID, eventID)
		}
		e.Status = "cancelled"
		return nil
	})
	return err
}

func (s *Server) change(calendarID, eventID string, lose bool, change func(*calendar.Event) error) (*calendar.Event, error) {
	s.mu.Lock()
	c := s.calendar(calendarID)
	event := &calendar.Event{}
	if known := c.events[eventID]; known != nil {
		*event = *known.event
		event.Sequence++
	}
	if err := change(event); err != nil {
		s.mu.Unlock()
		return nil, err
	}
	c.version++
	event.Id, event.Kind, event.ICalUID = eventID, "calendar#event", eventID+"@google.com"
	event.Updated = s.now().UTC().Format("2006-01-02T15:04:05.000Z")
	event.Etag = fmt.Sprintf("%q", strconv.FormatInt(c.version, 10))
	c.events[eventID] = &entry{c.version, event}
	var told []*Channel
	for _, ch := range s.channels {
		if ch.CalendarID == calendarID && ch.ExpiresAt.After(s.now()) && !lose {
			told = append(told, ch)
		}
	}
	s.mu.Unlock()
	slices.SortFunc(told, func(a, b *Channel) int { return strings.Compare(a.ID, b.ID) })
	for _, ch := range told {
		s.notify(ch, "exists")
	}
	return event, nil
}

// Expire makes the calendar's sync tokens of no use.
func (s *Server) Expire(calendarID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.calendar(calendarID)
	c.version++
	c.oldest = c.version
}

// Channels returns the open channels, in the order of their ids.
func (s *Server) Channels() []Channel {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Channel
	for _, c := range s.channels {
		all = append(all, *c)
	}
	slices.SortFunc(all, func(a, b Channel) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// Sent returns the notifications that were sent, in order.
func (s *Server) Sent() []Sent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent)
}

// Event returns an event as it is kept, or nil.
func (s *Server) Event(calendarID, eventID string) *calendar.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.calendar(calendarID).events[eventID]; e != nil {
		copied := *e.event
		return &copied
	}
	return nil
}

// notify sends a channel's message, and again where Google would.
func (s *Server) notify(c *Channel, state string) {
	s.mu.Lock()
	c.number++
	header := http.Header{
		"X-Goog-Channel-Id": {c.ID}, "X-Goog-Channel-Expiration": {c.ExpiresAt.UTC().Format(http.TimeFormat)},
		"X-Goog-Resource-Id": {c.ResourceID}, "X-Goog-Resource-Uri": {resourceURI(c.CalendarID)},
		"X-Goog-Resource-State": {state}, "X-Goog-Message-Number": {strconv.FormatInt(c.number, 10)},
	}
	if c.Token != "" {
		header.Set("X-Goog-Channel-Token", c.Token)
	}
	s.mu.Unlock()
	for attempt := range attempts {
		status := post(c.Address, header)
		s.mu.Lock()
		s.sent = append(s.sent, Sent{header, status})
		s.mu.Unlock()
		// https://developers.google.com/workspace/calendar/api/guides/push,
		// "Responding to notifications" (2026-11-25): after these, and no others.
		if status != http.StatusInternalServerError && status != http.StatusBadGateway && status != http.StatusServiceUnavailable && status != http.StatusGatewayTimeout {
			return
		}
		time.Sleep(pause << attempt)
	}
}

func post(address string, header http.Header) int {
	client := &http.Client{Timeout: deliveryTimeout}
	req, err := http.NewRequest(http.MethodPost, address, bytes.NewReader(nil)) //nolint:noctx // the client has a timeout, as Google has
	if err != nil {
		return 0
	}
	req.Header = header.Clone()
	resp, err := client.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}
