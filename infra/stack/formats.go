package stack

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/robfig/cron/v3"
)

// Formats of values that Google's APIs check only in the middle of an update.
var (
	// https://cloud.google.com/resource-manager/docs/creating-managing-projects;
	// projects of a domain are named example.com:id.
	projectID = regexp.MustCompile(`^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$`)
	// us-central1, northamerica-northeast2
	regionName = regexp.MustCompile(`^[a-z]+-[a-z]+[0-9]{1,2}$`)
	// en-US, es-419, cmn-Hans-CN
	languageTag = regexp.MustCompile(`^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?$`)

	cronFields = regexp.MustCompile(`^([0-9A-Za-z*/,-]+ ){4}[0-9A-Za-z*/,-]+$`)
	cronParser = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
)

// checkCron says what is wrong with a time table of Cloud Scheduler.
// https://cloud.google.com/scheduler/docs/configuring/cron-job-schedules
func checkCron(table string) error {
	if !cronFields.MatchString(table) {
		return fmt.Errorf("must be five fields of unix cron, such as */5 * * * *, not %q", table)
	}
	schedule, err := cronParser.Parse(table)
	if err != nil {
		return fmt.Errorf("must be unix cron: %w", err)
	}
	// The parser looks five years ahead, which includes a 29 February.
	if schedule.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return fmt.Errorf("must name a time that comes, not %q", table)
	}
	return nil
}

// checkBucket says what is wrong with a bucket's name.
// https://cloud.google.com/storage/docs/buckets#naming
func checkBucket(bucket string) error {
	switch {
	case !bucketName.MatchString(bucket):
		return fmt.Errorf("must be a bucket name (3-63 of a-z, 0-9, -, _, .), not %q", bucket)
	case strings.HasPrefix(bucket, "goog"), strings.Contains(bucket, "google"):
		return fmt.Errorf("must not begin with goog nor contain google, as %q does", bucket)
	case strings.Contains(bucket, ".."), strings.Contains(bucket, ".-"), strings.Contains(bucket, "-."):
		return fmt.Errorf("must have a letter or digit on both sides of each dot, unlike %q", bucket)
	}
	return nil
}

// checkURL says what is wrong with the address of an API.
func checkURL(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("must be a URL such as https://host, not %q", address)
	}
	return nil
}

// checkBase says what is wrong with a base image: without a digest, what is
// deployed could change though nothing here does.
func checkBase(image string) error {
	if _, err := name.NewDigest(image); err != nil {
		return fmt.Errorf("must be an image by digest, such as gcr.io/distroless/static@sha256:..., not %q", image)
	}
	return nil
}
