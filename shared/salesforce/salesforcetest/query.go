package salesforcetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pairs is a JSON object whose members keep their order, as the vendor's do.
type pairs []pair

type pair struct {
	name  string
	value any
}

// MarshalJSON implements json.Marshaler.
func (p pairs) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range p {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(m.name)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func attributes(base, objectName, id string) pairs {
	return pairs{{"type", objectName}, {"url", base + "/sobjects/" + objectName + "/" + id}}
}

// render writes a value as the vendor does; doubles by Java's rules.
func render(f *field, v any) any {
	switch x := v.(type) {
	case time.Time:
		return dateTime(x)
	case float64:
		if f.kind == kindDouble || f.kind == kindAny {
			return json.RawMessage(javaDouble(x))
		}
	}
	return v
}

// javaDouble is Java's Double.toString: 3.0, 1.5, 1.7324352E12.
func javaDouble(x float64) string {
	if a := math.Abs(x); x == 0 || a >= 1e-3 && a < 1e7 {
		s := strconv.FormatFloat(x, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(x, 'E', -1, 64), "E")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	n, _ := strconv.Atoi(exponent)
	return mantissa + "E" + strconv.Itoa(n)
}

type cursor struct {
	rows []pairs
	size int // rows of one page
}

var idLiteral = regexp.MustCompile(`'([A-Za-z0-9]{15}|[A-Za-z0-9]{18})'`)

func (s *Sim) queryJob(base, text string) job {
	subjects := map[string]bool{}
	s.mu.Lock()
	for _, m := range idLiteral.FindAllStringSubmatch(text, -1) {
		s.about(subjects, m[1])
	}
	s.mu.Unlock()
	return job{action: actionQuery, params: map[string]any{"q": text}, subjects: subjects, run: func(f *Fault) reply {
		q, e := s.parse(text)
		if e == nil && f != nil && f.Fault == "role-denied" {
			e = hidden(q)
		}
		if e != nil {
			return failed(400, e.code, place(text, e))
		}
		rows := s.answer(base, q, s.sortedOrders())
		return jsonReply(200, s.page(base, &cursor{rows, s.opt.PageSize}, "", 0), fmt.Sprintf("%d rows", len(rows)))
	}}
}

// hidden is the answer where field-level security hides the fields: as if they
// did not exist.
func hidden(q *query) *soqlError {
	for _, p := range q.selected {
		if !p.parent && strings.HasSuffix(p.f.name, "__c") {
			return noColumn(q.object.name, p.f.name, p.at)
		}
	}
	return noType(q.object.name, 0)
}

// place writes a SOQL error as the vendor does: an excerpt, a caret, the place.
func place(text string, e *soqlError) string {
	from, to := max(0, e.at-40), min(len(text), e.at+30)
	excerpt := strings.NewReplacer("\n", " ", "\r", " ").Replace(text[from:to])
	return "\n" + excerpt + "\n" + strings.Repeat(" ", e.at-from) + "^\nERROR at Row:1:Column:" + strconv.Itoa(e.at+1) + "\n" + e.message
}

// page renders the rows of c from offset on; a rest gets a locator.
func (s *Sim) page(base string, c *cursor, locator string, offset int) pairs {
	end := min(offset+c.size, len(c.rows))
	out := pairs{{"totalSize", len(c.rows)}, {"done", end == len(c.rows)}}
	if end < len(c.rows) {
		if locator == "" {
			s.serial++
			locator = fmt.Sprintf("01g%015d", s.serial)
			s.cursors[locator] = c
		}
		out = append(out, pair{"nextRecordsUrl", fmt.Sprintf("%s/query/%s-%d", base, locator, end)})
	}
	return append(out, pair{"records", c.rows[offset:end]})
}

func (s *Sim) moreJob(base, locator string) job {
	return job{action: actionQuery, params: map[string]any{"more": locator}, run: func(f *Fault) reply {
		name, at, _ := strings.Cut(locator, "-")
		offset, err := strconv.Atoi(at)
		c := s.cursors[name]
		if err != nil || c == nil || offset < 0 || offset > len(c.rows) {
			return failed(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
		}
		p := s.page(base, c, name, offset)
		return jsonReply(200, p, fmt.Sprintf("rows from %d", offset))
	}}
}

// answer filters, sorts, cuts and renders records.
func (s *Sim) answer(base string, q *query, all []*record) []pairs {
	rows := slices.DeleteFunc(all, func(r *record) bool { return !q.where(r) })
	if q.sort != nil {
		slices.SortStableFunc(rows, func(a, b *record) int {
			x, y := q.sort.value(a), q.sort.value(b)
			switch {
			case x == nil && y == nil:
				return 0
			case x == nil:
				return -1
			case y == nil:
				return 1
			}
			c, _ := compare(x, y)
			return c
		})
	}
	if q.limit >= 0 {
		rows = rows[:min(q.limit, len(rows))]
	}
	out := make([]pairs, len(rows))
	for i, r := range rows {
		out[i] = s.renderRow(base, q, r)
	}
	return out
}

func (s *Sim) renderRow(base string, q *query, r *record) pairs {
	out := pairs{{"attributes", attributes(base, q.object.name, r.id)}}
	up := -1 // index of the parent in out
	for _, p := range q.selected {
		if !p.parent {
			out = append(out, pair{p.f.name, render(p.f, p.value(r))})
			continue
		}
		if up < 0 {
			up = len(out)
			out = append(out, pair{q.object.parent, nil})
			if r.parent != nil {
				id, _ := r.parent["Id"].(string)
				out[up].value = pairs{{"attributes", attributes(base, q.object.parent, id)}}
			}
		}
		if in, ok := out[up].value.(pairs); ok {
			out[up].value = append(in, pair{p.f.name, render(p.f, p.value(r))})
		}
	}
	if q.child == nil {
		return out
	}
	var items []*record
	for _, id := range r.items {
		items = append(items, s.items[id])
	}
	kids := s.answer(base, q.child, items)
	if len(kids) == 0 {
		return append(out, pair{"OrderItems", nil})
	}
	return append(out, pair{"OrderItems", s.page(base, &cursor{kids, s.opt.ChildPageSize}, "", 0)})
}
