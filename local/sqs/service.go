package sqs

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strconv"
	"time"

	"orderbridge/local/awsjson"
)

// Limits of the service (SQS Developer Guide, "Quotas related to messages").
const (
	maxMessage = 1 << 20 // bytes of a message
	maxBatch   = 10
)

// refuse is an error of the service; query is its code in the older protocol,
// which SDKs still look at.
func refuse(kind, query, format string, args ...any) error {
	return &awsjson.Error{Type: "com.amazonaws.sqs#" + kind, Message: fmt.Sprintf(format, args...), Header: map[string]string{"X-Amzn-Query-Error": query + ";Sender"}}
}

const (
	invalidValue      = "InvalidParameterValueException"
	invalidValueQuery = "InvalidParameterValue"
	service           = "AWS.SimpleQueueService."
)

func missing(name string) error {
	return refuse("MissingRequiredParameterException", "MissingParameter", "The request must contain the parameter %s.", name)
}

// bounded reads an optional number of seconds or of messages.
func bounded(v *int, name string, low, high, otherwise int) (int, error) {
	if v == nil {
		return otherwise, nil
	}
	if *v < low || *v > high {
		return 0, refuse(invalidValue, invalidValueQuery, "Value %d for parameter %s is invalid. Reason: Must be between %d and %d.", *v, name, low, high)
	}
	return *v, nil
}

// input holds the members of every request that is served.
type input struct {
	QueueURL string `json:"QueueUrl"`

	entry
	Entries       []entry
	ReceiptHandle string

	MaxNumberOfMessages *int
	WaitTimeSeconds     *int
	VisibilityTimeout   *int
	AttributeNames      []string
	SystemAttributes    []string `json:"MessageSystemAttributeNames"`
}

type entry struct {
	ID           string `json:"Id"`
	MessageBody  string
	DelaySeconds *int
}

// ServeHTTP answers AmazonSQS.* targets.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	awsjson.Serve(w, r, "application/x-amz-json-1.0", 2*maxMessage, func(target string, body []byte) (any, error) {
		var in input
		if err := awsjson.Decode(body, &in, "com.amazonaws.sqs#UnsupportedOperation"); err != nil {
			return nil, err
		}
		return s.serve(r, target, &in)
	})
}

func (s *Service) serve(r *http.Request, target string, in *input) (any, error) {
	if in.QueueURL == "" {
		return nil, missing("QueueUrl")
	}
	q := s.ByName(path.Base(in.QueueURL))
	if q == nil {
		return nil, refuse("QueueDoesNotExist", service+"NonExistentQueue", "The specified queue does not exist.")
	}
	switch awsjson.Operation(target) {
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
	case "ChangeMessageVisibility":
		switch {
		case in.ReceiptHandle == "":
			return nil, missing("ReceiptHandle")
		case in.VisibilityTimeout == nil:
			return nil, missing("VisibilityTimeout")
		}
		seconds, err := bounded(in.VisibilityTimeout, "VisibilityTimeout", 0, 43200, 0)
		if err != nil {
			return nil, err
		}
		q.Show(in.ReceiptHandle, time.Duration(seconds)*time.Second)
		return struct{}{}, nil
	case "GetQueueAttributes":
		return attributes(q, in.AttributeNames)
	}
	return nil, awsjson.Unknown(target)
}

// sendBatch sends each entry; one that is refused does not keep others back.
func sendBatch(q *Queue, entries []entry) (any, error) {
	switch {
	case len(entries) == 0:
		return nil, refuse("EmptyBatchRequest", service+"EmptyBatchRequest", "There should be at least one entry in the request.")
	case len(entries) > maxBatch:
		return nil, refuse("TooManyEntriesInBatchRequest", service+"TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10. You have sent %d.", len(entries))
	}
	ids := map[string]bool{}
	for _, e := range entries {
		if ids[e.ID] {
			return nil, refuse("BatchEntryIdsNotDistinct", service+"BatchEntryIdsNotDistinct", "Id %s repeated.", e.ID)
		}
		ids[e.ID] = true
	}
	good, bad := []any{}, []any{}
	for i := range entries {
		out, err := send(q, &entries[i])
		if e := (*awsjson.Error)(nil); errors.As(err, &e) {
			bad = append(bad, map[string]any{"Id": entries[i].ID, "SenderFault": true, "Code": e.Type, "Message": e.Message})
			continue
		}
		out["Id"] = entries[i].ID
		good = append(good, out)
	}
	return map[string]any{"Successful": good, "Failed": bad}, nil
}

func send(q *Queue, e *entry) (map[string]any, error) {
	switch {
	case e.MessageBody == "":
		return nil, missing("MessageBody")
	case len(e.MessageBody) > maxMessage:
		return nil, refuse(invalidValue, invalidValueQuery, "One or more parameters are invalid. Reason: Message must be shorter than %d bytes.", maxMessage)
	}
	delay, err := bounded(e.DelaySeconds, "DelaySeconds", 0, 900, 0)
	if err != nil {
		return nil, err
	}
	return map[string]any{"MessageId": q.Send(e.MessageBody, time.Duration(delay)*time.Second), "MD5OfMessageBody": MD5OfBody(e.MessageBody)}, nil
}

func receive(r *http.Request, q *Queue, in *input) (any, error) {
	most, errMost := bounded(in.MaxNumberOfMessages, "MaxNumberOfMessages", 1, 10, 1)
	wait, errWait := bounded(in.WaitTimeSeconds, "WaitTimeSeconds", 0, 20, 0)
	visibility, errVisibility := bounded(in.VisibilityTimeout, "VisibilityTimeout", 0, 43200, -1)
	if err := cmp.Or(errMost, errWait, errVisibility); err != nil {
		return nil, err
	}
	list := []any{}
	for _, m := range q.Receive(r.Context(), most, time.Duration(wait)*time.Second, time.Duration(visibility)*time.Second) {
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
			return nil, refuse("InvalidAttributeName", "InvalidAttributeName", "Unknown Attribute %s.", n)
		}
	}
	return map[string]any{"Attributes": out}, nil
}
