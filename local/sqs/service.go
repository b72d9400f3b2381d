package sqs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"orderbridge/local/uuid"
)

// Limits of the service (SQS Developer Guide, "Quotas related to messages").
const (
	maxMessage = 1 << 20 // bytes of a message, and of a batch
	maxBatch   = 10
)

// fault is an error of the service.
type fault struct {
	kind  string // shape name, such as QueueDoesNotExist
	query string // its code in the older protocol, which SDKs still look at
	text  string
}

func (f *fault) Error() string { return f.kind + ": " + f.text }

func invalid(text string) error {
	return &fault{"InvalidParameterValueException", "InvalidParameterValue", text}
}

var errNoQueue = &fault{"QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist."}

// input holds the members of every request that is served.
type input struct {
	QueueURL string `json:"QueueUrl"`

	entry
	Entries []entry

	MaxNumberOfMessages *int
	WaitTimeSeconds     *int
	VisibilityTimeout   *int
	AttributeNames      []string
	SystemAttributes    []string `json:"MessageSystemAttributeNames"`
}

type entry struct {
	ID                string `json:"Id"`
	MessageBody       string
	DelaySeconds      *int
	MessageAttributes map[string]any
	ReceiptHandle     string
}

// ServeHTTP answers AmazonSQS.* targets.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 2*maxMessage))
	if err != nil {
		write(w, nil, &fault{"RequestTooLarge", "RequestTooLarge", "The request is too large."})
		return
	}
	var in input
	if err := json.Unmarshal(body, &in); err != nil {
		write(w, nil, &fault{"SerializationException", "SerializationException", "The request could not be read."})
		return
	}
	out, err := s.serve(r, operation, &in)
	write(w, out, err)
}

