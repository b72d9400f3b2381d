// Package telemetrytest reads what a function wrote: its log lines, and the
// metrics in them, as CloudWatch would.
//
// The rule it keeps: it is as strict as the specification of the embedded metric
// format, so that what CloudWatch would pass over in silence is an error here.
// It must not know what a metric means.
package telemetrytest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Sample is one metric of one line, under one set of dimensions.
type Sample struct {
	At         time.Time
	Namespace  string
	Name       string
	Unit       string
	Dimensions map[string]string
	Values     []float64
}

// Sum is the sum of the values.
func (s Sample) Sum() (sum float64) {
	for _, v := range s.Values {
		sum += v
	}
	return sum
}

// Limits of the embedded metric format (CloudWatch User Guide, "Specification:
// Embedded metric format", and "CloudWatch service quotas" for the dimensions).
const (
	maxMetrics    = 100
	maxValues     = 100
	maxDimensions = 30
)

type document struct {
	AWS *struct {
		Timestamp         int64
		CloudWatchMetrics []struct {
			Namespace  string
			Dimensions [][]string
			Metrics    []struct{ Name, Unit string }
		}
	} `json:"_aws"`
}

// Line returns the samples of one line; none where it is no metric's. A line of
// metrics that breaks the specification is an error.
func Line(line string) ([]Sample, error) {
	var doc document
	if err := json.Unmarshal([]byte(line), &doc); err != nil {
		return nil, fmt.Errorf("read line %q: %w", line, err)
	}
	if doc.AWS == nil {
		return nil, nil
	}
	var root map[string]json.RawMessage
	if err := json.Unmarshal([]byte(line), &root); err != nil {
		return nil, fmt.Errorf("read line %q: %w", line, err)
	}
	if doc.AWS.Timestamp == 0 || len(doc.AWS.CloudWatchMetrics) == 0 {
		return nil, fmt.Errorf("no time or no metrics: %s", line)
	}
	var all []Sample
	for _, d := range doc.AWS.CloudWatchMetrics {
		if d.Namespace == "" || len(d.Dimensions) == 0 || len(d.Metrics) == 0 || len(d.Metrics) > maxMetrics {
			return nil, fmt.Errorf("not a metric directive: %s", line)
		}
		for _, m := range d.Metrics {
			values, err := valuesOf(root[m.Name])
			if err != nil {
				return nil, fmt.Errorf("metric %s: %w: %s", m.Name, err, line)
			}
			for _, set := range d.Dimensions {
				dimensions, err := dimensionsOf(root, set)
				if err != nil {
					return nil, fmt.Errorf("metric %s: %w: %s", m.Name, err, line)
				}
				all = append(all, Sample{time.UnixMilli(doc.AWS.Timestamp), d.Namespace, m.Name, m.Unit, dimensions, values})
			}
		}
	}
	return all, nil
}

func valuesOf(raw json.RawMessage) ([]float64, error) {
	var one float64
	if json.Unmarshal(raw, &one) == nil {
		return []float64{one}, nil
	}
	var many []float64
	if err := json.Unmarshal(raw, &many); err != nil || len(many) == 0 || len(many) > maxValues {
		return nil, errors.New("no number and no list of 1 to 100 numbers")
	}
	return many, nil
}

func dimensionsOf(root map[string]json.RawMessage, set []string) (map[string]string, error) {
	if len(set) > maxDimensions {
		return nil, fmt.Errorf("%d dimensions", len(set))
	}
	all := map[string]string{}
	for _, name := range set {
		var value string
		if err := json.Unmarshal(root[name], &value); err != nil || value == "" {
			return nil, fmt.Errorf("dimension %s has no text", name)
		}
		all[name] = value
	}
	return all, nil
}

// Read returns the samples of all lines.
func Read(out string) ([]Sample, error) {
	var all []Sample
	for line := range strings.Lines(out) {
		some, err := Line(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// Values returns the values of a metric with the code, in order; code "" takes
// what was written without that dimension, whatever the code.
func Values(out, name, code string) ([]float64, error) {
	all, err := Read(out)
	if err != nil {
		return nil, err
	}
	var values []float64
	for _, s := range all {
		if s.Name == name && s.Dimensions["code"] == code {
			values = append(values, s.Values...)
		}
	}
	return slices.Clip(values), nil
}
