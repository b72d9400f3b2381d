package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"orderbridge/local/launch"
	"orderbridge/shared/fault"
)

const (
	account = "001000000000001AAA"
	client  = 42
	// always is a number of calls that no cause reaches.
	always = 1_000_000
)

// action is something that is done to a system.
type action = func(context.Context, *system) error

// all does one thing after the other.
func all(of ...action) action {
	return func(ctx context.Context, s *system) error {
		for _, do := range of {
			if err := do(ctx, s); err != nil {
				return err
			}
		}
		return nil
	}
}

// local posts to a local route.
func local(path string, body any) action {
	return func(ctx context.Context, s *system) error {
		return s.ask(ctx, http.MethodPost, s.API+"/_local/"+path, body, nil)
	}
}

func limit(function string, most any) action {
	return local("limit", map[string]any{"function": function, "most": most})
}

func schedule(name string, on bool) action {
	return local("schedule", map[string]any{"schedule": name, "on": on})
}

// newOrder puts an order into Salesforce; it is the cause's own.
func newOrder(change map[string]any) action {
	return func(ctx context.Context, s *system) error {
		s.order.id = fmt.Sprintf("801%012dAAA", s.serial.Add(1))
		return putOrder(change)(ctx, s)
	}
}

// putOrder puts the cause's order into Salesforce again, changed.
func putOrder(change map[string]any) action {
	return func(ctx context.Context, s *system) error {
		body := map[string]any{"accountId": account, "whmcsClientId": client, "items": []any{
			map[string]any{"whmcsProductId": 1, "billingCycle": "Monthly", "quantity": 1},
			map[string]any{"whmcsProductId": 2, "billingCycle": "One-time", "quantity": 3},
		}}
		for k, v := range change {
			body[k] = v
		}
		return s.ask(ctx, http.MethodPut, s.API+"/_local/orders/"+s.order.id, body, nil)
	}
}

// click is the operator's, on the cause's order. What is answered is not judged:
// the alarms are what is tried.
func click(ctx context.Context, s *system) error {
	return s.ask(ctx, http.MethodPost, s.API+"/_local/callout", map[string]string{"orderId": s.order.id}, nil)
}

// clickNew clicks an order of its own.
func clickNew(ctx context.Context, s *system) error { return all(newOrder(nil), click)(ctx, s) }

// item is an order in the table.
type item struct {
	State, Point string
	Code         fault.Code `json:"error_code"`
	WHMCS        string     `json:"whmcs_order_id"`
}

func (s *system) item(ctx context.Context) (item, error) {
	var got struct{ Item item }
	err := s.ask(ctx, http.MethodGet, s.API+"/_local/orders/"+s.order.id, nil, &got)
	return got.Item, err
}

// reaches waits until the cause's order is somewhere.
func reaches(what string, there func(item) bool) action {
	return func(ctx context.Context, s *system) error {
		var last item
		err := s.until(ctx, stepLimit, "order "+s.order.id+" "+what, func() (bool, error) {
			var err error
			last, err = s.item(ctx)
			return there(last), err
		})
		if err != nil {
			return fmt.Errorf("%w; last seen %+v", err, last)
		}
		s.order.whmcs = last.WHMCS
		return nil
	}
}

func failsWith(code fault.Code) action {
	return func(ctx context.Context, s *system) error {
		s.order.code = code
		return reaches("fails with "+string(code), func(i item) bool { return i.State == "failed" && i.Code == code })(ctx, s)
	}
}

func isAt(point string) action {
	return reaches("is at "+point, func(i item) bool { return i.Point == point })
}

func isProvisioned() action {
	return reaches("is provisioned", func(i item) bool { return i.State == "provisioned" })
}

// whmcsFault has the next calls of an action meet a fault; "" = every action.
func whmcsFault(action, name string, times int, more map[string]any) action {
	return vendorFault("whmcs", action, name, times, more)
}

func salesforceFault(action, name string, times int) action {
	return vendorFault("salesforce", action, name, times, nil)
}