func write(w http.ResponseWriter, out any, err error) {
	h := w.Header()
	h.Set("Content-Type", "application/x-amz-json-1.0")
	h.Set("X-Amzn-Requestid", uuid.New())
	status := http.StatusOK
	if err != nil {
		status = http.StatusBadRequest
		var f *fault
		if !errors.As(err, &f) {
			f, status = &fault{"InternalFailure", "InternalFailure", err.Error()}, http.StatusInternalServerError
		}
		h.Set("X-Amzn-Query-Error", f.query+";Sender")
		out = map[string]string{"__type": "com.amazonaws.sqs#" + f.kind, "message": f.text}
	}
	b, err := json.Marshal(out)
	if err != nil {
		status, b = http.StatusInternalServerError, nil
	}
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

func (s *Service) serve(r *http.Request, operation string, in *input) (any, error) {
	if in.QueueURL == "" {
		return nil, missing("QueueUrl")
	}
	q := s.ByName(path.Base(in.QueueURL))
	if q == nil {
		return nil, errNoQueue
	}
	switch operation {
	case "SendMessage":
		return send(q, &in.entry)
	case "SendMessageBatch":
		return sendBatch(q, in.Entries)
	case "ReceiveMessage":
		return receive(r, q, in)
	case "DeleteMessage":
		if in.ReceiptHandle == "" {
			return nil, missing("ReceiptHandle")
		}
		q.Delete(in.ReceiptHandle)
		return struct{}{}, nil
	case "GetQueueAttributes":
		return attributes(q, in.AttributeNames)
	}
	return nil, &fault{"UnknownOperationException", "InvalidAction", fmt.Sprintf("The action %s is not valid for this endpoint.", operation)}
}

// sendBatch sends each entry; one that is refused does not keep others back.
func sendBatch(q *Queue, entries []entry) (any, error) {
	switch {
	case len(entries) == 0:
		return nil, &fault{"EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest", "There should be at least one entry in the request."}
	case len(entries) > maxBatch:
		return nil, &fault{"TooManyEntriesInBatchRequest", "AWS.SimpleQueueService.TooManyEntriesInBatchRequest", fmt.Sprintf("Maximum number of entries per request are 10. You have sent %d.", len(entries))}
	}
	ids := map[string]bool{}
	size := 0
	for _, e := range entries {
		if ids[e.ID] {
			return nil, &fault{"BatchEntryIdsNotDistinct", "AWS.SimpleQueueService.BatchEntryIdsNotDistinct", "Id " + e.ID + " repeated."}
		}
		ids[e.ID] = true
		size += len(e.MessageBody)
	}
	if size > maxMessage {
		return nil, &fault{"BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong", fmt.Sprintf("Batch requests cannot be longer than %d bytes. You have sent %d bytes.", maxMessage, size)}
	}
	good, bad := []any{}, []any{}
	for i := range entries {
		out, err := send(q, &entries[i])
		if f := (*fault)(nil); errors.As(err, &f) {
			bad = append(bad, map[string]any{"Id": entries[i].ID, "SenderFault": true, "Code": f.kind, "Message": f.text})
			continue
		}
		out["Id"] = entries[i].ID
		good = append(good, out)
	}
	return map[string]any{"Successful": good, "Failed": bad}, nil
}

func missing(name string) error {
	return &fault{"MissingRequiredParameterException", "MissingParameter", "The request must contain the parameter " + name + "."}
}

func send(q *Queue, e *entry) (map[string]any, error) {
	switch {
	case e.MessageBody == "":
		return nil, missing("MessageBody")
	case len(e.MessageAttributes) > 0:
		return nil, invalid("This emulator does not support message attributes.")
	case len(e.MessageBody) > maxMessage:
		return nil, invalid(fmt.Sprintf("One or more parameters are invalid. Reason: Message must be shorter than %d bytes.", maxMessage))
	}
	var delay time.Duration
	if e.DelaySeconds != nil {
		if *e.DelaySeconds < 0 || *e.DelaySeconds > 900 {
			return nil, invalid(fmt.Sprintf("Value %d for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.", *e.DelaySeconds))
		}
		delay = time.Duration(*e.DelaySeconds) * time.Second
	}
	return map[string]any{"MessageId": q.Send(e.MessageBody, delay), "MD5OfMessageBody": MD5OfBody(e.MessageBody)}, nil
}

func receive(r *http.Request, q *Queue, in *input) (any, error) {
	most, wait, visibility := 1, time.Duration(0), time.Duration(-1)
	if v := in.MaxNumberOfMessages; v != nil {
		if most = *v; most < 1 || most > 10 {
			return nil, invalid(fmt.Sprintf("Value %d for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.", most))
		}
	}
	if v := in.WaitTimeSeconds; v != nil {
		if *v < 0 || *v > 20 {
			return nil, invalid(fmt.Sprintf("Value %d for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.", *v))
		}
		wait = time.Duration(*v) * time.Second
	}
	if v := in.VisibilityTimeout; v != nil {
		if *v < 0 || *v > 43200 {
			return nil, invalid(fmt.Sprintf("Value %d for parameter VisibilityTimeout is invalid. Reason: Must be between 0 and 43200.", *v))
		}
		visibility = time.Duration(*v) * time.Second
	}
	list := []any{}
	for _, m := range q.Receive(r.Context(), most, wait, visibility) {
		out := map[string]any{"MessageId": m.ID, "ReceiptHandle": m.Receipt, "Body": m.Body, "MD5OfBody": MD5OfBody(m.Body)}
		system := map[string]string{}
		for k, v := range SystemAttributes(m) {
			names := append(slices.Clone(in.AttributeNames), in.SystemAttributes...)
			if slices.Contains(names, k) || slices.Contains(names, "All") {
				system[k] = v
			}
		}
		if len(system) > 0 {
			out["Attributes"] = system
		}
		list = append(list, out)
	}
	if len(list) == 0 {
		return struct{}{}, nil // the service leaves the member out
	}
	return map[string]any{"Messages": list}, nil
}

// SystemAttributes of a received message.
func SystemAttributes(m Message) map[string]string {
	return map[string]string{
		"SenderId":                         "AIDALOCAL",
		"SentTimestamp":                    strconv.FormatInt(m.Sent.UnixMilli(), 10),
		"ApproximateReceiveCount":          strconv.Itoa(m.Receives),
		"ApproximateFirstReceiveTimestamp": strconv.FormatInt(m.FirstReceived.UnixMilli(), 10),
	}
}

func attributes(q *Queue, names []string) (any, error) {
	c, set := q.Counts(), q.settings
	all := map[string]string{
		"ApproximateNumberOfMessages":           strconv.Itoa(c.Visible),
		"ApproximateNumberOfMessagesNotVisible": strconv.Itoa(c.InFlight),
		"ApproximateNumberOfMessagesDelayed":    strconv.Itoa(c.Delayed),
		"VisibilityTimeout":                     strconv.Itoa(int(set.Visibility.Seconds())),
		"MessageRetentionPeriod":                strconv.Itoa(int(set.Retention.Seconds())),
		"QueueArn":                              set.ARN,
	}
	if set.DeadLetterARN != "" {
		all["RedrivePolicy"] = fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":%d}`, set.DeadLetterARN, set.MaxReceives)
	}
	if slices.Contains(names, "All") {
		return map[string]any{"Attributes": all}, nil
	}
	out := map[string]string{}
	for _, n := range names {
		if v, ok := all[n]; ok {
			out[n] = v
		} else if n != "RedrivePolicy" {
			return nil, &fault{"InvalidAttributeName", "InvalidAttributeName", "Unknown Attribute " + n + "."}
		}
	}
	return map[string]any{"Attributes": out}, nil
}
