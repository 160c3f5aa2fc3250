// Package ponosbus takes events and tasks from RabbitMQ, through `ponos serve` beside this program. Standard library only.
package ponosbus

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"strconv"
	"sync"
	"time"
)

// Config says where `ponos serve` is, and how events are handled. Its zero value is the default.
type Config struct {
	URL         string        // "http://127.0.0.1:7313" or "unix:PATH"; else PONOS_SERVE, else the first of them
	Token       string        // else PONOS_TOKEN
	Queue       string        // Run takes from this queue alone
	Concurrency int           // how many events Run handles at a time; 1
	Patience    time.Duration // for how long a lost answer is asked for again; a minute
	Logf        func(format string, what ...any)
}

// Bus is `ponos serve`. It may be used by many goroutines.
type Bus struct {
	config Config
	place  place
	asking *http.Client
}

// New checks the configuration; it asks nothing yet.
func New(config Config) (*Bus, error) {
	config.URL = first(config.URL, os.Getenv("PONOS_SERVE"), "http://127.0.0.1:7313")
	config.Token = first(config.Token, os.Getenv("PONOS_TOKEN"))
	if config.Concurrency < 1 {
		config.Concurrency = 1
	}
	if config.Patience <= 0 {
		config.Patience = time.Minute
	}
	if config.Logf == nil {
		config.Logf = log.Printf
	}
	place, err := placeOf(config.URL)
	if err != nil {
		return nil, err
	}
	return &Bus{config, place, place.client(nil)}, nil
}

func first(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// Error is a refusal of `ponos serve`; Status is 0 where it can't be reached.
type Error struct {
	Status       int
	Code, Detail string
}

func (e *Error) Error() string { return e.Detail }

// Handler handles an event. Nil: it is done, and what it published is sent. An error: another attempt later, with the error as
// the reason, unless it is one of Dead, Retry, Snooze, Release and Skip. The context ends at the event's deadline.
type Handler func(ctx context.Context, event *Event) error

// Run handles events until the context ends, then waits for the handlers that run. It fails where an event could not be settled.
func (b *Bus) Run(ctx context.Context, handler Handler) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	failures := make(chan error, b.config.Concurrency)
	var lanes sync.WaitGroup
	for lane := 0; lane < b.config.Concurrency; lane++ {
		lanes.Add(1)
		go func() {
			defer lanes.Done()
			if err := b.lane(ctx, handler); err != nil {
				failures <- err
				stop()
			}
		}()
	}
	lanes.Wait()
	close(failures)
	return <-failures
}

func (b *Bus) lane(ctx context.Context, handler Handler) error {
	poll := newPoll(b.place)
	defer poll.close()
	path := "/v1/receive?wait=" + strconv.Itoa(longPoll) + "s"
	if b.config.Queue != "" {
		path += "&queue=" + url.QueryEscape(b.config.Queue)
	}
	for {
		if ctx.Err() != nil {
			return nil
		}
		text, err := b.ask(ctx, poll, http.MethodPost, path, nil)
		switch {
		case text != nil: // one that was on its way as the context ended is handled, too
			event, err := b.read(text)
			if err != nil {
				return err
			}
			if err := b.settle(event, b.handle(event, handler)); err != nil {
				return err
			}
		case err != nil && ctx.Err() == nil:
			return err
		}
	}
}

// handle calls the handler; a panic of it, or of its error, is a failed attempt.
func (b *Bus) handle(event *Event, handler Handler) (outcome *Outcome) {
	ctx, cancel := context.WithCancel(context.Background())
	event.end = time.AfterFunc(time.Until(event.Deadline), cancel)
	defer cancel()
	defer event.end.Stop()
	defer func() {
		if what := recover(); what != nil {
			b.config.Logf("%s %s: panic: %v\n%s", event.Name, event.ID, what, debug.Stack())
			outcome = &Outcome{Outcome: "retry", Reason: cut(fmt.Sprintf("panic: %v", what))}
		}
	}()
	return outcomeOf(handler(ctx, event))
}

// Published is what was sent, or kept by the clock for later: under Name, until Due.
type Published struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Due  string `json:"due"`
}

// Publish publishes an event for everybody, outside of a delivery.
func (b *Bus) Publish(ctx context.Context, name string, data any, with ...With) (Published, error) {
	return b.send(ctx, "event", name, data, with)
}

// Task publishes a task of this service, outside of a delivery.
func (b *Bus) Task(ctx context.Context, name string, data any, with ...With) (Published, error) {
	return b.send(ctx, "task", name, data, with)
}

func (b *Bus) send(ctx context.Context, kind, name string, data any, with []With) (published Published, err error) {
	message := messageOf(kind, name, data, with)
	if message.ID == "" && message.Key == "" { // with one of them, an answer that was lost can be asked for again
		var random [16]byte
		if _, err := rand.Read(random[:]); err != nil {
			return published, err
		}
		message.ID = hex.EncodeToString(random[:])
	}
	body, err := json.Marshal(message)
	if err != nil {
		return published, err
	}
	text, err := b.ask(ctx, nil, http.MethodPost, "/v1/publish", body)
	if err != nil {
		return published, err
	}
	err = json.Unmarshal(text, &published)
	return published, err
}

// Contracts are the queues, and the JSON Schemas of what is taken and published.
func (b *Bus) Contracts(ctx context.Context) (json.RawMessage, error) {
	return b.ask(ctx, nil, http.MethodGet, "/v1/contracts", nil)
}

// settle tells what became of an event, and of what its handler published.
func (b *Bus) settle(event *Event, outcome *Outcome) error {
	if outcome.Outcome == "retry" {
		b.config.Logf("%s %s failed: %s", event.Name, event.ID, outcome.Reason)
	}
	if outcome.Outcome == "done" {
		outcome.Publish = event.publish
	}
	err := b.give(event, outcome)
	var refused *Error
	if errors.As(err, &refused) && (refused.Status == 400 || refused.Status == 413 || refused.Status == 422) {
		// what it publishes is not declared, breaks its contract, or is too much: this attempt has failed
		b.config.Logf("%s %s was refused: %s", event.Name, event.ID, refused.Detail)
		err = b.give(event, &Outcome{Outcome: "retry", Reason: cut(refused.Detail)})
	}
	return err
}

func (b *Bus) give(event *Event, outcome *Outcome) error {
	body, err := json.Marshal(outcome)
	if err != nil {
		return err
	}
	text, err := b.ask(context.Background(), nil, http.MethodPost, "/v1/deliveries/"+event.Token, body)
	var refused *Error
	if errors.As(err, &refused) && (refused.Status == 404 || refused.Status == 409 || refused.Status == 410) {
		b.config.Logf("%s %s comes again: %s", event.Name, event.ID, refused.Detail)
		return nil
	}
	if err != nil {
		return err
	}
	var ended struct{ Ended, Reason string }
	if json.Unmarshal(text, &ended) == nil && ended.Ended != outcome.ends() {
		b.config.Logf("%s %s ended as %s: %s", event.Name, event.ID, ended.Ended, ended.Reason)
	}
	return nil
}
