package cloudwatch

import (
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"
)

// Path is where every request for CloudWatch arrives: the name of the service
// in the protocol (Smithy, "RPC v2 CBOR").
const Path = "/service/GraniteServiceVersion20100801/"

// maxRequest bounds a request, in bytes.
const maxRequest = 1 << 16

// ServeHTTP answers DescribeAlarms (Amazon CloudWatch API Reference), all alarms
// in one page, by prefix, state and type; every other operation, and every other
// member that would choose among the alarms, is refused by name.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if operation := path.Base(r.URL.Path); operation != "DescribeAlarms" {
		refuse(w, "UnknownOperationException", fmt.Sprintf("this emulator does not support the operation %q", operation))
		return
	}
	in, err := readMap(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		refuse(w, "SerializationException", "the body is no CBOR map")
		return
	}
	prefix, state := "", ""
	types := cbor.List{cbor.String(metricAlarm)}
	for name, v := range in {
		text, isText := v.(cbor.String)
		list, isList := v.(cbor.List)
		switch {
		case name == "AlarmTypes" && isList:
			types = list
		case name == "AlarmNamePrefix" && isText:
			prefix = string(text)
		case name == "StateValue" && isText:
			state = string(text)
		case name == "MaxRecords": // there are fewer than the least page holds
		default:
			refuse(w, "InvalidParameterValue", fmt.Sprintf("this emulator does not support the member %s", name))
			return
		}
	}
	metric, composite := cbor.List{}, cbor.List{}
	for _, a := range s.States() {
		switch {
		case !strings.HasPrefix(a.Name, prefix) || state != "" && a.State != state:
		case a.Rule == "" && slices.Contains(types, cbor.Value(cbor.String(metricAlarm))):
			metric = append(metric, described(a))
		case a.Rule != "" && slices.Contains(types, cbor.Value(cbor.String("CompositeAlarm"))):
			composite = append(composite, described(a))
		}
	}
	write(w, http.StatusOK, cbor.Map{"MetricAlarms": metric, "CompositeAlarms": composite})
}

const metricAlarm = "MetricAlarm"

func described(a State) cbor.Map {
	const epoch = 1 // CBOR's tag of a time in seconds
	actions := cbor.List{}
	for _, action := range a.Actions {
		actions = append(actions, cbor.String(action))
	}
	return cbor.Map{
		"AlarmActions": actions,
		"AlarmName":    cbor.String(a.Name), "AlarmArn": cbor.String(a.ARN), "AlarmDescription": cbor.String(a.Description),
		"StateValue": cbor.String(a.State), "StateReason": cbor.String(a.Reason),
		"StateUpdatedTimestamp":      &cbor.Tag{ID: epoch, Value: cbor.Float64(float64(a.Since.UnixMilli()) / float64(time.Second/time.Millisecond))},
		"StateTransitionedTimestamp": &cbor.Tag{ID: epoch, Value: cbor.Float64(float64(a.Since.UnixMilli()) / float64(time.Second/time.Millisecond))},
	}
}

func readMap(r io.Reader) (cbor.Map, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	v, err := cbor.Decode(b)
	if err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	m, ok := v.(cbor.Map)
	if !ok {
		return nil, fmt.Errorf("read request: a %T is no map", v)
	}
	return m, nil
}

func refuse(w http.ResponseWriter, code, message string) {
	write(w, http.StatusBadRequest, cbor.Map{"__type": cbor.String(code), "message": cbor.String(message)})
}

func write(w http.ResponseWriter, status int, body cbor.Map) {
	w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
	w.Header().Set("Content-Type", "application/cbor")
	w.WriteHeader(status)
	_, _ = w.Write(cbor.Encode(body)) // a client that went away is no error
}
