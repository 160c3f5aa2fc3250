package ponosbus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// sidecar plays `ponos serve`: it gives out so many deliveries, and notes what it is told.
type sidecar struct {
	mutex    sync.Mutex
	waiting  []string
	told     []string
	answers  []string // "STATUS BODY" to the next outcomes; then each ends as it should
	receives chan struct{}
}

const delivery = `{"token":"t%d","queue":"q","attempt":1,"attempts":2,"deadline":"2999-01-01T00:00:00Z","event":{"id":"e%d","type":"order.item.placed","data":{"n":%d}}}`

func (s *sidecar) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	if request.URL.Path == "/v1/receive" {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		if len(s.waiting) > 0 {
			fmt.Fprint(writer, s.waiting[0])
			s.waiting = s.waiting[1:]
			return
		}
		s.mutex.Unlock()
		select {
		case s.receives <- struct{}{}:
		default:
		}
		<-request.Context().Done()
		s.mutex.Lock()
		return
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.told = append(s.told, request.URL.Path+" "+string(body))
	status, answer := 200, `{"ended":"done"}`
	if len(s.answers) > 0 {
		fmt.Sscanf(s.answers[0], "%d", &status)
		answer = s.answers[0][4:]
		s.answers = s.answers[1:]
	}
	writer.WriteHeader(status)
	fmt.Fprint(writer, answer)
}

