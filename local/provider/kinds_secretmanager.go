package provider

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	api "google.golang.org/api/secretmanager/v1"

	"ingestion.internal/local/cloud/secretmanager"
)

// secretKinds are Secret Manager's resources.
func secretKinds(secrets *secretmanager.Service) []Kind {
	secret := Kind{
		Type: "gcp:secretmanager/secret:Secret", Mode: Live,
		Required: []string{"replication", "secretId"},
		// A replica's key can change in place; the schema says so of no other
		// part of the replication.
		Replace:   []string{"project", "replication.auto", "replication.userManaged.replicas.location", "secretId"},
		Computed:  []string{"createTime", "name"},
		Normalize: inProject,
		Validate: func(in Object, unknown map[string]bool) []Failure {
			failures := validateLabels(in)
			if id := str(in, "secretId"); id != "" {
				failures = append(failures, failed("secretId", secretmanager.ValidateID(id))...)
			}
			if r := nested(in, "replication"); r != nil && !unknown["replication.auto"] && !unknown["replication.userManaged"] {
				user := nested(r, "userManaged")
				if (r["auto"] != nil) == (user != nil) {
					failures = append(failures, Failure{"replication", "is either auto or userManaged"})
				}
				if user != nil && !unknown["replication.userManaged.replicas"] && len(objects(user, "replicas")) == 0 {
					failures = append(failures, Failure{"replication.userManaged.replicas", "has at least one location"})
				}
			}
			return failures
		},
		ID: func(in Object) string { return "projects/" + str(in, "project") + "/secrets/" + str(in, "secretId") },
		Outputs: func(in Object) Object {
			annotations := nested(in, "annotations")
			if annotations == nil {
				annotations = Object{}
			}
			return withLabels(in, Object{"effectiveAnnotations": annotations})
		},
		Delete: func(_ context.Context, id string, _ Object) error {
			if err := secrets.Delete(base(id)); err != nil && !missing(err) {
				return err
			}
			return nil
		},
		Read: func(_ context.Context, id string, old Object) (Object, bool, error) {
			if _, err := secrets.Get(base(id)); err != nil {
				if missing(err) {
					return nil, false, nil
				}
				return nil, false, err
			}
			return old, true, nil
		},
	}
	secret.Create = func(_ context.Context, in Object) (string, Object, error) {
		want := api.Secret{Labels: stringMap(in, "labels"), Annotations: stringMap(in, "annotations"), Replication: &api.Replication{}}
		if r := nested(nested(in, "replication"), "userManaged"); r != nil {
			want.Replication.UserManaged = &api.UserManaged{}
			for _, replica := range objects(r, "replicas") {
				want.Replication.UserManaged.Replicas = append(want.Replication.UserManaged.Replicas, &api.Replica{Location: str(replica, "location")})
			}
		} else {
			want.Replication.Automatic = &api.Automatic{}
		}
		made, err := secrets.Create(str(in, "secretId"), want)
		if err != nil {
			return "", nil, err
		}
		out := secret.record(in)
		out["name"], out["createTime"] = made.Name, made.CreateTime
		return secret.ID(in), out, nil
	}
	secret.Update = func(_ context.Context, id string, old, in Object) (Object, error) {
		changed, err := secrets.Update(base(id), stringMap(in, "labels"), stringMap(in, "annotations"))
		if err != nil {
			return nil, err
		}
		out := secret.record(in)
		out["name"], out["createTime"] = changed.Name, changed.CreateTime
		return out, nil
	}

	// parts takes projects/P/secrets/S/versions/V apart.
	parts := func(full string) (id, version string) {
		return base(full[:max(0, len(full)-len("/versions/")-len(base(full)))]), base(full)
	}
	payload := func(in Object) ([]byte, error) {
		if boolean(in, "isSecretDataBase64") {
			return base64.StdEncoding.DecodeString(str(in, "secretData"))
		}
		return []byte(str(in, "secretData")), nil
	}
	// state brings a version to what the inputs say and returns its outputs.
	state := func(in Object, v api.SecretVersion) (Object, error) {
		id, n := parts(v.Name)
		turn := secrets.Enable
		if !boolean(in, "enabled") {
			turn = secrets.Disable
		}
		v, err := turn(id, n)
		if err != nil {
			return nil, err
		}
		out := clone(in)
		out["name"], out["version"], out["createTime"], out["destroyTime"] = v.Name, n, v.CreateTime, v.DestroyTime
		return out, nil
	}
	version := Kind{
		Type: "gcp:secretmanager/secretVersion:SecretVersion", Mode: Live,
		Required:    []string{"secret", "secretData"},
		Replace:     []string{"isSecretDataBase64", "secret", "secretData"},
		CreateFirst: true,
		Computed:    []string{"createTime", "destroyTime", "name", "version"},
		Normalize: func(_ Env, _ string, in Object) {
			setDefault(in, "enabled", true)
			setDefault(in, "deletionPolicy", "DELETE")
		},
		Validate: func(in Object, _ map[string]bool) []Failure {
			failures := oneOf(in, "deletionPolicy", "DELETE", "DISABLE", "ABANDON")
			if data, err := payload(in); err != nil {
				failures = append(failures, Failure{"secretData", "is not base64"})
			} else if in["secretData"] != nil && len(data) == 0 {
				failures = append(failures, Failure{"secretData", "is empty"})
			}
			return failures
		},
		Create: func(_ context.Context, in Object) (string, Object, error) {
			data, err := payload(in)
			if err != nil {
				return "", nil, errors.New("secretData is not base64")
			}
			v, err := secrets.AddVersion(base(str(in, "secret")), data)
			if err != nil {
				return "", nil, err
			}
			out, err := state(in, v)
			return v.Name, out, err
		},
		Update: func(_ context.Context, id string, _, in Object) (Object, error) {
			s, n := parts(id)
			v, err := secrets.Version(s, n)
			if err != nil {
				return nil, err
			}
			return state(in, v)
		},
		Delete: func(_ context.Context, id string, old Object) error {
			s, n := parts(id)
			v, err := secrets.Version(s, n)
			if missing(err) || err == nil && v.State == "DESTROYED" {
				return nil
			}
			switch str(old, "deletionPolicy") {
			case "ABANDON":
			case "DISABLE":
				_, err = secrets.Disable(s, n)
			default:
				_, err = secrets.Destroy(s, n)
			}
			if err != nil {
				return fmt.Errorf("deleting %s: %w", id, err)
			}
			return nil
		},
		Read: func(_ context.Context, id string, old Object) (Object, bool, error) {
			s, n := parts(id)
			v, err := secrets.Version(s, n)
			if missing(err) || err == nil && v.State == "DESTROYED" {
				return nil, false, nil
			}
			if err != nil {
				return nil, false, err
			}
			out := clone(old)
			out["enabled"] = v.State == "ENABLED"
			return out, true, nil
		},
	}
	return []Kind{secret, version}
}
