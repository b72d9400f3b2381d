package lambda

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"orderbridge/local/uuid"
)

// InvokePath is the beginning of every path of Lambda's Invoke API.
const InvokePath = "/2015-03-31/functions/"

// InvokeAPI returns the handler of Lambda's Invoke operation, so that any AWS
// client can invoke a function of the host: by its logical id, its name or its
// ARN. The invocation types RequestResponse (the default) and DryRun are served,
// of qualifiers $LATEST and the function's alias, and LogType=Tail with the last
// line of a process that did not start. Signatures are not verified, but must be there: a
// page in a browser cannot send them.
// (AWS Lambda API Reference, "Invoke".)
func (h *Host) InvokeAPI() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+InvokePath+"{name}/invocations", h.handleInvoke)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuseCall(w, http.StatusNotFound, "UnknownOperationException", fmt.Sprintf("this emulator does not support %s %s", r.Method, r.URL.Path))
	})
	return mux
}

func (h *Host) handleInvoke(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Amzn-Requestid", uuid.New())
	if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-") {
		refuseCall(w, http.StatusForbidden, "MissingAuthenticationTokenException", "Missing Authentication Token")
		return
	}
	name, ok := h.named(r.PathValue("name"), r.URL.Query().Get("Qualifier"))
	if !ok {
		refuseCall(w, http.StatusNotFound, "ResourceNotFoundException", "Function not found: "+r.PathValue("name"))
		return
	}
	event, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxPayload))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		refuseCall(w, http.StatusRequestEntityTooLarge, "RequestTooLargeException", fmt.Sprintf("Request must be smaller than %d bytes for the InvokeFunction operation", MaxPayload))
		return
	}
	if len(event) == 0 {
		event = []byte("{}")
	}
	kind := r.Header.Get("X-Amz-Invocation-Type")
	switch {
	case err != nil || !json.Valid(event):
		refuseCall(w, http.StatusBadRequest, "InvalidRequestContentException", "Could not parse request body into json")
		return
	case kind == "DryRun":
		w.WriteHeader(http.StatusNoContent)
		return
	case kind != "" && kind != "RequestResponse":
		refuseCall(w, http.StatusBadRequest, "InvalidParameterValueException", fmt.Sprintf("this emulator does not support the invocation type %q, only RequestResponse and DryRun", kind))
		return
	}
	answer, err := h.Invoke(r.Context(), name, event)
	var failed *Error
	switch {
	case errors.As(err, &failed):
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
		if answer = failed.Payload; !json.Valid(answer) {
			answer = errorBody(failed.Type, failed.Message)
		}
		if failed.Said != "" && r.Header.Get("X-Amz-Log-Type") == "Tail" {
			w.Header().Set("X-Amz-Log-Result", base64.StdEncoding.EncodeToString([]byte(failed.Said)))
		}
	case errors.Is(err, ErrThrottled):
		refuseCall(w, http.StatusTooManyRequests, "TooManyRequestsException", "Rate Exceeded.")
		return
	case err != nil:
		refuseCall(w, http.StatusInternalServerError, "ServiceException", err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amz-Executed-Version", latest)
	_, _ = w.Write(answer) // a client that went away is no error
}

const latest = "$LATEST"

// named finds the short name of the function that a caller means.
func (h *Host) named(name, qualifier string) (short string, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for short, f := range h.functions {
		for _, own := range []string{f.LogicalID, f.FullName, f.ARN} {
			asked, found := strings.CutPrefix(name, own)
			if !found || asked != "" && (asked[0] != ':' || qualifier != "") {
				continue
			}
			q := cmp.Or(strings.TrimPrefix(asked, ":"), qualifier, latest)
			return short, q == latest || q == f.Alias && f.Alias != ""
		}
	}
	return "", false
}

// refuseCall answers with an error of the service.
func refuseCall(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("X-Amzn-Errortype", kind)
	answer(w, status, map[string]string{"Type": "User", "Message": message})
}
