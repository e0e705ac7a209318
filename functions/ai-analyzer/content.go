package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"ingestion.internal/shared/analysis"
	"ingestion.internal/shared/documents"
	"ingestion.internal/shared/speech"
	"ingestion.internal/shared/store"
)

// contentOf is what the model is shown of a request.
func contentOf(request *store.Request) (analysis.Kind, analysis.Content, error) {
	switch request.CommunicationMode {
	case store.ModePhoneCall:
		content, err := callContent(request)
		return analysis.Call, content, err
	case store.ModeChat:
		return analysis.Chat, messages(request), nil
	case store.ModeText:
		return analysis.Text, messages(request), nil
	case store.ModeBooking:
		return analysis.Booking, analysis.Content{Fields: request.Payload}, nil
	}
	content := analysis.Content{Fields: request.Payload} // every field as it was sent
	reading, err := documents.Parse(request.Documents)
	if err != nil {
		return analysis.Form, content, err
	}
	content.Documents = shown(reading)
	return analysis.Form, content, nil
}

// shown is what the model is shown of a form's documents.
func shown(reading *documents.Reading) []analysis.Document {
	var all []analysis.Document
	for _, d := range reading.Read() {
		document := analysis.Document{Name: d.Name, Text: d.Text}
		for _, f := range d.Fields {
			document.Fields = append(document.Fields, analysis.Field(f))
		}
		all = append(all, document)
	}
	return all
}

func callContent(request *store.Request) (analysis.Content, error) {
	var transcript speech.Transcript
	if len(request.Transcription) > 0 {
		if err := json.Unmarshal(request.Transcription, &transcript); err != nil {
			return analysis.Content{}, fmt.Errorf("transcription_data: %w", err)
		}
	}
	content := analysis.Content{Details: known(request), Missing: transcript.Missing()}
	maps.Copy(content.Details, webhookDetails(request.Payload))
	maps.Copy(content.Details, transcript.CallDetails)
	for _, t := range transcript.Turns {
		content.Turns = append(content.Turns, analysis.Turn{Speaker: t.Speaker, Text: t.Text})
	}
	if len(content.Turns) == 0 && transcript.Text != "" {
		content.Turns = []analysis.Turn{{Text: transcript.Text}}
	}
	if text := webhookTranscript(request.Payload); len(content.Turns) == 0 && text != "" {
		content.Turns, content.Missing = []analysis.Turn{{Text: text}}, ""
	}
	return content, nil
}

// known are the details that the request's own columns have.
func known(request *store.Request) map[string]string {
	details := map[string]string{}
	for name, value := range map[string]string{
		"customer_name":         request.CustomerName,
		"customer_phone_number": request.CustomerPhone,
		"customer_email":        request.CustomerEmail,
	} {
		if value != "" {
			details[name] = value
		}
	}
	return details
}

// webhookDetails picks what helps to judge a call out of the webhook's payload:
// all there is where CallRail's API was not asked.
func webhookDetails(payload json.RawMessage) map[string]string {
	var fields map[string]any
	if json.Unmarshal(payload, &fields) != nil {
		return nil
	}
	details := map[string]string{}
	for _, name := range []string{"call_type", "customer_city", "customer_country", "customer_state", "direction", "duration", "note", "source_name", "start_time"} {
		if value, ok := fields[name].(string); ok && value != "" {
			details[name] = value
		}
	}
	return details
}

// webhookTranscript is the text that CallRail itself made of a call, "" for
// most: its customers pay for it.
func webhookTranscript(payload json.RawMessage) string {
	var fields struct {
		Transcription string `json:"transcription"`
	}
	_ = json.Unmarshal(payload, &fields) // of another shape: none
	return strings.TrimSpace(fields.Transcription)
}

// messages reads a conversation whose payload is
//
//	{"messages": [{"from": "visitor", "text": "..."}, ...], "page": "...", ...}
//
// or one text message of CallRail, {"content": "...", ...}. Other texts of the
// payload are details. A payload of another shape is shown as it is.
func messages(request *store.Request) analysis.Content {
	var payload struct {
		Messages []struct {
			From    string   `json:"from"`
			Text    string   `json:"text"`
			Content string   `json:"content"`
			Media   []string `json:"media"`
		} `json:"messages"`
		Content string `json:"content"`
	}
	if err := json.Unmarshal(request.Payload, &payload); err != nil || len(payload.Messages) == 0 && payload.Content == "" {
		return analysis.Content{Fields: request.Payload}
	}
	content := analysis.Content{Details: known(request)}
	var all map[string]any
	if json.Unmarshal(request.Payload, &all) == nil {
		for name, value := range all {
			if text, ok := value.(string); ok && text != "" && name != "content" && name != "tenant_id" {
				content.Details[name] = text
			}
		}
	}
	for _, m := range payload.Messages {
		text := cmp.Or(m.Text, m.Content)
		if text == "" && len(m.Media) > 0 {
			text = "(a picture)" // which the model is not shown
		}
		if text != "" {
			content.Turns = append(content.Turns, analysis.Turn{Speaker: m.From, Text: text})
		}
	}
	if payload.Content != "" {
		content.Turns = append(content.Turns, analysis.Turn{Speaker: "customer", Text: payload.Content})
	}
	return content
}
