package cloudwatch

import (
	"encoding/json"
	"time"

	"orderbridge/local/samtemplate"
)

// embedded is the part of a log line that makes it metrics.
type embedded struct {
	AWS struct {
		CloudWatchMetrics []struct {
			Namespace  string
			Dimensions [][]string
			Metrics    []struct{ Name string }
		}
	} `json:"_aws"`
}

// Line takes the metrics out of a log line in the embedded metric format, once
// for each set of dimensions; a line that is not in it has none (CloudWatch User
// Guide, "Specification: Embedded metric format").
func (s *Service) Line(line []byte, at time.Time) {
	var head embedded
	if json.Unmarshal(line, &head) != nil || len(head.AWS.CloudWatchMetrics) == 0 {
		return
	}
	var members map[string]any
	if json.Unmarshal(line, &members) != nil {
		return
	}
	for _, d := range head.AWS.CloudWatchMetrics {
		for _, set := range d.Dimensions {
			dimensions := map[string]string{}
			for _, name := range set {
				dimensions[name], _ = members[name].(string)
			}
			for _, m := range d.Metrics {
				for _, v := range numbers(members[m.Name]) {
					s.Put(samtemplate.Metric{Namespace: d.Namespace, Name: m.Name, Dimensions: dimensions}, at, v)
				}
			}
		}
	}
}

// numbers are the values of a metric, one or a list of them.
func numbers(v any) (all []float64) {
	switch v := v.(type) {
	case float64:
		return []float64{v}
	case []any:
		for _, e := range v {
			if f, ok := e.(float64); ok {
				all = append(all, f)
			}
		}
	}
	return all
}
