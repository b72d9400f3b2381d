package cloudwatch

import (
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"orderbridge/local/samtemplate"
)

// filter is a metric filter that can be applied.
type filter struct {
	samtemplate.LogFilter
	member, want string
}

// filterPattern is the one form of a pattern that is known: a member of a JSON
// line that is a text (Amazon CloudWatch Logs User Guide, "Filter pattern syntax
// for metric filters").
var filterPattern = regexp.MustCompile(`^\{ *\$\.([A-Za-z]\w*) *= *"([^"*]*)" *\}$`)

func compileFilter(of samtemplate.LogFilter) (filter, error) {
	m := filterPattern.FindStringSubmatch(of.Pattern)
	if m == nil {
		return filter{}, fmt.Errorf(`read filter of %s: the pattern %q is not supported: { $.member = "text" } is`, of.Metric.Name, of.Pattern)
	}
	return filter{of, m[1], m[2]}, nil
}

// Log takes the metrics out of a line of a log group, by the metric filters.
func (s *Service) Log(group string, line []byte, at time.Time) {
	var members map[string]any
	for _, f := range s.filters {
		if f.LogGroup != group {
			continue
		}
		if members == nil && json.Unmarshal(line, &members) != nil {
			return
		}
		if members[f.member] == f.want {
			s.Put(f.Metric, at, f.Value)
		}
	}
}
