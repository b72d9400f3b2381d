package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"orderbridge/local/cloudwatch"
	"orderbridge/local/eventsource"
	"orderbridge/local/samtemplate"
	"orderbridge/local/uuid"
)

// alert posts the events of alarms to where one rule of the template sends them,
// as EventBridge does.
type alert struct {
	rule        samtemplate.EventRule
	fits        *eventsource.Filter
	destination samtemplate.Destination
	connection  samtemplate.Connection
}

// alerts joins the rules of the template with their destinations.
func alerts(m *samtemplate.Model) (all []alert, err error) {
	for _, rule := range m.EventRules {
		a := alert{rule: rule}
		if a.fits, err = eventsource.ParseFilter([]string{rule.Pattern}); err != nil {
			return nil, fmt.Errorf("read %s: %w", rule.ID, err)
		}
		d := slices.IndexFunc(m.Destinations, func(d samtemplate.Destination) bool { return d.ARN == rule.TargetARN })
		if d < 0 {
			return nil, fmt.Errorf("read %s: its target is no API destination of the template", rule.ID)
		}
		a.destination = m.Destinations[d]
		c := slices.IndexFunc(m.Connections, func(c samtemplate.Connection) bool { return c.ARN == a.destination.ConnectionARN })
		if c < 0 {
			return nil, fmt.Errorf("read %s: the connection of its target is none of the template", rule.ID)
		}
		a.connection = m.Connections[c]
		all = append(all, a)
	}
	return all, nil
}

// alarmChanged tells a change of an alarm on the screen, and posts it where the
// template's rules say.
func (s *system) alarmChanged(c cloudwatch.Change) {
	if c.Before.State != cloudwatch.InsufficientData || c.State.State != cloudwatch.OK {
		s.logf("alarm %s: %s, before %s: %s", c.ID, c.State.State, c.Before.State, c.Reason)
	}
	event := s.alarmEvent(c)
	for _, a := range s.alerts {
		if a.fits.Match(event) {
			s.wait.Go(func() { s.post(a, event) })
		}
	}
}

// alarmEvent is the event of a change (CloudWatch User Guide, "Alarm events and
// EventBridge").
func (s *system) alarmEvent(c cloudwatch.Change) map[string]any {
	const stamp = "2006-01-02T15:04:05.000+0000"
	state := func(of cloudwatch.State) map[string]any {
		return map[string]any{"value": of.State, "reason": of.Reason, "timestamp": of.Since.UTC().Format(stamp)}
	}
	configuration := map[string]any{"description": c.Description}
	if c.Rule != "" {
		configuration["alarmRule"] = c.Rule
	}
	return map[string]any{
		"version": "0", "id": uuid.New(), "detail-type": "CloudWatch Alarm State Change", "source": "aws.cloudwatch",
		"account": account, "time": c.Since.UTC().Format(time.RFC3339), "region": s.settings.region, "resources": []any{c.ARN},
		"detail": map[string]any{"alarmName": c.Name, "state": state(c.State), "previousState": state(c.Before), "configuration": configuration},
	}
}

const (
	// postLimit is how long EventBridge waits for a destination's answer
	// (EventBridge User Guide, "API destinations").
	postLimit = 5 * time.Second
	// firstPost and longestPost are the pauses between tries.
	firstPost, longestPost = 100 * time.Millisecond, 5 * time.Second
)

// post sends an event until it is taken, refused for good, or too old.
func (s *system) post(a alert, event map[string]any) {
	body, err := json.Marshal(event)
	if err != nil {
		panic(err) // texts alone
	}
	until := time.Now().Add(s.inAlarmTime(a.rule.MaxAge))
	pause := firstPost
	for try := 0; ; try++ {
		again, err := s.postOnce(a, body)
		if err == nil {
			return
		}
		if !again || try >= a.rule.MaxRetries || time.Now().After(until) {
			s.logf("%s: given up: %v", a.rule.ID, err)
			if letters := s.queues.ByARN(a.rule.DeadLetterARN); letters != nil {
				letters.Send(string(body), 0)
			}
			return
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, longestPost)
		case <-s.ending.Done():
			return
		}
	}
}

// postOnce says whether an event that was not taken is sent again: without an
// answer, and after 401, 407, 409, 429 and 5xx (EventBridge User Guide, "API
// destinations").
func (s *system) postOnce(a alert, body []byte) (again bool, err error) {
	ctx, cancel := context.WithTimeout(s.ending, postLimit)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.destination.URL, bytes.NewReader(body))
	if err != nil {
		return false, fmt.Errorf("post alarm: %w", err)
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("User-Agent", "Amazon/EventBridge/ApiDestinations")
	r.Header.Set(a.connection.Header, a.connection.Value)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return true, fmt.Errorf("post alarm: %w", err)
	}
	res.Body.Close()
	switch {
	case res.StatusCode < http.StatusMultipleChoices:
		return false, nil
	case res.StatusCode >= http.StatusInternalServerError, slices.Contains([]int{401, 407, 409, 429}, res.StatusCode):
		again = true
	}
	return again, fmt.Errorf("post alarm: answered %d", res.StatusCode)
}
