// Command floor is the least that a Lambda function in Go can do for a callout,
// an order or a status: what the measured functions are compared with.
//
// The rule it keeps: the same calls as the work needs, and nothing else. It
// must not check, recover, log or count anything, so nothing may rely on it.
package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

func main() {
	base := func(service string) aws.Config {
		return aws.Config{
			Region: os.Getenv("AWS_REGION"), BaseEndpoint: aws.String(os.Getenv("AWS_ENDPOINT_URL_" + service)),
			Credentials: credentials.NewStaticCredentialsProvider(os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), ""),
			HTTPClient:  awshttp.NewBuildableClient(),
		}
	}
	f := &floor{
		table: aws.String(os.Getenv("TABLE_NAME")), db: dynamodb.NewFromConfig(base("DYNAMODB")), secrets: secretsmanager.NewFromConfig(base("SECRETS_MANAGER")),
		web: &http.Client{Timeout: whmcsTimeout(os.Getenv("WHMCS_ADD_TIMEOUT"))}, known: map[string]string{},
	}
	lambda.Start(map[string]func(context.Context, event) (answer, error){"claim": f.claim, "order": f.order, "status": f.status}[os.Getenv("WORK")])
}

// whmcsTimeout is the number of seconds given, or 60.
func whmcsTimeout(seconds string) time.Duration {
	n, err := strconv.Atoi(seconds)
	if err != nil {
		n = 60
	}
	return time.Duration(n) * time.Second
}

type event struct {
	Body           string            `json:"body"`
	Headers        map[string]string `json:"headers"`
	PathParameters map[string]string `json:"pathParameters"`
}

type answer struct {
	StatusCode int    `json:"statusCode"`
	Body       string `json:"body"`
}

type floor struct {
	table   *string
	db      *dynamodb.Client
	secrets *secretsmanager.Client
	web     *http.Client

	known map[string]string // secrets that were read, by variable
	token string
}

// claim verifies the MAC and makes one conditional write.
func (f *floor) claim(ctx context.Context, e event) (answer, error) {
	secret, err := f.read(ctx, "WEBHOOK_SECRET_ID")
	if err != nil {
		return answer{}, err
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(e.Body))
	if !hmac.Equal([]byte(e.Headers["x-sf-signature"]), []byte(hex.EncodeToString(mac.Sum(nil)))) {
		return answer{StatusCode: http.StatusUnauthorized}, nil
	}
	_, err = f.db.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: f.table, ConditionExpression: aws.String("attribute_not_exists(pk)"),
		Item: map[string]types.AttributeValue{"pk": text(e.PathParameters["sfOrderId"]), "state": text("queued")},
	})
	var there *types.ConditionalCheckFailedException
	if err != nil && !errors.As(err, &there) {
		return answer{}, fmt.Errorf("write claim: %w", err)
	}
	return answer{StatusCode: http.StatusAccepted, Body: `{"success":true}`}, nil
}

// order claims, reads the order in Salesforce, adds and accepts it in WHMCS, and
// writes after each effect what it did.
func (f *floor) order(ctx context.Context, e event) (answer, error) {
	if a, err := f.claim(ctx, e); err != nil || a.StatusCode != http.StatusAccepted {
		return a, err
	}
	id := e.PathParameters["sfOrderId"]
	form, err := f.plan(ctx, id)
	if err != nil {
		return answer{}, err
	}
	var added struct {
		OrderID json.Number `json:"orderid"`
	}
	if err := f.whmcs(ctx, "AddOrder", form, &added); err != nil {
		return answer{}, err
	}
	if err := f.note(ctx, id, "added", added.OrderID.String()); err != nil {
		return answer{}, err
	}
	var accepted struct{}
	if err := f.whmcs(ctx, "AcceptOrder", url.Values{"orderid": {added.OrderID.String()}, "autosetup": {"1"}}, &accepted); err != nil {
		return answer{}, err
	}
	return answer{StatusCode: http.StatusOK}, f.note(ctx, id, "provisioned", added.OrderID.String())
}

// status reads one item.
func (f *floor) status(ctx context.Context, e event) (answer, error) {
	out, err := f.db.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: f.table, ConsistentRead: aws.Bool(true), ProjectionExpression: aws.String("#s"),
		ExpressionAttributeNames: map[string]string{"#s": "state"}, Key: map[string]types.AttributeValue{"pk": text("order#" + e.PathParameters["sfOrderId"])},
	})
	if err != nil {
		return answer{}, fmt.Errorf("read item: %w", err)
	}
	state, ok := out.Item["state"].(*types.AttributeValueMemberS)
	if !ok {
		return answer{StatusCode: http.StatusNotFound}, nil
	}
	return answer{StatusCode: http.StatusOK, Body: fmt.Sprintf(`{"status":%q}`, state.Value)}, nil
}

