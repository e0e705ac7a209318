package callrail_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/local/standin/audio"
	"ingestion.internal/local/standin/callrail"
	"ingestion.internal/local/standin/fault"
)

const auth = `Token token="key-1"`

func newServer(t *testing.T, calls ...callrail.Call) (*callrail.Server, string) {
	t.Helper()
	s := callrail.New(callrail.Config{
		Authorize: func(account, key string) bool { return account == "ACC1" && key == "key-1" },
		Now:       func() time.Time { return time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC) },
	})
	for _, c := range calls {
		if err := s.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return s, srv.URL
}

// get follows redirects as a browser would.
func get(t *testing.T, url, authorization string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

func getJSON(t *testing.T, url string) map[string]any {
	t.Helper()
	resp, body := get(t, url, auth)
	if resp.StatusCode != 200 {
		t.Fatalf("GET %s: %s: %s", url, resp.Status, body)
	}
	var out map[string]any
	if err := json.Unmarshal(body, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestDetails(t *testing.T) {
	t.Parallel()
	_, url := newServer(t, callrail.Call{ID: "CAL1", Script: "kitchen-remodel", CustomerName: "Overridden", CompanyID: "155920786"})
	got := getJSON(t, url+"/v3/a/ACC1/calls/CAL1.json")
	want := map[string]any{
		"answered": true, "business_phone_number": nil, "customer_city": "Beverly Hills", "customer_country": "US",
		"customer_name": "Overridden", "customer_phone_number": "+13105550142", "customer_state": "CA",
		"direction": "inbound", "duration": 58., "id": "CAL1", "recording": url + "/v3/a/ACC1/calls/CAL1/recording.json",
		"recording_duration": 58., "start_time": "2026-11-22T10:00:00Z", "tracking_phone_number": "+14045550100", "voicemail": false,
		"recording_player": got["recording_player"],
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("details (-want +got):\n%s", diff)
	}
	more := getJSON(t, url+"/v3/a/ACC1/calls/CAL1.json?fields=zip_code,company_id,transcription")
	want["zip_code"], want["company_id"], want["transcription"] = nil, "155920786", nil
	if diff := cmp.Diff(want, more); diff != "" {
		t.Errorf("details with fields (-want +got):\n%s", diff)
	}
}

func TestRecording(t *testing.T) {
	t.Parallel()
	said := []audio.Turn{{Speaker: 1, Text: "Hello there."}}
	for _, tc := range []struct {
		name, id   string
		transcript func() audio.Transcript
		length     time.Duration
	}{
		{"registered_script", "CAL1", func() audio.Transcript {
			s, _ := audio.Script("spam-robocall")
			tr, _ := audio.Lay(s.Turns, 90*time.Second)
			return tr
		}, 90 * time.Second},
		{"registered_turns", "CAL2", func() audio.Transcript { tr, _ := audio.Lay(said, 0); return tr }, 2 * time.Second},
		{"nobody_registered_it", "766970532", func() audio.Transcript {
			tr, _ := audio.Lay(audio.Pick("766970532").Turns, 0)
			return tr
		}, 7 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, url := newServer(t,
				callrail.Call{ID: "CAL1", Script: "spam-robocall", DurationSeconds: 90},
				callrail.Call{ID: "CAL2", Turns: said})
			link := getJSON(t, url+"/v3/a/ACC1/calls/"+tc.id+"/recording.json")["url"].(string)
			resp, body := get(t, link, "")
			if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "audio/wav" {
				t.Fatalf("GET %s: %s, %s", link, resp.Status, resp.Header.Get("Content-Type"))
			}
			if resp.Request.URL.Path != "/audio/"+tc.id+".wav" {
				t.Errorf("the recording came from %s, want it behind a redirect", resp.Request.URL)
			}
			rec, err := audio.Decode(body)
			if err != nil {
				t.Fatal(err)
			}
			transcript := tc.transcript()
			want := audio.Recording{Length: tc.length, SampleRate: 8000, Channels: 1, Transcript: &transcript}
			if diff := cmp.Diff(want, rec); diff != "" {
				t.Errorf("recording (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	s, url := newServer(t,
		callrail.Call{ID: "GONE", Unknown: true},
		callrail.Call{ID: "OTHERS", AccountID: "ACC2"},
		callrail.Call{ID: "NOREC", Recording: callrail.RecordingMissing})
	for _, tc := range []struct {
		name, path, auth string
		status           int
		body             string
	}{
		{"no_key", "/v3/a/ACC1/calls/1.json", "", 401, `{"error":"HTTP Token: Access denied."}`},
		{"wrong_key", "/v3/a/ACC1/calls/1.json", `Token token="key-2"`, 401, `{"error":"HTTP Token: Access denied."}`},
		{"empty_key", "/v3/a/ACC1/calls/1.json", `Token token=""`, 401, `{"error":"HTTP Token: Access denied."}`},
		{"other_scheme", "/v3/a/ACC1/calls/1.json", `Bearer key-1`, 401, `{"error":"HTTP Token: Access denied."}`},
		{"key_of_another_account", "/v3/a/ACC2/calls/1.json", auth, 401, `{"error":"HTTP Token: Access denied."}`},
		{"recording_needs_key", "/v3/a/ACC1/calls/1/recording.json", "", 401, `{"error":"HTTP Token: Access denied."}`},
		{"unknown_call", "/v3/a/ACC1/calls/GONE.json", auth, 404, `{"error":"The call could not be found."}`},
		{"call_of_another_account", "/v3/a/ACC1/calls/OTHERS.json", auth, 404, `{"error":"The call could not be found."}`},
		{"no_recording", "/v3/a/ACC1/calls/NOREC/recording.json", auth, 404, `{"error":"The call has no recording."}`},
		{"recording_link_of_none", s.RecordingURL("", "NOREC"), "", 404, `{"error":"The recording could not be found."}`},
		{"forged_link", "/calls/1/recording/redirect?access_key=aaaa", "", 403, `{"error":"The access key is not valid for this recording."}`},
		{"forged_audio_link", "/audio/1.wav", "", 403, `{"error":"The access key is not valid for this recording."}`},
		{"unknown_field", "/v3/a/ACC1/calls/1.json?fields=shoe_size", auth, 400, `{"error":"\"shoe_size\" is not a field of a call"}`},
		{"unknown_route", "/v3/a/ACC1/users.json", auth, 404, `{"error":"not found"}`},
	} {
		resp, body := get(t, url+tc.path, tc.auth)
		if resp.StatusCode != tc.status || strings.TrimSpace(string(body)) != tc.body {
			t.Errorf("%s: %d %s, want %d %s", tc.name, resp.StatusCode, body, tc.status, tc.body)
		}
	}
}

func TestBadRecordings(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "elsewhere") }))
	t.Cleanup(elsewhere.Close)
	s, url := newServer(t,
		callrail.Call{ID: "ELSEWHERE", Recording: callrail.RecordingElsewhere, RedirectTo: elsewhere.URL},
		callrail.Call{ID: "HTML", Recording: callrail.RecordingNotAudio},
		callrail.Call{ID: "HUGE", Recording: callrail.RecordingHuge},
		callrail.Call{ID: "ENDLESS", Recording: callrail.RecordingEndless},
		callrail.Call{ID: "SLOW", Recording: callrail.RecordingSlow})

	if _, body := get(t, s.RecordingURL(url, "ELSEWHERE"), ""); string(body) != "elsewhere" {
		t.Errorf("ELSEWHERE: body %q, want that of the other server", body)
	}
	if resp, _ := get(t, s.RecordingURL(url, "HTML"), ""); resp.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("HTML: content type %q", resp.Header.Get("Content-Type"))
	}
	// The others never end: look at the start, then leave.
	for _, tc := range []struct {
		id     string
		length int64
		enough int64 // bytes that come
	}{
		{"HUGE", 3 << 30, 1 << 20},
		{"ENDLESS", -1, 1 << 20},
		{"SLOW", 0, 1024},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, "GET", s.RecordingURL(url, tc.id), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if tc.id != "SLOW" && resp.ContentLength != tc.length {
			t.Errorf("%s: declared length %d, want %d", tc.id, resp.ContentLength, tc.length)
		}
		if _, err := io.CopyN(io.Discard, resp.Body, tc.enough); err != nil {
			t.Errorf("%s: reading the first %d bytes: %v", tc.id, tc.enough, err)
		}
		cancel()
		if _, err := io.Copy(io.Discard, resp.Body); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: reading on = %v, want only the cancellation to end it", tc.id, err)
		}
		resp.Body.Close()
	}
}

