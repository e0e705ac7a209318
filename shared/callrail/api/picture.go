package api

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"ingestion.internal/shared/fault"
)

// Picture fetches a picture of a text message, of at most the number of bytes,
// from an address that is as untrusted as a recording's and is followed as one.
// Whether it is a picture is for the caller to see.
//
// CallRail says of these addresses that they are short-lived
// (apidocs.callrail.com, webhook Text Message Received); which host serves them
// and whether it wants the key is unconfirmed. The key is shown to the API's own
// host only.
func (c *Client) Picture(ctx context.Context, address, key string, most int64) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.CallTimeout,
		fmt.Errorf("not fetched within %s: %w", c.cfg.CallTimeout, context.DeadlineExceeded))
	defer cancel()
	data, err := follow(ctx, c, address, key, "image/*", func(resp *http.Response) (*[]byte, string, error) {
		if next, err := redirect(resp); next != "" || err != nil {
			return nil, next, err
		}
		defer resp.Body.Close()
		tooLarge := fault.Permanent(fmt.Errorf("larger than the largest picture that is fetched (%d bytes)", most))
		if resp.ContentLength > most {
			return nil, "", tooLarge
		}
		data, err := io.ReadAll(&limitedReader{r: resp.Body, left: most, err: tooLarge})
		return &data, "", err
	})
	if err != nil {
		return nil, fmt.Errorf("picture: %w", err)
	}
	return *data, nil
}
