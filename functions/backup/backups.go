package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	database "cloud.google.com/go/spanner/admin/database/apiv1"
	"cloud.google.com/go/spanner/admin/database/apiv1/databasepb"
	"github.com/googleapis/gax-go/v2/apierror"
	"google.golang.org/api/iterator"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// callTimeout bounds one call: a backup's making is begun and not awaited.
const callTimeout = 30 * time.Second

// backups are those of one database.
type backups struct {
	admin *database.DatabaseAdminClient
	cfg   config
	now   func() time.Time
}

// backup is one that was begun.
type backup struct {
	name    string
	expires time.Time
	known   bool // an earlier attempt of this run had begun it
}

func (b *backups) instance() string {
	return "projects/" + b.cfg.Project + "/instances/" + b.cfg.Instance
}

func (b *backups) database() string { return b.instance() + "/databases/" + b.cfg.Database }

// create begins a backup. It is named by the hour, so that a retry of the
// scheduler meets what its first attempt made.
func (b *backups) create(ctx context.Context) (backup, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	now := b.now().UTC()
	id := backupID(b.cfg.Database, now)
	made := backup{name: b.instance() + "/backups/" + id, expires: now.Add(b.cfg.Retention)}
	_, err := b.admin.CreateBackup(ctx, &databasepb.CreateBackupRequest{
		Parent: b.instance(), BackupId: id,
		Backup: &databasepb.Backup{Database: b.database(), ExpireTime: timestamppb.New(made.expires)},
	})
	if api, ok := errors.AsType[*apierror.APIError](err); ok && api.HTTPCode() == http.StatusConflict {
		made.known, err = true, nil
	}
	if err != nil {
		return backup{}, fmt.Errorf("create %s: %w", made.name, err)
	}
	return made, nil
}

// backupID is a valid id of at most 60 characters, ordered by time: database
// ids have at most 30, of the same characters.
func backupID(database string, at time.Time) string {
	return strings.ReplaceAll(database, "-", "_") + at.Format("_20060102_15")
}

// newest returns the age of the newest complete backup besides the one given;
// found=false: there is none.
func (b *backups) newest(ctx context.Context, besides string) (age time.Duration, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	all := b.admin.ListBackups(ctx, &databasepb.ListBackupsRequest{
		Parent: b.instance(), Filter: fmt.Sprintf("database:%s AND state:READY", b.cfg.Database), PageSize: 1000,
	})
	for {
		next, err := all.Next()
		if err == iterator.Done { //nolint:errorlint // it is never wrapped
			return age, found, nil
		}
		if err != nil {
			return 0, false, fmt.Errorf("list backups of %s: %w", b.database(), err)
		}
		// The filter matches parts of names.
		if next.GetDatabase() != b.database() || next.GetState() != databasepb.Backup_READY || next.GetName() == besides {
			continue
		}
		if a := b.now().Sub(next.GetCreateTime().AsTime()); !found || a < age {
			age, found = a, true
		}
	}
}
