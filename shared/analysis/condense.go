package analysis

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"ingestion.internal/shared/fault"
)

const (
	// PartRunes is the most that one request is sent, in characters. It is
	// about 15,000 tokens and an hour of speech: far inside the window of
	// every current model, and short enough to be read with care.
	PartRunes = 60_000

	// MaxParts bounds what one content costs: that many requests that shorten
	// a part, and one that describes the whole. Of what is longer, the middle
	// is left out, because people say what they want at the start and what was
	// agreed at the end.
	MaxParts = 8

	// minPartRunes is where parts are not made smaller any more for a model
	// that refuses their length.
	minPartRunes = 3_000

	condenseAtOnce = 4 // requests
)

// Condensed says how a content that is too long for one request was read.
type Condensed struct {
	Parts         int    `json:"parts"`
	PromptVersion string `json:"prompt_version"`
	SchemaVersion string `json:"schema_version"`
	Excerpts      int    `json:"excerpts"`
	// Unfounded counts excerpts that are not in the content, which were left
	// out; Unread the parts that the model did not shorten as it should, of
	// which the beginning was taken.
	Unfounded int `json:"unfounded,omitempty"`
	Unread    int `json:"unread,omitempty"`
}

// ContentCut says how much of a very long content was read at all.
type ContentCut struct {
	Runes int `json:"characters"`
	Kept  int `json:"kept"`
}

// bound leaves out the middle of more than max parts.
func bound(all [][]Turn, limit int) ([][]Turn, *ContentCut) {
	if len(all) <= limit {
		return all, nil
	}
	head := (limit + 1) / 2
	kept := append(append([][]Turn{}, all[:head]...), all[len(all)-(limit-head):]...)
	return kept, &ContentCut{Runes: runes(all...), Kept: runes(kept...)}
}

func runes(groups ...[]Turn) int {
	n := 0
	for _, group := range groups {
		for _, t := range group {
			n += len([]rune(t.Text))
		}
	}
	return n
}

// condense returns the content in at most limit characters, about: what does
// not fit is cut into parts, and verbatim excerpts of each take its place.
// What the model gives that is not in the part is dropped, so nothing new gets
// in on this way.
func (a *Analyzer) condense(ctx context.Context, out *Analysis, content Content, limit int) (Content, error) {
	all := parts(content.texts(), limit)
	if len(all) <= 1 {
		return content, nil
	}
	all, out.ContentCut = bound(all, MaxParts)
	out.Condensed = &Condensed{Parts: len(all), PromptVersion: condensing.promptVersion, SchemaVersion: condensing.schemaVersion}

	excerpts := make([][]Turn, len(all))
	var mu sync.Mutex // over out
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(condenseAtOnce)
	for i, part := range all {
		group.Go(func() error {
			var answer struct {
				Excerpts []Turn `json:"excerpts"`
			}
			text, _ := Content{Turns: part}.render()
			use, err := a.ask(groupCtx, out.Model, condensing, condensing.schema, text, &answer)
			mu.Lock()
			defer mu.Unlock()
			out.add(use)
			if fault.IsPermanent(err) && !isTooLong(err) {
				// The rest of the conversation is worth more than the part.
				out.Condensed.Unread++
				answer.Excerpts = part
			} else if err != nil {
				return err
			}
			excerpts[i] = a.choose(out, part, answer.Excerpts, limit/len(all))
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return Content{}, err
	}
	content.condensed, content.Turns = true, nil
	for _, part := range excerpts {
		content.Turns = append(content.Turns, part...)
	}
	return content, nil
}

// choose returns the excerpts that are in the part, within room characters.
func (*Analyzer) choose(out *Analysis, part, excerpts []Turn, room int) []Turn {
	words := newEvidence(Content{Turns: part}.words())
	var kept []Turn
	for _, t := range excerpts {
		if !words.has(t.Text) {
			out.Condensed.Unfounded++
			continue
		}
		if t.size() > room {
			left := room - Turn{Speaker: t.Speaker}.size()
			if left < 2 { // a character and the ellipsis
				break
			}
			t.Text = clipRunes(t.Text, left)
		}
		room -= t.size()
		kept = append(kept, t)
		out.Condensed.Excerpts++
		if room <= 0 {
			break
		}
	}
	return kept
}