func vendorFault(vendor, call, name string, times int, more map[string]any) action {
	return func(ctx context.Context, s *system) error {
		body := map[string]any{"action": call, "fault": name, "times": times}
		for k, v := range more {
			body[k] = v
		}
		return s.ask(ctx, http.MethodPost, s.API+"/_local/sim/"+vendor+"/faults", body, nil)
	}
}

// noFaults takes all faults of both vendors away.
func noFaults(ctx context.Context, s *system) error {
	for _, vendor := range []string{"whmcs", "salesforce"} {
		if err := s.ask(ctx, http.MethodDelete, s.API+"/_local/sim/"+vendor+"/faults", nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// everyWhmcs has every call of WHMCS meet a fault.
func everyWhmcs(name string) action {
	var of []action
	for _, call := range []string{"AddOrder", "AcceptOrder", "GetOrders", "GetClientsProducts", "GetClientsDetails", "GetProducts", "GetPayMethods", "GetModuleQueue", "WhmcsDetails"} {
		of = append(of, whmcsFault(call, name, always, nil))
	}
	return all(of...)
}

// whmcsOrder is an order in WHMCS's books.
type whmcsOrder struct {
	ID       json.Number `json:"id"`
	Status   string      `json:"status"`
	Notes    string      `json:"notes"`
	Services []struct {
		ID json.Number `json:"id"`
	} `json:"services"`
}

// books are WHMCS's orders, the newest last.
func (s *system) books(ctx context.Context) (list []whmcsOrder, err error) {
	err = s.ask(ctx, http.MethodGet, s.WHMCS+"/_sim/orders", nil, &list)
	return list, err
}

// inWhmcs does something to the WHMCS order of the cause's order: the one that
// has its marker, or else the newest.
func inWhmcs(do func(whmcsOrder) (method string, edit map[string]any)) action {
	return func(ctx context.Context, s *system) error {
		list, err := s.books(ctx)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return fmt.Errorf("WHMCS has no order")
		}
		of := list[len(list)-1]
		for _, o := range list {
			if strings.Contains(o.Notes, s.order.id) {
				of = o
			}
		}
		s.order.whmcs = of.ID.String()
		method, edit := do(of)
		if method == "" {
			return nil
		}
		return s.ask(ctx, method, s.WHMCS+"/_sim/orders/"+of.ID.String(), edit, nil)
	}
}

func edit(members map[string]any) action {
	return inWhmcs(func(whmcsOrder) (string, map[string]any) { return http.MethodPatch, members })
}

// known learns the number of the WHMCS order.
func known() action {
	return inWhmcs(func(whmcsOrder) (string, map[string]any) { return "", nil })
}

// activate sets the WHMCS order and all its services to Active.
func activate() action {
	return inWhmcs(func(o whmcsOrder) (string, map[string]any) {
		services := []any{}
		for _, of := range o.Services {
			services = append(services, map[string]any{"id": of.ID, "status": "Active"})
		}
		return http.MethodPatch, map[string]any{"status": "Active", "services": services}
	})
}

func mark(ctx context.Context, s *system) error {
	return edit(map[string]any{"notes": "sfOrderId=" + s.order.id})(ctx, s)
}

// putSecret puts a value into a secret, and ends the functions' processes: they
// would use what they have read for five minutes.
func putSecret(variable, value string, functions ...string) action {
	return func(ctx context.Context, s *system) error {
		_, err := secretsmanager.NewFromConfig(s.AWSConfig()).PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: aws.String(s.Exports[variable]), SecretString: aws.String(value)})
		if err != nil {
			return fmt.Errorf("put secret: %w", err)
		}
		return kill(functions...)(ctx, s)
	}
}

func kill(functions ...string) action {
	var of []action
	for _, f := range functions {
		of = append(of, local("kill", map[string]string{"function": f}))
	}
	return all(of...)
}

// letter puts a message into a queue of dead letters, as SQS does with one that
// failed too often.
func letter(variable, body string) action {
	return func(ctx context.Context, s *system) error {
		_, err := sqs.NewFromConfig(s.AWSConfig()).SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: aws.String(s.Exports[variable]), MessageBody: aws.String(body)})
		if err != nil {
			return fmt.Errorf("send dead letter: %w", err)
		}
		return nil
	}
}

