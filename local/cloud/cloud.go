// Package cloud is the core of the local Google Cloud: the contracts that its
// services share. Each service lives in a package below this one and offers
// the Google API's own operations on the API's own resource shapes; nothing
// here knows Pulumi. The front doors (package provider today, the REST control
// plane later) call them.
package cloud

import (
	"context"
	"net/http"
	"time"
)

// Resource is what an IAM check is about. Name is the API's full resource name
// without the leading service, in the form that the service shows to IAM
// conditions as resource.name.
type Resource struct {
	Service string // secretmanager.googleapis.com
	Type    string // secretmanager.googleapis.com/SecretVersion
	Name    string // projects/123/secrets/s/versions/1
}

// IAM decides by the grants that were recorded. Local services ask it before
// they act for a handler, exactly as the cloud would.
type IAM interface {
	// Check returns nil if principal ("serviceAccount:x@y" ...) holds
	// permission on the resource through a grant on it, a parent or the
	// project, conditions included. Otherwise it returns a *Denied that names
	// a predefined role which would allow it.
	Check(ctx context.Context, principal, permission string, res Resource) error
}

// Identity issues and reads the tokens that stand for service accounts.
type Identity interface {
	// AccessToken returns an OAuth access token for the account and its life.
	AccessToken(serviceAccountEmail string) (token string, life time.Duration)
	// IDToken returns a signed OIDC token of the account for one audience.
	IDToken(serviceAccountEmail, audience string) (string, error)
	// Caller returns the principal of the access token a request bears.
	Caller(r *http.Request) (principal string, err error)
	// VerifyIDToken checks signature, expiry and audience (any of those
	// given) and returns the principal.
	VerifyIDToken(token string, audiences ...string) (principal string, err error)
}

// Secrets reads secret values on behalf of a principal; Cloud Run uses it for
// environment variables that refer to secrets.
type Secrets interface {
	// AccessSecret returns the payload of projects/P/secrets/S/versions/V.
	AccessSecret(ctx context.Context, principal, version string) ([]byte, error)
}

// Denied is a refused IAM check.
type Denied struct {
	Principal, Permission, Resource string
	Role                            string // the predefined role that the program should grant
}

// Error implements error in words that tell the reader which grant is missing.
func (d *Denied) Error() string {
	return d.Principal + " lacks " + d.Permission + " on " + d.Resource +
		" (grant " + d.Role + " to it in infra/stack)"
}