func (f *floor) note(ctx context.Context, id, state, whmcsID string) error {
	_, err := f.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: f.table, Key: map[string]types.AttributeValue{"pk": text(id)},
		UpdateExpression:          aws.String("SET #s = :s, #w = :w"),
		ExpressionAttributeNames:  map[string]string{"#s": "state", "#w": "whmcs_id"},
		ExpressionAttributeValues: map[string]types.AttributeValue{":s": text(state), ":w": text(whmcsID)},
	})
	if err != nil {
		return fmt.Errorf("write %s: %w", state, err)
	}
	return nil
}

// plan is one query of Salesforce, as AddOrder wants it.
func (f *floor) plan(ctx context.Context, id string) (url.Values, error) {
	if f.token == "" {
		if err := f.login(ctx); err != nil {
			return nil, err
		}
	}
	q := "SELECT Id, Account.WHMCS_Client_ID__c, (SELECT Quantity, Product2.WH_Product_ID__c, Product2.Billing_Cycle__c FROM OrderItems) FROM Order WHERE Id = '" + id + "'"
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, os.Getenv("SF_LOGIN_URL")+"/services/data/v67.0/query?q="+url.QueryEscape(q), nil)
	if err != nil {
		return nil, fmt.Errorf("query order: %w", err)
	}
	r.Header.Set("Authorization", "Bearer "+f.token)
	var found struct {
		Records []struct {
			Account struct {
				Client any `json:"WHMCS_Client_ID__c"`
			}
			OrderItems struct {
				Records []struct {
					Quantity float64
					Product2 struct {
						ID    any    `json:"WH_Product_ID__c"`
						Cycle string `json:"Billing_Cycle__c"`
					}
				} `json:"records"`
			}
		} `json:"records"`
	}
	if err := f.do(r, &found); err != nil {
		return nil, err
	}
	if len(found.Records) != 1 {
		return nil, fmt.Errorf("query order: %d rows", len(found.Records))
	}
	o := found.Records[0]
	form := url.Values{"clientid": {fmt.Sprint(o.Account.Client)}, "paymentmethod": {"mailin"}, "notes": {"sfOrderId=" + id}, "noinvoice": {"1"}, "noemail": {"1"}}
	for i, line := range o.OrderItems.Records {
		at := "[" + strconv.Itoa(i) + "]"
		form.Set("pid"+at, fmt.Sprint(line.Product2.ID))
		form.Set("qty"+at, strconv.Itoa(int(line.Quantity)))
		form.Set("billingcycle"+at, strings.ToLower(line.Product2.Cycle))
	}
	return form, nil
}

func (f *floor) login(ctx context.Context) error {
	var app struct{ ClientID, ClientSecret string }
	if err := f.readJSON(ctx, "SALESFORCE_SECRET_ID", &app); err != nil {
		return err
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {app.ClientID}, "client_secret": {app.ClientSecret}}
	var token struct {
		Token string `json:"access_token"`
	}
	if err := f.post(ctx, os.Getenv("SF_LOGIN_URL")+"/services/oauth2/token", form, &token); err != nil {
		return err
	}
	f.token = token.Token
	return nil
}

// whmcs makes one call; an answer that is not a success is an error.
func (f *floor) whmcs(ctx context.Context, action string, form url.Values, into any) error {
	var c struct{ Identifier, Secret string }
	if err := f.readJSON(ctx, "WHMCS_SECRET_ID", &c); err != nil {
		return err
	}
	form.Set("action", action)
	form.Set("identifier", c.Identifier)
	form.Set("secret", c.Secret)
	form.Set("responsetype", "json")
	var said struct{ Result, Message string }
	raw := json.RawMessage{}
	if err := f.post(ctx, strings.TrimSuffix(os.Getenv("WHMCS_API_URL"), "/")+"/includes/api.php", form, &raw); err != nil {
		return err
	}
	if err := json.Unmarshal(raw, &said); err != nil || said.Result != "success" {
		return fmt.Errorf("%s: %.200s", action, raw)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("read answer of %s: %w", action, err)
	}
	return nil
}

func (f *floor) post(ctx context.Context, to string, form url.Values, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return f.do(r, into)
}

func (f *floor) do(r *http.Request, into any) error {
	res, err := f.web.Do(r)
	if err != nil {
		return fmt.Errorf("call vendor: %w", err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("call vendor: %d %.200s", res.StatusCode, b)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	return nil
}

// readJSON reads the members of the secret that a variable names.
func (f *floor) readJSON(ctx context.Context, variable string, into any) error {
	v, err := f.read(ctx, variable)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(v), into); err != nil {
		return fmt.Errorf("read %s: %w", variable, err)
	}
	return nil
}

// read reads the secret that a variable names, once.
func (f *floor) read(ctx context.Context, variable string) (string, error) {
	if v, ok := f.known[variable]; ok {
		return v, nil
	}
	out, err := f.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(os.Getenv(variable))})
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	f.known[variable] = aws.ToString(out.SecretString)
	return f.known[variable], nil
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
