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
	QueueURL   string `json:"QueueUrl"`
	QueueName  string
	NamePrefix string `json:"QueueNamePrefix"`

	entry
	Entries []entry

	MaxNumberOfMessages   *int
	WaitTimeSeconds       *int
	AttributeNames        []string
	SystemAttributes      []string `json:"MessageSystemAttributeNames"`
	MessageAttributeNames []string
}

type entry struct {
	ID                string `json:"Id"`
	MessageBody       string
	DelaySeconds      *int
	MessageAttributes map[string]Attribute
	ReceiptHandle     string
	VisibilityTimeout *int
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
	h.Set("X-Amzn-Requestid", newID())
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
	switch operation {
	case "ListQueues":
		urls := []string{}
		for _, name := range s.names() {
			if strings.HasPrefix(name, in.NamePrefix) {
				urls = append(urls, s.ByName(name).settings.URL)
			}
		}
		return map[string]any{"QueueUrls": urls}, nil
	case "GetQueueUrl":
		q := s.ByName(in.QueueName)
		if q == nil {
			return nil, errNoQueue
		}
		return map[string]any{"QueueUrl": q.settings.URL}, nil
	case "SendMessage", "SendMessageBatch", "ReceiveMessage", "DeleteMessage", "DeleteMessageBatch", "ChangeMessageVisibility",
		"ChangeMessageVisibilityBatch", "GetQueueAttributes", "PurgeQueue":
	default:
		return nil, &fault{"UnknownOperationException", "InvalidAction", fmt.Sprintf("The action %s is not valid for this endpoint.", operation)}
	}
	if in.QueueURL == "" {
		return nil, &fault{"MissingRequiredParameterException", "MissingParameter", "The request must contain the parameter QueueUrl."}
	}
	q := s.ByName(path.Base(in.QueueURL))
	if q == nil {
		return nil, errNoQueue
	}
	switch operation {
	case "SendMessage":
		return send(q, &in.entry)
	case "ReceiveMessage":
		return receive(r, q, in)
	case "DeleteMessage":
		return struct{}{}, remove(q, &in.entry)
	case "ChangeMessageVisibility":
		return struct{}{}, changeVisibility(q, &in.entry)
	case "PurgeQueue":
		q.Purge()
		return struct{}{}, nil
	case "GetQueueAttributes":
		return attributes(q, in.AttributeNames)
	}
	return batch(q, operation, in.Entries)
}

// batch runs an operation for each entry; one that fails does not fail others.
func batch(q *Queue, operation string, entries []entry) (any, error) {
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
		e := &entries[i]
		var out map[string]any
		var err error
		switch operation {
		case "SendMessageBatch":
			out, err = send(q, e)
		case "DeleteMessageBatch":
			err = remove(q, e)
		case "ChangeMessageVisibilityBatch":
			err = changeVisibility(q, e)
		}
		var f *fault
		switch {
		case errors.As(err, &f):
			bad = append(bad, map[string]any{"Id": e.ID, "SenderFault": true, "Code": f.kind, "Message": f.text})
		case out != nil:
			out["Id"] = e.ID
			good = append(good, out)
		default:
			good = append(good, map[string]any{"Id": e.ID})
		}
	}
	return map[string]any{"Successful": good, "Failed": bad}, nil
}

func send(q *Queue, e *entry) (map[string]any, error) {
	switch {
	case e.MessageBody == "":
		return nil, &fault{"MissingRequiredParameterException", "MissingParameter", "The request must contain the parameter MessageBody."}
	case len(e.MessageBody) > maxMessage:
		return nil, invalid(fmt.Sprintf("One or more parameters are invalid. Reason: Message must be shorter than %d bytes.", maxMessage))
	}
	delay := time.Duration(-1)
	if e.DelaySeconds != nil {
		if *e.DelaySeconds < 0 || *e.DelaySeconds > 900 {
			return nil, invalid(fmt.Sprintf("Value %d for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.", *e.DelaySeconds))
		}
		delay = time.Duration(*e.DelaySeconds) * time.Second
	}
	id := q.Send(e.MessageBody, e.MessageAttributes, delay)
	out := map[string]any{"MessageId": id, "MD5OfMessageBody": MD5OfBody(e.MessageBody)}
	if sum := MD5OfAttributes(e.MessageAttributes); sum != "" {
		out["MD5OfMessageAttributes"] = sum
	}
	return out, nil
}

func receive(r *http.Request, q *Queue, in *input) (any, error) {
	most, wait, visibility := 1, q.settings.Wait, time.Duration(-1)
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
		if err := checkVisibility(*v); err != nil {
			return nil, err
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
		own := map[string]Attribute{}
		for k, v := range m.Attributes {
			if slices.ContainsFunc(in.MessageAttributeNames, func(n string) bool {
				prefix, wild := strings.CutSuffix(n, ".*")
				return n == "All" || n == k || wild && strings.HasPrefix(k, prefix)
			}) {
				own[k] = v
			}
		}
		if len(own) > 0 {
			out["MessageAttributes"] = own
			out["MD5OfMessageAttributes"] = MD5OfAttributes(own)
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

func remove(q *Queue, e *entry) error {
	if e.ReceiptHandle == "" {
		return &fault{"MissingRequiredParameterException", "MissingParameter", "The request must contain the parameter ReceiptHandle."}
	}
	q.Delete(e.ReceiptHandle)
	return nil
}

func checkVisibility(s int) error {
	if s < 0 || s > 43200 {
		return invalid(fmt.Sprintf("Value %d for parameter VisibilityTimeout is invalid. Reason: Must be between 0 and 43200.", s))
	}
	return nil
}

func changeVisibility(q *Queue, e *entry) error {
	if e.VisibilityTimeout == nil {
		return &fault{"MissingRequiredParameterException", "MissingParameter", "The request must contain the parameter VisibilityTimeout."}
	}
	if err := checkVisibility(*e.VisibilityTimeout); err != nil {
		return err
	}
	if !q.ChangeVisibility(e.ReceiptHandle, time.Duration(*e.VisibilityTimeout)*time.Second) {
		return &fault{"MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight", "The message referred to is not in flight."}
	}
	return nil
}

func attributes(q *Queue, names []string) (any, error) {
	c, set := q.Counts(), q.settings
	all := map[string]string{
		"ApproximateNumberOfMessages":           strconv.Itoa(c.Visible),
		"ApproximateNumberOfMessagesNotVisible": strconv.Itoa(c.InFlight),
		"ApproximateNumberOfMessagesDelayed":    strconv.Itoa(c.Delayed),
		"VisibilityTimeout":                     strconv.Itoa(int(set.Visibility.Seconds())),
		"MessageRetentionPeriod":                strconv.Itoa(int(set.Retention.Seconds())),
		"DelaySeconds":                          strconv.Itoa(int(set.Delay.Seconds())),
		"ReceiveMessageWaitTimeSeconds":         strconv.Itoa(int(set.Wait.Seconds())),
		"MaximumMessageSize":                    strconv.Itoa(maxMessage),
		"QueueArn":                              set.ARN,
		"SqsManagedSseEnabled":                  "true",
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
