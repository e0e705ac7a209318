package main

import (
	"encoding/json"
	"fmt"

	"ingestion.internal/shared/callrail"
	"ingestion.internal/shared/form"
	"ingestion.internal/shared/intake"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/workflow"
)

// subject returns the id of the request that an event is about, and its
// communication mode: there is one for each call, for each conversation by text
// message, and for each submission of a form.
func subject(tenantID string, e *callrail.Event) (requestID, mode string) {
	switch {
	case e.Kind.IsText():
		return store.RequestID(tenantID, store.SourceCallRail, "conversation/"+e.ConversationID), store.ModeText
	case e.Kind == callrail.FormSubmission:
		return store.RequestID(tenantID, store.SourceCallRail, "form/"+e.FormID), store.ModeForm
	}
	return store.RequestID(tenantID, store.SourceCallRail, e.CallID), store.ModePhoneCall
}

// fold returns how the office's requests follow from CallRail's events. lets has
// the names by which the tenant's forms call things.
func fold(office *store.Office, lets intake.Config) store.Fold {
	return func(current *store.Request, events []store.Event) (store.Revision, error) {
		parsed := make([]callrail.Event, len(events))
		for i, e := range events {
			if len(e.Payload) == 0 && current != nil { // from before events kept their payload
				e.Type, e.Payload = string(callrail.PostCall), current.Payload
			}
			p, err := callrail.Parse(callrail.Kind(e.Type), e.Payload)
			if err != nil {
				return store.Revision{}, fmt.Errorf("event %s: %w", e.ID, err)
			}
			parsed[i] = *p
		}
		// The new event is the last; whether its request was begun before is
		// told by the others.
		switch kind := parsed[len(parsed)-1].Kind; {
		case kind.IsText():
			return foldTexts(office, parsed)
		case kind == callrail.FormSubmission:
			return foldForm(office, lets, parsed)
		}
		return foldCall(office, current, parsed)
	}
}

// foldCall begins a call's stages once it is over: the audio where a recording
// is to be had, else the analysis. After that a new recording begins the audio
// again, and what the call is judged by the analysis. A call that the company
// made is kept for its customer's history, and nothing follows from it.
func foldCall(office *store.Office, current *store.Request, events []callrail.Event) (store.Revision, error) {
	call, err := callrail.FoldCall(events)
	if err != nil {
		return store.Revision{}, err
	}
	revision := store.Revision{Request: store.Request{
		TenantID:          office.TenantID,
		OfficeID:          office.OfficeID,
		Source:            store.SourceCallRail,
		CommunicationMode: store.ModePhoneCall,
		CallID:            events[0].CallID,
		RecordingURL:      call.RecordingURL,
		CustomerName:      call.CustomerName,
		CustomerPhone:     call.CustomerPhone,
		Payload:           call.Payload,
	}}
	begin := topology.AIAnalysis
	if call.HasRecording() {
		begin = topology.AudioProcessing
	}
	begun := false
	if current != nil {
		before, err := callrail.FoldCall(events[:len(events)-1])
		if err != nil {
			return store.Revision{}, err
		}
		begun = before.Ended
		if begun && callrail.SameRecording(before.RecordingURL, call.RecordingURL) && before.HasRecording() == call.HasRecording() {
			begin = ""
			if !callrail.SameCall(before.Payload, call.Payload) {
				begin = topology.AIAnalysis
			}
		}
	}
	switch {
	case call.Outbound:
		revision.Decision, revision.Reasons = string(workflow.Recorded), []string{"the company made this call"}
	case call.Ended:
		revision.Begin = begin
	}
	return revision, nil
}

// foldTexts has a conversation analysed, once the customer has written, with
// every message that is new, and its pictures fetched before.
func foldTexts(office *store.Office, events []callrail.Event) (store.Revision, error) {
	conversation, err := callrail.FoldTexts(events)
	if err != nil {
		return store.Revision{}, err
	}
	before, err := callrail.FoldTexts(events[:len(events)-1])
	if err != nil {
		return store.Revision{}, err
	}
	payload, err := json.Marshal(conversation)
	if err != nil {
		return store.Revision{}, fmt.Errorf("conversation: %w", err)
	}
	revision := store.Revision{Request: store.Request{
		TenantID:          office.TenantID,
		OfficeID:          office.OfficeID,
		Source:            store.SourceCallRail,
		CommunicationMode: store.ModeText,
		CustomerPhone:     conversation.CustomerPhone,
		Payload:           payload,
	}}
	switch {
	case !conversation.HasCustomer():
		revision.Decision, revision.Reasons = string(workflow.Recorded), []string{"the customer has not written"}
	case len(conversation.Pictures()) > len(before.Pictures()):
		revision.Begin = topology.AudioProcessing // which fetches what CallRail has
	case len(conversation.Messages) > len(before.Messages):
		revision.Begin = topology.AIAnalysis
	}
	return revision, nil
}

// foldForm has a form analysed, and once more if it is told of again with other
// answers. Nobody is there to correct it: CallRail sends no form twice, so what
// is not an address or a telephone number stays among its fields, and its lead
// is taken in.
func foldForm(office *store.Office, lets intake.Config, events []callrail.Event) (store.Revision, error) {
	sent, err := callrail.FoldForm(events)
	if err != nil {
		return store.Revision{}, err
	}
	customer := form.ReadContact(sent.Fields, lets)
	revision := store.Revision{Begin: topology.AIAnalysis, Request: store.Request{
		TenantID:          office.TenantID,
		OfficeID:          office.OfficeID,
		Source:            store.SourceCallRail,
		CommunicationMode: store.ModeForm,
		CustomerName:      customer.Name,
		CustomerPhone:     customer.Phone,
		CustomerEmail:     customer.Email,
		PostalCode:        customer.PostalCode,
		Payload:           sent.Payload,
	}}
	if len(events) > 1 {
		before, err := callrail.FoldForm(events[:len(events)-1])
		if err != nil {
			return store.Revision{}, err
		}
		if callrail.SameForm(before.Payload, sent.Payload) {
			revision.Begin = ""
		}
	}
	return revision, nil
}
