// Package gapitest is an identity and an IAM for tests of stand-ins: the
// bearer token is the caller's name, and a list says who may do what.
package gapitest

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"ingestion.internal/local/cloud"
)

// Identity takes the bearer token for the caller's principal. Only Caller
// works.
type Identity struct{ cloud.Identity }

// Caller returns the bearer token.
func (Identity) Caller(r *http.Request) (string, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" {
		return "", errors.New("no bearer token")
	}
	return token, nil
}

// AccessToken returns the account itself.
func (Identity) AccessToken(account string) (string, time.Duration) { return account, time.Hour }

// IAM maps a principal to the permissions that it holds on everything.
type IAM map[string][]string

// Check implements cloud.IAM.
func (m IAM) Check(_ context.Context, principal, permission string, res cloud.Resource) error {
	for _, p := range m[principal] {
		if p == permission {
			return nil
		}
	}
	return &cloud.Denied{Principal: principal, Permission: permission, Resource: res.Name, Role: "roles/test"}
}
