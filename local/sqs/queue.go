package sqs

import (
	"context"
	"crypto/md5" //nolint:gosec // the protocol's digest, not a safeguard
	"encoding/hex"
	"slices"
	"sync"
	"time"

	"orderbridge/local/uuid"
)

// Settings of one queue; the zero value of a field is the service's default.
type Settings struct {
	Name       string
	URL, ARN   string
	Visibility time.Duration // 0 = 30 s
	Retention  time.Duration // 0 = 4 days
	// DeadLetterARN receives what was received MaxReceives times; "" = none.
	DeadLetterARN string
	MaxReceives   int
}

// Message is one message that was received.
type Message struct {
	ID, Body, Receipt string
	Sent              time.Time
	FirstReceived     time.Time
	Receives          int
}

type message struct {
	Message
	visibleAt time.Time
}

// Queue holds messages. Its methods are safe for concurrent use.
type Queue struct {
	settings Settings
	service  *Service

	mu       sync.Mutex
	messages []*message    // in the order they were sent
	changed  chan struct{} // closed and replaced when something may be received
}

// Send adds a message that becomes visible after delay, and returns its id.
func (q *Queue) Send(body string, delay time.Duration) string {
	now := time.Now()
	m := &message{Message: Message{ID: uuid.New(), Body: body, Sent: now}, visibleAt: now.Add(delay)}
	q.put(m)
	return m.ID
}

func (q *Queue) put(m *message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.messages = append(q.messages, m)
	close(q.changed)
	q.changed = make(chan struct{})
}

// Receive takes up to most messages that are visible, and hides them for
// visibility (negative = the queue's default). If there is none it waits up to
// wait for one, or until ctx ends.
func (q *Queue) Receive(ctx context.Context, most int, wait, visibility time.Duration) []Message {
	if visibility < 0 {
		visibility = q.settings.Visibility
	}
	deadline := time.Now().Add(wait)
	for {
		got, next, changed := q.take(most, visibility)
		now := time.Now()
		if len(got) > 0 || ctx.Err() != nil || !now.Before(deadline) {
			return got
		}
		pause := deadline.Sub(now)
		if !next.IsZero() {
			pause = min(pause, max(next.Sub(now), time.Millisecond))
		}
		timer := time.NewTimer(pause)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// take returns visible messages, or else when the next one will be.
func (q *Queue) take(most int, visibility time.Duration) (got []Message, next time.Time, changed chan struct{}) {
	q.mu.Lock()
	now := time.Now()
	q.expire(now)
	var dead []*message
	q.messages = slices.DeleteFunc(q.messages, func(m *message) bool {
		if m.visibleAt.After(now) {
			if next.IsZero() || m.visibleAt.Before(next) {
				next = m.visibleAt
			}
			return false
		}
		if len(got) >= most {
			return false
		}
		if q.settings.DeadLetterARN != "" && m.Receives >= q.settings.MaxReceives {
			dead = append(dead, m)
			return true
		}
		m.Receives++
		if m.FirstReceived.IsZero() {
			m.FirstReceived = now
		}
		m.Receipt = uuid.New()
		m.visibleAt = now.Add(visibility)
		got = append(got, m.Message)
		return false
	})
	changed = q.changed
	q.mu.Unlock()
	if len(dead) > 0 {
		// The message keeps its id, body and time of sending.
		// (SQS Developer Guide, "Using dead-letter queues".)
		if d := q.service.ByARN(q.settings.DeadLetterARN); d != nil {
			for _, m := range dead {
				m.visibleAt, m.Receipt = now, ""
				m.Receives, m.FirstReceived = 0, time.Time{}
				d.put(m)
			}
		}
	}
	return got, next, changed
}

func (q *Queue) expire(now time.Time) {
	q.messages = slices.DeleteFunc(q.messages, func(m *message) bool { return now.Sub(m.Sent) > q.settings.Retention })
}

// Delete removes the message that was received with this handle. A handle that
// is no longer the newest removes nothing, and that is no error.
func (q *Queue) Delete(receipt string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.messages = slices.DeleteFunc(q.messages, func(m *message) bool { return receipt != "" && m.Receipt == receipt })
}

// Show makes the message that was received with this handle visible to others
// in that time (ChangeMessageVisibility). A handle that is no longer the newest
// changes nothing.
func (q *Queue) Show(receipt string, in time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range q.messages {
		if receipt != "" && m.Receipt == receipt {
			m.visibleAt = time.Now().Add(in)
			close(q.changed)
			q.changed = make(chan struct{})
		}
	}
}

// Counts of messages: visible now, received and not deleted, and delayed.
type Counts struct{ Visible, InFlight, Delayed int }

// Counts tells what the queue holds.
func (q *Queue) Counts() (c Counts) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	q.expire(now)
	for _, m := range q.messages {
		switch {
		case !m.visibleAt.After(now):
			c.Visible++
		case m.Receipt != "":
			c.InFlight++
		default:
			c.Delayed++
		}
	}
	return c
}

// Age is how long the oldest message has been in the queue; 0 = it is empty.
func (q *Queue) Age() (oldest time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	q.expire(now)
	for _, m := range q.messages {
		oldest = max(oldest, now.Sub(m.Sent))
	}
	return oldest
}

// Settings returns how the queue was made.
func (q *Queue) Settings() Settings { return q.settings }

// Service is a set of queues and the http.Handler of their wire protocol.
type Service struct {
	mu     sync.RWMutex
	queues map[string]*Queue
}

// New returns a service without queues.
func New() *Service {
	return &Service{queues: map[string]*Queue{}}
}

// Add makes a queue.
func (s *Service) Add(set Settings) *Queue {
	if set.Visibility == 0 {
		set.Visibility = 30 * time.Second
	}
	if set.Retention == 0 {
		set.Retention = 4 * 24 * time.Hour
	}
	q := &Queue{settings: set, service: s, changed: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queues[set.Name] = q
	return q
}

// ByName returns a queue, or nil.
func (s *Service) ByName(name string) *Queue {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.queues[name]
}

// ByARN returns a queue, or nil.
func (s *Service) ByARN(arn string) *Queue {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, q := range s.queues {
		if q.settings.ARN == arn {
			return q
		}
	}
	return nil
}

// MD5OfBody is the digest that the SDK compares.
func MD5OfBody(body string) string {
	sum := md5.Sum([]byte(body)) //nolint:gosec // the protocol's digest
	return hex.EncodeToString(sum[:])
}
