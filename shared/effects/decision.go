package effects

import (
	"encoding/json"
	"fmt"

	"ingestion.internal/shared/analysis"
	"ingestion.internal/shared/booking"
	"ingestion.internal/shared/speech"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/workflow"
)

// Input is what a stored request is decided by, but for where its address is,
// and its analysis. An error means that what is stored cannot be read.
func Input(request *store.Request) (workflow.Input, analysis.Analysis, error) {
	in := workflow.Input{SpamLikelihood: request.SpamLikelihood, PostalCode: request.PostalCode}
	var a analysis.Analysis
	if len(request.Transcription) > 0 {
		var transcript speech.Transcript
		if err := json.Unmarshal(request.Transcription, &transcript); err != nil {
			return in, a, fmt.Errorf("transcription_data: %w", err)
		}
		in.MissingContent = transcript.Missing()
	} else if request.CommunicationMode == store.ModePhoneCall {
		in.MissingContent = "the call was not recorded" // it began at its analysis
	}
	if request.CommunicationMode == store.ModeBooking && booking.StatusOf(request.Payload) == booking.Cancelled {
		in.Withdrawn = "the booking was cancelled"
	}
	if len(request.Analysis) > 0 {
		if err := json.Unmarshal(request.Analysis, &a); err != nil {
			return in, a, fmt.Errorf("ai_analysis: %w", err)
		}
		in.Communication, in.Intent = a.Communication.Type, a.Intent
	}
	return in, a, nil
}