func TestRateLimitHasNoRetryAfter(t *testing.T) {
	t.Parallel()
	s, url := newServer(t)
	if err := s.Faults.Set(fault.Fault{Mode: fault.RateLimit, Count: 1}); err != nil {
		t.Fatal(err)
	}
	resp, _ := get(t, url+"/v3/a/ACC1/calls/1.json", auth)
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "" {
		t.Errorf("%s, Retry-After %q", resp.Status, resp.Header.Get("Retry-After"))
	}
}

func TestAdminRegisters(t *testing.T) {
	t.Parallel()
	_, url := newServer(t)
	post := func(body string) (int, string) {
		resp, err := http.Post(url+"/_admin/calls", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, strings.TrimSpace(string(b))
	}
	status, body := post(`{"id":"CAL9","script":"just-looking","customerName":"Sam"}`)
	var link struct{ Recording string }
	if err := json.Unmarshal([]byte(body), &link); err != nil || status != 201 {
		t.Fatalf("%d %s", status, body)
	}
	if resp, _ := get(t, link.Recording, ""); resp.StatusCode != 200 {
		t.Errorf("recording of the registered call: %s", resp.Status)
	}
	if got := getJSON(t, url+"/v3/a/ACC1/calls/CAL9.json")["customer_name"]; got != "Sam" {
		t.Errorf("customer_name = %v, want Sam", got)
	}
	status, body = post(`{"id":"a/b","script":"opera","recording":"loud","redirectTo":"x","durationSeconds":-1}`)
	for _, mistake := range []string{"id ", "opera", "loud", "redirectTo", "durationSeconds"} {
		if status != 400 || !strings.Contains(body, mistake) {
			t.Errorf("%d %s: want 400 that names %q", status, body, mistake)
		}
	}
}

func TestSign(t *testing.T) {
	t.Parallel()
	// RFC 2202, HMAC-SHA1 test case 2, in base64.
	if got, want := callrail.Sign("Jefe", []byte("what do ya want for nothing?")), "7/zfauXrL6LSdBbV8YTfnCWafHk="; got != want {
		t.Errorf("Sign = %s, want %s", got, want)
	}
}

func TestSamplePayload(t *testing.T) {
	t.Parallel()
	sample, err := audio.Script("kitchen-remodel")
	if err != nil {
		t.Fatal(err)
	}
	body, err := callrail.SamplePayload(callrail.SampleCall{
		ID: "4711", CompanyID: "155920786", CompanyName: "Sample", TrackingPhone: "+14045550100",
		Recording: "http://127.0.0.1/x", Sample: sample, At: time.Date(2026, 11, 22, 10, 0, 0, 5e6, time.FixedZone("", -5*3600)),
	})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	// The types are those that CallRail sends: ids as numbers, duration as text.
	for name, want := range map[string]any{
		"id": 4711., "resource_id": "CAL4711", "company_id": 155920786., "duration": "58", "recording_duration": 58.,
		"timestamp": "2026-11-22T10:00:00.005-05:00", "datetime": "2026-11-22 15:00:00", "transcription": nil,
		"value": "", "tags": []any{}, "voicemail": false, "customer_phone_number": "+13105550142", "recording": "http://127.0.0.1/x",
	} {
		if diff := cmp.Diff(want, got[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if _, ok := got["company_resource_id"]; ok {
		t.Error("company_resource_id is sent, though the call has none")
	}
	body, err = callrail.SamplePayload(callrail.SampleCall{ID: "CALabc", CompanyID: "1", CompanyResourceID: "COM1", Sample: sample})
	if err != nil || !strings.Contains(string(body), `"id":"CALabc"`) || !strings.Contains(string(body), `"company_resource_id":"COM1"`) {
		t.Errorf("payload of a call with resource ids: %s, %v", body, err)
	}
}

// TestMedia: a picture of a text is one, and its message's own.
func TestMedia(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(callrail.New(callrail.Config{}))
	t.Cleanup(server.Close)
	seen := map[string]string{}
	for id, want := range map[string]int{"MSG1": 200, "MSG2": 200, "a.b": 404} {
		response, err := http.Get(callrail.MediaURL(server.URL, id))
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != want {
			t.Errorf("%s: %d, %v", id, response.StatusCode, err)
		}
		if want != http.StatusOK {
			continue
		}
		if _, err := png.Decode(bytes.NewReader(data)); err != nil {
			t.Errorf("%s: %v", id, err)
		}
		if other, ok := seen[string(data)]; ok {
			t.Errorf("%s has the picture of %s", id, other)
		}
		seen[string(data)] = id
	}
}
