package main

import (
	"cmp"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"orderbridge/shared/order"
)

// questions is how often the portal's API is asked about orders that are not the
// caller's.
const questions = 10_000

// kinds are what an order can be to a stranger. All are answered alike.
func kinds() []string {
	return []string{"no such order", "another account's", "another account's, long history"}
}

// oracle asks about orders of the three kinds in one random sequence, and prints
// how long the answers took, and how well the time tells an order that exists
// from one that does not: the share of pairs in which the existing one took
// longer (Mann and Whitney's U over n × m). 0.50 is a coin.
func (b *bench) oracle(out io.Writer) error {
	stranger, err := b.token("account=001000000000002AAA")
	if err != nil {
		return err
	}
	ids, err := b.strangers()
	if err != nil {
		return err
	}
	took := make([][]time.Duration, len(ids))
	for range questions {
		kind := rand.IntN(len(ids))
		answered, err := b.ask(ids[kind], stranger)
		if err != nil {
			return err
		}
		took[kind] = append(took[kind], answered)
	}
	fmt.Fprintf(out, "\n%d questions of a stranger about three orders, in a random sequence\n\n", questions)
	fmt.Fprintf(out, "%-44s %10s %10s %22s\n", "", "median", "p99", "told from no such order")
	for kind, name := range kinds() {
		fmt.Fprintf(out, "%-44s %10s %10s %22.3f\n", name, round(at(took[kind], 0.5)), round(at(took[kind], 0.99)), longer(took[kind], took[0]))
	}
	return nil
}

// ask times one question. The gateway's throttle is waited out and not counted.
func (b *bench) ask(id order.ID, token string) (time.Duration, error) {
	for {
		began := time.Now()
		status, err := call("GET", b.API+"/orders/"+id.String(), nil, map[string]string{"Authorization": "Bearer " + token}, nil)
		switch {
		case err != nil:
			return 0, err
		case status == http.StatusOK:
			return time.Since(began), nil
		case status != http.StatusTooManyRequests:
			return 0, fmt.Errorf("ask about %s: %d", id, status)
		}
		time.Sleep(throttled)
	}
}

// throttled is how long a question waits after 429.
const throttled = 100 * time.Millisecond

// strangers makes one order of each kind.
func (b *bench) strangers() ([]order.ID, error) {
	const long = 40 // callouts: the history keeps 50 lines
	var ids []order.ID
	for kind, callouts := range []int{0, 1, long} {
		id, err := order.ParseID(fmt.Sprintf("80100009%07d", kind))
		if err != nil {
			return nil, fmt.Errorf("make an order: %w", err)
		}
		ids = append(ids, id)
		for range callouts {
			if _, err := b.click(id); err != nil {
				return nil, err
			}
		}
	}
	return ids, nil
}

// longer is the share of pairs of a and b in which a's is the larger one; half of
// the pairs that are equal count.
func longer(a, b []time.Duration) float64 {
	type one struct {
		d     time.Duration
		first bool
	}
	var all []one
	for _, d := range a {
		all = append(all, one{d, true})
	}
	for _, d := range b {
		all = append(all, one{d, false})
	}
	slices.SortFunc(all, func(x, y one) int { return cmp.Compare(x.d, y.d) })
	var sum, below float64
	for i := 0; i < len(all); {
		equal := i
		var as, bs float64
		for ; equal < len(all) && all[equal].d == all[i].d; equal++ {
			if all[equal].first {
				as++
			} else {
				bs++
			}
		}
		sum += as * (below + bs/2)
		below += bs
		i = equal
	}
	return sum / float64(len(a)*len(b))
}
