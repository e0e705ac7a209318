package stack

import (
	"errors"
	"regexp"
	"testing"
)

func TestFormats(t *testing.T) {
	for name, tt := range map[string]struct {
		check func(string) error
		value string
		ok    bool
	}{
		"every minute":        {checkCron, "* * * * *", true},
		"steps, lists, names": {checkCron, "*/15 8-18 1,15 JAN-JUN MON-FRI", true},
		"leap day":            {checkCron, "0 0 29 2 *", true},
		"minute 60":           {checkCron, "60 * * * *", false},
		"hour 24":             {checkCron, "0 24 * * *", false},
		"day 0":               {checkCron, "0 0 0 * *", false},
		"month 13":            {checkCron, "0 0 1 13 *", false},
		"backwards":           {checkCron, "0 18-8 * * *", false},
		"six fields":          {checkCron, "0 0 0 * * *", false},
		"a zone of its own":   {checkCron, "TZ=UTC 0 0 * * *", false},
		"30 February":         {checkCron, "0 0 30 2 *", false},
		"word":                {checkCron, "@hourly", false},

		"bucket":             {checkBucket, "audio-files.example", true},
		"short bucket":       {checkBucket, "ab", false},
		"upper case":         {checkBucket, "Audio", false},
		"goog":               {checkBucket, "goog-audio", false},
		"google inside":      {checkBucket, "my-google-audio", false},
		"two dots":           {checkBucket, "a..b", false},
		"dash before a dot":  {checkBucket, "a-.b", false},
		"address":            {checkURL, "http://127.0.0.1:8080/storage", true},
		"host only":          {checkURL, "speech.googleapis.com:443", false},
		"another scheme":     {checkURL, "ftp://host", false},
		"query":              {checkURL, "https://host?x=1", false},
		"base by digest":     {checkBase, "gcr.io/distroless/static@sha256:0000000000000000000000000000000000000000000000000000000000000000", true},
		"base by tag":        {checkBase, "gcr.io/distroless/static:nonroot", false},
		"digest cut short":   {checkBase, "gcr.io/distroless/static@sha256:00", false},
		"project":            {full(projectID), "account-strategy-464106", true},
		"project of domain":  {full(projectID), "example.com:my-project", true},
		"short project":      {full(projectID), "abc", false},
		"region":             {full(regionName), "northamerica-northeast1", true},
		"zone":               {full(regionName), "us-central1-a", false},
		"language":           {full(languageTag), "cmn-Hans-CN", true},
		"language in digits": {full(languageTag), "es-419", true},
		"lower case region":  {full(languageTag), "en-us", false},
	} {
		if err := tt.check(tt.value); (err == nil) != tt.ok {
			t.Errorf("%s: %q: %v, want right %t", name, tt.value, err, tt.ok)
		}
	}
}

func full(format *regexp.Regexp) func(string) error {
	return func(s string) error {
		if !format.MatchString(s) {
			return errors.New("does not match")
		}
		return nil
	}
}