func begin(t *testing.T, deliveries int, answers ...string) (*sidecar, *Bus) {
	t.Helper()
	plays := &sidecar{answers: answers, receives: make(chan struct{}, 1)}
	for number := 0; number < deliveries; number++ {
		plays.waiting = append(plays.waiting, fmt.Sprintf(delivery, number, number, number))
	}
	server := httptest.NewServer(plays)
	t.Cleanup(server.Close)
	bus, err := New(Config{URL: server.URL, Patience: 5 * time.Second, Logf: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	return plays, bus
}

// run handles what there is, and stops when the sidecar has no more.
func run(t *testing.T, plays *sidecar, bus *Bus, handler Handler) error {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	go func() {
		select {
		case <-plays.receives:
		case <-ctx.Done():
		}
		stop()
	}()
	return bus.Run(ctx, handler)
}

func TestWhatAHandlerReturnsIsWhatBecomesOfTheEvent(t *testing.T) {
	long := strings.Repeat("é", 3000)
	for wanted, outcome := range map[string]error{
		`{"outcome":"done"}`:                                            nil,
		`{"outcome":"retry","reason":"not yet"}`:                        errors.New("not yet"),
		`{"outcome":"retry","reason":"busy","after":"2000ms"}`:          Retry("busy", 2*time.Second),
		`{"outcome":"retry","reason":"by the policy"}`:                  Retry("by the policy", 0),
		`{"outcome":"dead","reason":"never"}`:                           fmt.Errorf("around it: %w", Dead("never")),
		`{"outcome":"snooze","reason":"later","after":"1ms"}`:           Snooze("later", time.Millisecond),
		`{"outcome":"release"}`:                                         Release(),
		`{"outcome":"skip"}`:                                            Skip(),
		`{"outcome":"retry","reason":"` + long[:4000] + `"}`:            errors.New(long),
		`{"outcome":"retry","reason":"half a character: ` + "\uFFFD\"}": errors.New("half a character: \xc3"),
	} {
		plays, bus := begin(t, 1)
		err := run(t, plays, bus, func(context.Context, *Event) error { return outcome })
		if err != nil || len(plays.told) != 1 || plays.told[0] != "/v1/deliveries/t0 "+wanted {
			t.Errorf("%v: %v, %v", outcome, err, plays.told)
		}
	}
}

func TestAPanicIsAFailedAttempt(t *testing.T) {
	plays, bus := begin(t, 1)
	err := run(t, plays, bus, func(context.Context, *Event) error { panic("oh") })
	if err != nil || !strings.Contains(plays.told[0], `"outcome":"retry","reason":"panic: oh"`) {
		t.Error(err, plays.told)
	}
}

type brokenError struct{ reason *string }

func (e brokenError) Error() string { return *e.reason }

func TestAnErrorThatPanicsIsAFailedAttempt(t *testing.T) {
	plays, bus := begin(t, 1)
	err := run(t, plays, bus, func(context.Context, *Event) error { return brokenError{} })
	if err != nil || !strings.Contains(plays.told[0], `"outcome":"retry","reason":"panic: `) {
		t.Error(err, plays.told)
	}
}

func TestOnceItIsStoppedNoMoreIsAskedFor(t *testing.T) {
	plays, bus := begin(t, 3)
	ctx, stop := context.WithCancel(context.Background())
	err := bus.Run(ctx, func(context.Context, *Event) error {
		stop()
		return nil
	})
	if err != nil || len(plays.told) != 1 || len(plays.waiting) != 2 {
		t.Error(err, plays.told, plays.waiting)
	}
}

func TestSeveralWordsAboutAMessageAddUp(t *testing.T) {
	made := messageOf("task", "stock.shelf.clean", 1, []With{{Key: "k"}, {In: time.Hour}, {Subject: "s"}})
	if made.Key != "k" || made.In != "3600000ms" || made.Subject != "s" {
		t.Error(made)
	}
}

func TestWhatIsPublishedGoesWithTheOutcomeAndWhatCantBeWrittenIsAnErrorAtOnce(t *testing.T) {
	plays, bus := begin(t, 1)
	err := run(t, plays, bus, func(_ context.Context, event *Event) error {
		var data struct{ N int }
		if err := event.Bind(&data); err != nil || event.Name != "order.item.placed" {
			return Dead("it can't be read")
		}
		if event.Publish("order.label.printed", func() {}) == nil {
			return Dead("a function was written")
		}
		if err := event.Publish("order.label.printed", map[string]int{"order": 7}, With{Key: "k", In: time.Minute}); err != nil {
			return err
		}
		return event.Task("stock.shelf.clean", nil)
	})
	wanted := `/v1/deliveries/t0 {"outcome":"done","publish":[{"event":"order.label.printed","data":{"order":7},"key":"k","in":"60000ms"},{"task":"stock.shelf.clean","data":null}]}`
	if err != nil || plays.told[0] != wanted {
		t.Error(err, plays.told)
	}
}

func TestARefusedOutcomeIsAFailedAttempt(t *testing.T) {
	plays, bus := begin(t, 1, `422 {"code":"invalid","detail":"/publish/0/data"}`, `200 {"ended":"retried"}`)
	err := run(t, plays, bus, func(context.Context, *Event) error { return nil })
	if err != nil || len(plays.told) != 2 || !strings.HasSuffix(plays.told[1], `{"outcome":"retry","reason":"/publish/0/data"}`) {
		t.Error(err, plays.told)
	}
}

func TestAnAnswerThatIsLostOrLateIsAskedForAgain(t *testing.T) {
	plays, bus := begin(t, 1, `503 {"code":"settling","detail":"it is being carried out"}`, `504 no document`)
	err := run(t, plays, bus, func(context.Context, *Event) error { return nil })
	if err != nil || len(plays.told) != 3 || plays.told[0] != plays.told[2] {
		t.Error(err, plays.told)
	}
}

func TestWhatCantBeSettledEndsTheRunOnceTheOthersHaveSettled(t *testing.T) {
	plays, bus := begin(t, 2, `500 {"code":"broken","detail":"a fault"}`)
	bus.config.Concurrency = 2
	var both sync.WaitGroup
	both.Add(2)
	err := bus.Run(context.Background(), func(context.Context, *Event) error {
		both.Done()
		both.Wait()
		return nil
	})
	var refused *Error
	if !errors.As(err, &refused) || refused.Code != "broken" || len(plays.told) != 2 {
		t.Error(err, plays.told)
	}
}

func TestTheContextOfAHandlerEndsAtTheDeadline(t *testing.T) {
	plays, bus := begin(t, 1)
	plays.waiting[0] = strings.Replace(plays.waiting[0], "2999", "1999", 1)
	err := run(t, plays, bus, func(ctx context.Context, _ *Event) error {
		<-ctx.Done()
		return ctx.Err()
	})
	if err != nil || !strings.Contains(plays.told[0], "context canceled") {
		t.Error(err, plays.told)
	}
}

func TestOutsideOfADeliveryItHasAnIdSoThatItMayBeAskedAgain(t *testing.T) {
	plays, bus := begin(t, 0, `504 {"code":"unconfirmed","detail":"it may have arrived"}`, `200 {"id":"x"}`)
	published, err := bus.Publish(context.Background(), "order.label.printed", 1)
	if err != nil || published.ID != "x" || len(plays.told) != 2 || plays.told[0] != plays.told[1] || !strings.Contains(plays.told[0], `"id":"`) {
		t.Error(published, err, plays.told)
	}
}

func TestAPlaceThatCantBeIsRefused(t *testing.T) {
	for _, place := range []string{"https://127.0.0.1", "unix:", "127.0.0.1:7313", "http://127.0.0.1/v1", "http://u:p@127.0.0.1"} {
		if _, err := New(Config{URL: place}); err == nil {
			t.Error(place)
		}
	}
	for text, wanted := range map[string]place{"unix:/run/a b:c.sock": {"unix", "/run/a b:c.sock"}, "http://[::1]": {"tcp", "[::1]:80"}} {
		if found, err := placeOf(text); err != nil || found != wanted {
			t.Error(text, found, err)
		}
	}
}

func TestNobodyThereIsAnErrorOfStatusZero(t *testing.T) {
	bus, err := New(Config{URL: "http://127.0.0.1:1", Patience: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	var refused *Error
	if _, err := bus.Contracts(context.Background()); !errors.As(err, &refused) || refused.Status != 0 || refused.Code != "unreachable" {
		t.Error(err)
	}
}

func TestADeliveryIsReadWhole(t *testing.T) {
	_, bus := begin(t, 0)
	event, err := bus.read([]byte(fmt.Sprintf(delivery, 1, 2, 3)))
	if err != nil || event.Token != "t1" || event.ID != "e2" || string(event.Data) != `{"n":3}` || !json.Valid(event.Attributes) {
		t.Error(event, err)
	}
	if _, err := bus.read([]byte(`{"hello":1}`)); err == nil {
		t.Error("that is no delivery")
	}
}
