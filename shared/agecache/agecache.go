// Package agecache keeps what was looked up for a bounded time, and looks up
// each key once however many callers ask for it at the same moment.
package agecache

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// NegativeAge bounds how long a definite "no" is kept: long enough that a
// burst for one unknown key is one look-up, short enough that what is added
// is soon seen.
const NegativeAge = 2 * time.Second

const (
	loadTimeout = 10 * time.Second
	maxEntries  = 10_000
)

// Cache keeps values by key.
type Cache[V any] struct {
	maxAge   time.Duration
	negative func(error) bool
	now      func() time.Time
	flight   singleflight.Group

	mu      sync.Mutex
	entries map[string]entry[V]
}

type entry[V any] struct {
	value   V
	err     error
	expires time.Time
}

// New returns a cache of values up to maxAge old. Errors that negative tells
// to be definite answers are kept for NegativeAge, others not at all. The
// clock is time.Now outside of tests.
func New[V any](maxAge time.Duration, negative func(error) bool, now func() time.Time) *Cache[V] {
	return &Cache[V]{maxAge: maxAge, negative: negative, now: now, entries: map[string]entry[V]{}}
}

// Get returns the key's value, from load where it is not kept. The load is
// shared, so it does not end with the context of the caller who began it.
func (c *Cache[V]) Get(ctx context.Context, key string, load func(context.Context) (V, error)) (V, error) {
	if e, ok := c.kept(key); ok {
		return e.value, e.err
	}
	flight := c.flight.DoChan(key, func() (any, error) {
		if e, ok := c.kept(key); ok { // another flight has just landed
			return e, nil
		}
		loadCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		value, err := load(loadCtx)
		e := entry[V]{value: value, err: err}
		c.keep(key, e)
		return e, nil
	})
	select {
	case <-ctx.Done():
		var zero V
		return zero, context.Cause(ctx)
	case r := <-flight:
		e := r.Val.(entry[V]) // the function above returns nothing else
		return e.value, e.err
	}
}

func (c *Cache[V]) kept(key string) (entry[V], bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if !ok || !c.now().Before(e.expires) {
		return entry[V]{}, false
	}
	return e, true
}

func (c *Cache[V]) keep(key string, e entry[V]) {
	age := c.maxAge
	if e.err != nil {
		if !c.negative(e.err) {
			return
		}
		age = min(age, NegativeAge)
	}
	e.expires = c.now().Add(age)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) >= maxEntries {
		clear(c.entries) // keys of callers' choosing must not fill the memory
	}
	c.entries[key] = e
}
