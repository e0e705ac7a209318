// Package fault tells errors that a retry may mend from those that none can.
// An unmarked error is worth a retry.
package fault

import "errors"

type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent marks err: repeating what led to it leads to it again. The message
// stays as it is. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanent{err}
}

// IsPermanent reports whether err or an error that it wraps is marked.
func IsPermanent(err error) bool {
	var p permanent
	return errors.As(err, &p)
}

// HTTPStatus marks err, the account of an answer with this status code, as
// permanent unless the status is one of those that pass: 408, 429 and 5xx.
func HTTPStatus(code int, err error) error {
	if code == 408 || code == 429 || code >= 500 {
		return err
	}
	return Permanent(err)
}