// look asks the portal's API for the cause's order.
func look(ctx context.Context, s *system) error {
	var token struct{ Token string }
	if err := s.ask(ctx, http.MethodGet, s.API+"/_local/token?account="+account, nil, &token); err != nil {
		return err
	}
	_, _, err := launch.Send(ctx, http.DefaultClient, http.MethodGet, s.API+"/orders/"+s.order.id, nil, "Authorization", "Bearer "+token.Token)
	return err
}

// forge sends a callout with a signature that is not Salesforce's.
func forge(ctx context.Context, s *system) error {
	now := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	nonce := strings.ReplaceAll(now, ":", "-")[:19] + "-forged"
	_, _, err := launch.Send(ctx, http.DefaultClient, http.MethodPost, s.API+"/orders/"+s.order.id+"/fulfill", map[string]string{"orderId": s.order.id, "timestamp": now, "nonce": nonce},
		"X-SF-Signature", strings.Repeat("0", 64), "X-SF-Timestamp", now, "X-SF-Nonce", nonce, "Idempotency-Key", nonce)
	return err
}

// hook is where security alarms are posted to.
type hook struct {
	url    string
	server *http.Server
	done   chan struct{}

	mu      sync.Mutex
	refuses bool
	posted  []string // names of alarms
}

func listen(ctx context.Context) (*hook, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for alarms: %w", err)
	}
	h := &hook{url: "http://" + l.Addr().String() + "/alerts", done: make(chan struct{})}
	h.server = &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() {
		defer close(h.done)
		_ = h.server.Serve(l) // it ends by close
	}()
	return h, nil
}

func (h *hook) close() {
	_ = h.server.Close()
	<-h.done
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var event struct {
		Detail struct {
			AlarmName string
		}
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&event); err != nil || h.refuses {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	h.posted = append(h.posted, event.Detail.AlarmName)
}

func (h *hook) refuse(yes bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refuses = yes
}

// wasPosted waits until the webhook has got an alarm.
func wasPosted(alarm string) action {
	return func(ctx context.Context, s *system) error {
		return s.until(ctx, stepLimit, "the webhook gets "+alarm, func() (bool, error) {
			s.hook.mu.Lock()
			defer s.hook.mu.Unlock()
			for _, name := range s.hook.posted {
				if strings.HasSuffix(name, "-"+alarm) {
					return true, nil
				}
			}
			return false, nil
		})
	}
}

// receive empties a queue of the system, by its logical id.
func (s *system) receive(ctx context.Context, id string) error {
	queues := sqs.NewFromConfig(s.AWSConfig())
	url := aws.String(strings.Replace(s.Exports["WORK_QUEUE_URL"], "WorkQueue", id, 1))
	for {
		const most = 10
		out, err := queues.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: url, MaxNumberOfMessages: most})
		if err != nil {
			return fmt.Errorf("receive from %s: %w", id, err)
		}
		if len(out.Messages) == 0 {
			return nil
		}
		for _, m := range out.Messages {
			if _, err := queues.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: m.ReceiptHandle}); err != nil {
				return fmt.Errorf("delete from %s: %w", id, err)
			}
		}
	}
}

// setBack sets a time of the cause's order back in the table.
func setBack(attribute string, d time.Duration) action {
	return func(ctx context.Context, s *system) error {
		_, err := dynamodb.NewFromConfig(s.AWSConfig()).UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: aws.String(s.Exports["TABLE_NAME"]), Key: map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: "order#" + s.order.id}},
			UpdateExpression: aws.String("SET #a = :at"), ExpressionAttributeNames: map[string]string{"#a": attribute},
			ExpressionAttributeValues: map[string]types.AttributeValue{":at": &types.AttributeValueMemberN{Value: fmt.Sprint(time.Now().Add(-d).UnixMilli())}},
		})
		if err != nil {
			return fmt.Errorf("set %s back: %w", attribute, err)
		}
		return nil
	}
}
